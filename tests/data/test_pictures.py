from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.data.pictures import decode, from_image, probe
from limbeck.errors import DataError

COLOURS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY = np.random.default_rng(1).integers(0, 256, (7, 5), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def read(content: bytes, channels: str = "rgb", **how: object) -> np.ndarray:
    return decode(content, size=None, channels=channels, **how)  # type: ignore[arg-type]


def test_plain_pictures_come_back_as_they_are() -> None:
    rgb = read(saved(Image.fromarray(COLOURS)))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, COLOURS.transpose(2, 0, 1))
    np.testing.assert_array_equal(read(saved(Image.fromarray(GREY)), "grey"), GREY[None])
    np.testing.assert_array_equal(read(saved(Image.fromarray(GREY))), np.stack([GREY] * 3))


def test_colour_to_grey_uses_luma() -> None:
    luma = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read(saved(Image.fromarray(COLOURS)), "grey")[0] - luma).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int, kind: str) -> None:
    upright = GREY[::-1].copy()
    stored = {  # how a camera stores an upright picture, from the EXIF standard
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"lossless": True} if kind == "WEBP" else {}
    content = saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **how)
    np.testing.assert_array_equal(read(content, "grey")[0], upright)
    header = probe(content)
    assert (header.height, header.width) == upright.shape


def test_a_broken_exif_block_is_passed_over() -> None:
    image = Image.fromarray(GREY)
    content = saved(image, "PNG", exif=b"Exif\x00\x00nonsense")
    np.testing.assert_array_equal(read(content, "grey")[0], GREY)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled(kind: str) -> None:
    values = np.array([[0, 257, 65535], [128, 129, 30000]], dtype=np.uint16)
    pixels = read(saved(Image.fromarray(values), kind), "grey")[0]
    np.testing.assert_array_equal(pixels, np.rint(values / 257).astype(np.uint8))


def test_big_endian_and_32_bit_pictures() -> None:
    values = np.array([[0, 65535], [257, 514]], dtype=np.int32)
    np.testing.assert_array_equal(read(saved(Image.fromarray(values), "TIFF"), "grey")[0], [[0, 255], [1, 2]])
    swapped = Image.frombytes("I;16B", (2, 1), struct.pack(">2H", 65535, 257))
    np.testing.assert_array_equal(from_image(swapped, size=None, channels="grey")[0], [[255, 1]])
    with pytest.raises(DataError, match="go from 0 to 70000; save it with 8 or 16 bits"):
        read(saved(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)), "TIFF"))


def test_floating_point_pictures() -> None:
    share = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    np.testing.assert_array_equal(read(saved(Image.fromarray(share), "TIFF"), "grey")[0], [[0, 128, 255]])
    levels = np.array([[0.0, 100.0, 255.0]], dtype=np.float32)
    np.testing.assert_array_equal(read(saved(Image.fromarray(levels), "TIFF"), "grey")[0], [[0, 100, 255]])
    with pytest.raises(DataError, match="save it with 8 or 16 bits"):
        read(saved(Image.fromarray(np.array([[-1.0, np.nan]], dtype=np.float32)), "TIFF"))


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (4, 3), (0, 255, 255, 0))
    pixels = read(saved(image, "TIFF"))
    assert pixels.shape == (3, 3, 4)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
    assert read(saved(image, "JPEG", quality=95)).shape == (3, 3, 4)


def test_palettes_with_and_without_transparency() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read(saved(palette))[:, 0].T, [[255, 0, 0], [0, 0, 255]])
    clear = saved(palette, transparency=1)
    np.testing.assert_array_equal(read(clear)[:, 0].T, [[255, 0, 0], [255, 255, 255]])
    np.testing.assert_array_equal(read(clear, background="black")[:, 0].T, [[255, 0, 0], [0, 0, 0]])
    several = saved(palette, transparency=bytes([0, 255]))
    np.testing.assert_array_equal(read(several)[:, 0].T, [[255, 255, 255], [0, 0, 255]])


def test_alpha_is_composited() -> None:
    half = Image.new("RGBA", (1, 1), (200, 100, 0, 128))
    expected = np.rint((np.array([200, 100, 0]) * 128 + 255 * 127) / 255)
    assert np.abs(read(saved(half))[:, 0, 0] - expected).max() <= 1
    clear = saved(Image.new("LA", (2, 2), (10, 0)))
    assert read(clear, "grey").tolist() == [[[255, 255], [255, 255]]]
    assert read(clear, "grey", background="black").max() == 0
    marked = saved(Image.fromarray(np.array([[7, 8]], dtype=np.uint8)), transparency=7)
    assert read(marked, "grey").tolist() == [[[255, 8]]]


def test_bilevel_and_animated_pictures() -> None:
    bits = Image.fromarray(np.array([[True, False]]))
    assert read(saved(bits), "grey").tolist() == [[[255, 0]]]
    frames = [Image.new("L", (3, 2), level) for level in (9, 200)]
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read(moving, "grey").tolist() == [[[9] * 3] * 2]


def test_resizing() -> None:
    wide = np.zeros((4, 8), dtype=np.uint8)
    wide[:, 2:6] = 255
    content = saved(Image.fromarray(wide))
    how = {"size": (4, 4), "channels": "grey"}
    squashed = decode(content, resize="squash", **how)  # type: ignore[arg-type]
    reference = np.asarray(Image.fromarray(wide).resize((4, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(squashed[0], reference)
    assert decode(content, resize="crop", **how).min() == 255  # type: ignore[arg-type]
    padded = decode(content, resize="pad", background="black", **how)[0]  # type: ignore[arg-type]
    assert padded[[0, 3]].max() == 0
    inner = np.asarray(Image.fromarray(wide).resize((4, 2), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(padded[1:3], inner)
    assert decode(content, resize="pad", **how)[0, 0].min() == 255  # type: ignore[arg-type]


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (1, 1), (3, 2)])
def test_any_shape_reaches_any_size(shape: tuple[int, int], resize: str) -> None:
    content = saved(Image.fromarray(np.zeros(shape, dtype=np.uint8)))
    pixels = decode(content, size=(8, 6), channels="rgb", resize=resize)  # type: ignore[arg-type]
    assert pixels.shape == (3, 8, 6)


def test_a_large_jpeg_looks_the_same_when_decoded_small() -> None:
    y, x = np.mgrid[0:480, 0:640]
    smooth = np.rint(127 + 60 * np.sin(x / 90) + 60 * np.cos(y / 70)).astype(np.uint8)
    content = saved(Image.fromarray(smooth), "JPEG", quality=95)
    small = decode(content, size=(24, 32), channels="grey")[0]
    reference = np.asarray(Image.fromarray(smooth).resize((32, 24), Image.Resampling.BILINEAR))
    assert np.abs(small.astype(int) - reference).max() <= 3


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


NOISE = saved(Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8)))
BAD = {
    "empty": b"",
    "text": b"this is not a picture",
    "cut": NOISE[: len(NOISE) // 2],
    "flipped": NOISE[:3000] + bytes(b ^ 255 for b in NOISE[3000:3100]) + NOISE[3100:],
    "cut jpeg": saved(Image.fromarray(COLOURS).resize((300, 300)), "JPEG")[:1500],
    "no pixels": huge_png(0),
    "bomb": huge_png(10_000),
    "larger bomb": huge_png(60_000),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "holiday.png"
    path.write_bytes(BAD[name])
    with pytest.raises(DataError, match=r"holiday\.png: cannot be read: \w"):
        decode(path, size=(8, 8), channels="rgb")
    with pytest.raises(DataError, match=r"^upload 3: cannot be read"):
        decode(BAD[name], size=None, channels="grey", name="upload 3")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_where_warnings_are_not_errors() -> None:
    with pytest.raises(DataError, match="10000 x 10000 pixels are more than the 89,478,485 that are safe"):
        decode(BAD["bomb"], size=None, channels="grey")


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png: there is no such file"):
        decode(tmp_path / "nowhere.png", size=None, channels="rgb")
    with pytest.raises(DataError, match=r"cannot be read: .*directory"):
        decode(tmp_path, size=None, channels="rgb")


def test_reading_pictures_does_not_import_torch() -> None:
    code = "import sys, limbeck.data.pictures; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
