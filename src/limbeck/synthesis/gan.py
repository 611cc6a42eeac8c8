"""Samples of a class-conditional GAN on the few real samples that there are (Goodfellow et al. 2014, non-saturating).

Shapes: B samples, Z latent numbers, C classes, K channels, H rows and W columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.synthesis.frame import Frame
from limbeck.synthesis.generator import SLOPE, generator_for, with_class
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.maker import BETAS, Made, Maker, every_class

SHIFT = 8  # a side's share that pictures are shifted by before the discriminator sees them, so that few last longer


class Discriminator(nn.Module):
    """Says how real a sample of a class looks: `w.h(x) + e(y).h(x)` (a projection discriminator).

    frame: of the samples; classes: C; width: channels of the first layer, doubled once; a sixteenth of the hidden units
    for vectors.
    """

    def __init__(self, frame: Frame, classes: int, width: int) -> None:
        super().__init__()
        self.body = _pictures(frame, width) if frame.pictures else _vectors(frame, 16 * width)
        with torch.no_grad():
            features = self.body(torch.zeros(2, *frame.shape)).shape[1]
        self.real = nn.Linear(features, 1)
        self.of_class = nn.Embedding(classes, features)

    def forward(self, samples: Tensor, classes: Tensor) -> Tensor:
        """Return a score [B] of samples [B, ...] as classes (int64 [B]), the log-odds that they are real."""
        features = self.body(samples)
        score: Tensor = self.real(features).squeeze(1) + (self.of_class(classes) * features).sum(1)
        return score


class Gan(Maker):
    """The game on real samples [N, ...] with labels (int64 [N]), some steps a round.

    rate: of Adam on both sides; latent, width: see `generator_for`; classes: C.
    """

    def __init__(
        self,
        frame: Frame,
        real: Tensor,
        labels: Tensor,
        *,
        classes: int,
        latent: int,
        width: int,
        rate: float,
        steps: int,
    ) -> None:
        super().__init__()
        device = frame.mean.device
        self.frame, self.real, self.labels = frame, real.to(device), labels.to(device)
        self.classes, self.latent, self.steps = classes, latent, steps
        self.generator = generator_for(frame, latent + classes, width).to(device).train()
        self.discriminator = Discriminator(frame, classes, width).to(device).train()
        self.modules = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {
            name: torch.optim.Adam(module.parameters(), lr=rate, betas=BETAS) for name, module in self.modules.items()
        }

    def make(self, guide: Guide, count: int) -> Made:
        """Play, and return what the generator makes after."""
        for _ in range(self.steps):
            parts = self._play(count)
        with torch.no_grad():
            return Made(self._generate(every_class(count, self.classes, self.real.device)), parts)

    def _play(self, count: int) -> dict[str, float]:
        """Take a step on both sides and return both losses."""
        rows = torch.randint(len(self.real), (count,), device=self.real.device)
        real, classes = self.real[rows], self.labels[rows]
        made = self._generate(classes)
        scores = self.discriminator(_moved(real), classes), self.discriminator(_moved(made.detach()), classes)
        told_apart = functional.softplus(-scores[0]).mean() + functional.softplus(scores[1]).mean()
        self._step("discriminator", told_apart)
        fooled = functional.softplus(-self.discriminator(_moved(made), classes)).mean()
        self._step("generator", fooled)
        return {"discriminator": float(told_apart.detach()), "generator": float(fooled.detach())}

    def _generate(self, classes: Tensor) -> Tensor:
        latents = torch.randn(len(classes), self.latent, device=classes.device)
        samples: Tensor = self.generator(with_class(latents, classes, self.classes))
        return samples

    def _step(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=list(self.modules[name].parameters()))
        optimizer.step()


def _moved(samples: Tensor) -> Tensor:
    """Return pictures [B, K, H, W], each shifted by up to an eighth of a side, zeros behind; vectors as they are."""
    if samples.ndim != 4:
        return samples
    count, _, height, width = samples.shape
    down, across = (torch.randint(-(side // SHIFT), side // SHIFT + 1, (count, 1)) for side in (height, width))
    rows, columns = torch.arange(height) + down, torch.arange(width) + across
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    place = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    place = place.flatten(1)[:, None].expand(-1, samples.shape[1], -1).to(samples.device)
    return samples.flatten(2).gather(2, place).view_as(samples) * inside[:, None].to(samples.device)


def _pictures(frame: Frame, width: int) -> nn.Sequential:
    channels, *sides = frame.shape
    layers: list[nn.Module] = []
    wide = width
    for _ in range(max(1, int(math.log2(min(sides) / 4)))):
        layers += [nn.Conv2d(channels, wide, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        channels, wide = wide, 2 * width
    return nn.Sequential(*layers, nn.Flatten())


def _vectors(frame: Frame, hidden: int) -> nn.Sequential:
    layers = (nn.Linear(math.prod(frame.shape), hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, hidden))
    return nn.Sequential(nn.Flatten(), *layers, nn.LeakyReLU(SLOPE))
