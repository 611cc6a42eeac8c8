"""Pictures without noise from pixel to pixel (Mahendran & Vedaldi 2015)."""

from __future__ import annotations

from torch import Tensor


def total_variation(pictures: Tensor) -> Tensor:
    """Return the mean absolute difference between neighbouring pixels of pictures [B, K, H, W], across plus down."""
    across = (pictures[..., 1:] - pictures[..., :-1]).abs().mean()
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean()
    return across + down
