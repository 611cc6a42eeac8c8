"""Samples of a generator that learns together with the numbers it is given (CMI, Fang et al. 2021; Fast, 2022)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from limbeck.synthesis.frame import Frame
from limbeck.synthesis.generator import generator_for
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.maker import BETAS, Made, Maker, every_class


class FromLatents(Maker):
    """New latents each round, and a generator that learns with them for some steps, towards classes of equal number.

    rate: of Adam for the latents; the generator's is a third of it. meta: with 1 the generator goes on from where a
    round left it; below, it goes back to that share of its way, so that it stays a good start for any batch (the
    first-order meta-learning of Fast, after Reptile). latent, width: see `generator_for`; classes: C.
    """

    def __init__(
        self, frame: Frame, *, classes: int, latent: int, width: int, rate: float, steps: int, meta: float
    ) -> None:
        super().__init__()
        self.classes, self.latent, self.rate, self.steps, self.meta = classes, latent, rate, steps, meta
        self.generator = generator_for(frame, latent, width).to(frame.mean.device).train()
        self.modules = {"generator": self.generator}

    def make(self, guide: Guide, count: int) -> Made:
        """Return the samples of the round's last step."""
        device = next(self.generator.parameters()).device
        learner = copy.deepcopy(self.generator)
        latents = torch.randn(count, self.latent, device=device, requires_grad=True)
        wanted = every_class(count, self.classes, device)
        groups: list[dict[str, Any]] = [
            {"params": [latents]},
            {"params": list(learner.parameters()), "lr": self.rate / 3},
        ]
        optimizer = torch.optim.Adam(groups, lr=self.rate, betas=BETAS)
        for _ in range(self.steps):
            with guide.arithmetic.casting(device):
                samples = learner(latents)
            loss, parts = guide.loss(samples, wanted)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        _move(self.generator, learner, self.meta)
        if guide.memory is not None and (features := guide.ask(samples.detach()).features) is not None:
            guide.memory.add(features.detach())
        return Made(samples.detach(), parts)


@torch.no_grad()
def _move(generator: nn.Module, learner: nn.Module, share: float) -> None:
    """Bring a generator a share of the way to what was learned from it."""
    for weight, learned in zip(generator.parameters(), learner.parameters(), strict=True):
        weight.lerp_(learned, share)
    for buffer, newer in zip(generator.buffers(), learner.buffers(), strict=True):
        buffer.copy_(newer)
