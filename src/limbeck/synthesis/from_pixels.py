"""Samples whose own values learn, from noise, a new batch each round (DeepInversion, Yin et al. 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.synthesis.frame import Frame
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.maker import Made, Maker, every_class

MOMENTA = (0.5, 0.9)


class FromPixels(Maker):
    """Values that take some steps a round, towards classes of equal number. rate: of Adam, down a cosine; classes: C.

    Pictures are rolled by up to a sixteenth of a side before each step, so that no pixel matters by itself.
    """

    def __init__(self, frame: Frame, *, classes: int, rate: float, steps: int) -> None:
        super().__init__()
        self.frame, self.classes, self.rate, self.steps = frame, classes, rate, steps

    def make(self, guide: Guide, count: int) -> Made:
        """Return values that began as noise."""
        device = self.frame.mean.device
        values = torch.randn(count, *self.frame.shape, device=device, requires_grad=True)
        wanted = every_class(count, self.classes, device)
        optimizer = torch.optim.Adam([values], lr=self.rate, betas=MOMENTA)
        for step in range(self.steps):
            optimizer.param_groups[0]["lr"] = self.rate * (1 + math.cos(math.pi * step / self.steps)) / 2
            loss, parts = guide.loss(self._rolled(self.frame.fill(values)), wanted)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        return Made(self.frame.fill(values).detach(), parts)

    def _rolled(self, samples: Tensor) -> Tensor:
        if not self.frame.pictures:
            return samples
        shifts = [int(torch.randint(-(side // 16), side // 16 + 1, ())) for side in samples.shape[2:]]
        return samples.roll(shifts, dims=(2, 3))
