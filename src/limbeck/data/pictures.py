"""One picture file to one array, whatever the file holds. Needs Pillow and NumPy, never torch."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from limbeck.errors import DataError

Channels = Literal["rgb", "grey"]
Resize = Literal["squash", "crop", "pad"]
Background = Literal["white", "black"]

ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
GREY_MODES = {"1", "L", "LA", "La", "I", "F"}
LEVELS = {"white": 255, "black": 0}

BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError,
    OverflowError, RuntimeError, NotImplementedError, MemoryError, struct.error, zlib.error, Warning,
)  # fmt: skip
"""What Pillow's readers raise on a damaged file."""


@dataclass(frozen=True)
class Header:
    """What is known before the pixels are read: upright height and width, and whether it must be grey."""

    height: int
    width: int
    grey: bool


def decode(
    source: Path | bytes,
    *,
    size: tuple[int, int] | None,
    channels: Channels,
    resize: Resize = "squash",
    background: Background = "white",
    name: str = "",
) -> NDArray[np.uint8]:
    """Read a picture as uint8 [C, H, W], C = 3 ("rgb") or 1 ("grey"), turned upright as EXIF says.

    size: (height, width), reached by antialiased bilinear resizing; None keeps the picture's own. resize:
    "squash" ignores the aspect, "crop" keeps the middle, "pad" adds the background. The first picture of
    several is read; transparent pixels show the background; 16 bits are scaled to 8.
    Raises DataError, naming the file, if it is missing, damaged, no picture, or too large to be meant.
    """
    with _opened(source, name) as image:
        return from_image(image, size=size, channels=channels, resize=resize, background=background)


def probe(source: Path | bytes, name: str = "") -> Header:
    """Read a picture's header only. Raises DataError as `decode` does."""
    with _opened(source, name) as image:
        turned = "exif" in image.info and _orientation(image) >= 5
        width, height = image.size[::-1] if turned else image.size
        return Header(height, width, grey=is_grey(image))


def from_image(
    image: Image.Image,
    *,
    size: tuple[int, int] | None,
    channels: Channels,
    resize: Resize = "squash",
    background: Background = "white",
) -> NDArray[np.uint8]:
    """Turn an open Pillow image into uint8 [C, H, W]; see `decode`. Raises ValueError for odd pixel types."""
    if size is not None:  # a JPEG much larger than that is decoded at an eighth to a half, which is faster
        image.draft(None, (2 * max(size), 2 * max(size)))
    image.load()
    turn = UPRIGHT.get(_orientation(image))
    image = _flatten(image, background).convert("L" if channels == "grey" else "RGB")
    if turn is not None:
        image = image.transpose(turn)
    if size is not None and image.size != size[::-1]:
        image = _resize(image, size, resize, background)
    array = np.array(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def is_grey(image: Image.Image) -> bool:
    """Say whether the image's mode cannot hold colour."""
    return image.mode in GREY_MODES or image.mode.startswith("I;16")


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    name = name or (str(source) if isinstance(source, Path) else "the picture")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            _check_size(image)
            yield image
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: cannot be read: {error}") from None
    except UnidentifiedImageError:
        empty = len(source) == 0 if isinstance(source, bytes) else source.stat().st_size == 0
        what = "there are no bytes in it" if empty else "it is not a picture of a known format"
        raise DataError(f"{name}: cannot be read: {what}.") from None
    except BROKEN as error:
        raise DataError(f"{name}: cannot be read: {str(error).rstrip('.') or type(error).__name__}.") from None


def _check_size(image: Image.Image) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if min(image.size) < 1:
        raise ValueError("it has no pixels")
    if limit is not None and image.width * image.height > limit:
        raise ValueError(f"{image.width} x {image.height} pixels are more than the {limit:,} that are safe")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except BROKEN:
        return 1


def _flatten(image: Image.Image, background: Background) -> Image.Image:
    """Return the image with 8 bits a channel and nothing transparent."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _eight_bits(image)
    if not image.has_transparency_data:
        return image
    pixels = image.convert("RGBA")
    level = LEVELS[background]
    behind = Image.new("RGBA", pixels.size, (level, level, level, 255))
    return Image.alpha_composite(behind, pixels)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale whole numbers 0..65535 by 1/257, floating-point 0..1 by 255; 0..255 in floating point stays."""
    values = np.asarray(image).astype(np.float64)
    low, high = values.min(), values.max()
    top = 65535.0 if image.mode != "F" else 1.0 if high <= 1 else 255.0
    if not (low >= 0 and high <= top):
        raise ValueError(f"its pixel values go from {low:g} to {high:g}; save it with 8 or 16 bits")
    return Image.fromarray(np.rint(values * (255.0 / top)).astype(np.uint8))


def _resize(image: Image.Image, size: tuple[int, int], how: Resize, background: Background) -> Image.Image:
    height, width = size
    if how == "squash":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    if how == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    level = LEVELS[background]
    padded = Image.new(image.mode, (width, height), level if image.mode == "L" else (level, level, level))
    corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    padded.paste(image.resize(inner, Image.Resampling.BILINEAR), corner)
    return padded
