"""What an optimizer remembers of gradients that are gone.

The mean of gradients that stay 0, as those of a pixel that is black nearly always, shrinks with every step until it is
below 1e-38. Processors count such denormal numbers many times more slowly than others, so a long fit of a small model
takes ever longer steps. Far earlier nothing follows from them.
"""

from __future__ import annotations

import torch
from torch import Tensor

EVERY = 200  # steps, in which a mean of decay 0.9 shrinks by less than from TINY to the smallest number that is normal
TINY = 1e-28  # of a mean of gradients: a step by it is 1e20 times smaller than the learning rate


@torch.no_grad()
def forget_tiny(optimizer: torch.optim.Optimizer) -> None:
    """Take what an optimizer's state on a processor holds below TINY for 0; elsewhere denormals cost nothing."""
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, Tensor) and value.is_floating_point() and value.ndim and value.device.type == "cpu":
                value.masked_fill_(value.abs() < TINY, 0.0)
