"""Samples of a generator that goes on learning, from new random numbers at each step (DAFL, Chen et al. 2019)."""

from __future__ import annotations

from functools import partial

import torch

from limbeck.synthesis.frame import Frame
from limbeck.synthesis.generator import generator_for
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.maker import BETAS, Made, Maker


class FromGenerator(Maker):
    """A generator that takes some steps a round. rate: of Adam; latent, width: see `generator_for`."""

    def __init__(self, frame: Frame, *, latent: int, width: int, rate: float, steps: int) -> None:
        super().__init__()
        self.latent, self.steps = latent, steps
        self._new = partial(generator_for, frame, latent, width)
        self.generator = self._new().to(frame.mean.device).train()
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=rate, betas=BETAS)
        self.modules, self.optimizers = {"generator": self.generator}, {"generator": self.optimizer}

    def begin_again(self) -> None:
        """Take a new generator: the pool keeps what the old one has found, and the student has learned it."""
        self.generator.load_state_dict(self._new().state_dict())
        self.optimizer.state.clear()

    def make(self, guide: Guide, count: int) -> Made:
        """Let the generator learn, and return what it made in its last step."""
        device = next(self.generator.parameters()).device
        for _ in range(self.steps):
            latents = torch.randn(count, self.latent, device=device)
            with guide.arithmetic.casting(device):
                samples = self.generator(latents)
            loss, parts = guide.loss(samples, None)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.optimizer.step()
        return Made(samples.detach(), parts)
