"""A picture of generated pictures: a row for each class."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

COLUMNS = 12


def grid(pictures: Tensor, classes: Tensor, count: int) -> bytes:
    """Return a PNG with up to 12 pictures (uint8 [N, K, H, W]) of each of `count` classes (int64 [N]) in a row."""
    rows = []
    for number in range(count):
        shown = pictures[(classes == number).nonzero().squeeze(1)[:COLUMNS]].cpu()
        missing = COLUMNS - len(shown)
        blank = torch.full((missing, *pictures.shape[1:]), 255, dtype=torch.uint8)
        padded = functional.pad(torch.cat([shown, blank]), (1, 1, 1, 1), value=255)
        rows.append(torch.cat(list(padded), dim=2))
    values = torch.cat(rows, dim=1).numpy()
    grey = values[0] if len(values) != 3 else values.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
