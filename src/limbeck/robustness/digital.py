"""What storing a picture does to it. Shapes: B samples, C channels, H rows and W columns of pixels."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from limbeck.robustness.corruption import Corruption


def _jpeg(pixels: Tensor, strength: float, _: Tensor) -> Tensor:
    """Write each picture as JPEG and read it again: three channels as colour, any others as grey pictures each."""
    whole = (pixels * 255).round().to(torch.uint8).cpu()
    if pixels.shape[1] == 3:
        flat = whole.permute(0, 2, 3, 1).contiguous().numpy()
        read = torch.from_numpy(np.stack([_stored(one, int(strength)) for one in flat])).permute(0, 3, 1, 2)
    else:
        planes = whole.flatten(0, 1).contiguous().numpy()
        read = torch.from_numpy(np.stack([_stored(one, int(strength)) for one in planes])).view_as(whole)
    return read.to(pixels.device, pixels.dtype) / 255


def _stored(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=quality)
    with Image.open(file) as read:
        return np.asarray(read)


def _pixelate(pixels: Tensor, strength: float, _: Tensor) -> Tensor:
    """Draw the means over a coarser grid; a pixel on its lines shows its part of either mean."""
    height, width = (coarser(length, strength) for length in pixels.shape[2:])
    return _weighted(_weighted(pixels, height, 2), width, 3)


def coarser(length: int, share: float) -> NDArray[np.float64]:
    """Return the weights [length, length] of the pixels of a row in each of them, on a grid of so many fewer cells."""
    edges = np.linspace(0, length, max(1, round(length * share)) + 1)
    pixels = np.arange(length)
    within = np.minimum(pixels + 1, edges[1:, None]) - np.maximum(pixels, edges[:-1, None])
    within = within.clip(0)
    return np.asarray(within.T @ (within / within.sum(1, keepdims=True)))


def _weighted(pixels: Tensor, weights: NDArray[np.float64], axis: int) -> Tensor:
    """Return sums along an axis by weights [to, from], mostly 0, added in a fixed order; see blur.py."""
    most = int((weights > 0).sum(1).max())
    order = torch.from_numpy(np.argsort(-weights, axis=1, kind="stable")[:, :most].copy()).to(pixels.device)
    sizes = torch.from_numpy(weights).to(pixels.device, pixels.dtype).gather(1, order)
    result = torch.zeros_like(pixels)
    for places, size in zip(order.T, sizes.T, strict=True):
        result.add_(pixels.index_select(axis, places) * size.view(-1, *[1] * (3 - axis)))
    return result


DIGITAL = (
    Corruption("jpeg", "digital", (50, 30, 18, 10, 5), "quality", 0, _jpeg),
    Corruption("pixelate", "digital", (0.75, 0.62, 0.5, 0.38, 0.25), "share of the resolution kept", 0, _pixelate),
)
