"""Contrastive representation distillation: each sample is told from many others (Tian, Krishnan, Isola 2020).

Shapes: B samples in the batch, N in training, D dimensions of an embedding, K negatives.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm, over_space
from limbeck.objectives.pairing import Layers, Shape
from limbeck.types import Batch

TINY = 1e-7
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


def contrastive(alike: Tensor, others: Tensor, samples: int) -> Tensor:
    """Return the loss of telling a pair of one sample from K pairs of any two, in nats, the mean over the batch.

    alike: likelihoods of the sample itself, [B]; others: of K drawn ones, [B, K]; samples: N (equations 9 to 11 of the
    paper: -log h of the one, -log (1 - h) of the others, h = p / (p + K / N)).
    """
    noise = others.shape[1] / samples
    itself = torch.log(alike / (alike + noise + TINY))
    drawn = torch.log(noise / (others + noise + TINY)).sum(dim=1)
    return -(itself + drawn).mean()


class Contrastive(FeatureTerm):
    """Tell the teacher's embedding of the same sample from those of others, in a memory of all samples, and back.

    layers: auto, the vector before the classifier, or one pair student:teacher of module paths; of pictures and tokens
    the mean over space is taken. dim: of the embeddings; negatives: samples drawn to tell from, with replacement;
    temperature: that products of embeddings are divided by, above 0; momentum: share of an old embedding that its
    successor keeps, 0 or more and below 1. Both sides have a learned linear embedding, trained with the student and
    never shipped; the memory holds 2 N D numbers in the checkpoint, addressed by `Batch.index`. It changes with each
    step, so a batch cannot be taken in parts. Published weight: 0.8.
    """

    reach = "embedding"
    additive = False
    bank: Tensor
    level: Tensor

    def __init__(
        self,
        layers: Layers = "auto",
        dim: Count = 128,
        negatives: Count = 16384,
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Share = 0.5,
    ) -> None:
        super().__init__(layers)
        self.dim, self.negatives, self.temperature, self.momentum = dim, negatives, temperature, momentum
        if len(self.named) > 1:
            raise ObjectiveError(f"contrastive compares one pair of layers, got {len(self.named)}.")

    def build(self, context: Context) -> None:
        """Make both embeddings, and the memory, whose rows start anywhere."""
        (pair,) = self.pairs
        sizes = (_width(pair.student_shape), _width(pair.teacher_shape))
        self.embeddings = nn.ModuleList(nn.Linear(size, self.dim) for size in sizes)
        reach = math.sqrt(3 / self.dim)
        self.register_buffer("bank", torch.empty(2, context.samples, self.dim).uniform_(-reach, reach))
        self.register_buffer("level", torch.zeros(2))  # what likelihoods are divided by, 0 until the first batch

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the losses of both sides added up, and put the embeddings of the batch into the memory."""
        if batch.index is None:
            raise ObjectiveError("contrastive finds samples in its memory by Batch.index, which this batch has not.")
        samples = self.bank.shape[1]
        drawn = torch.randint(samples, (len(student), self.negatives), device=student.device)
        rows = torch.cat([batch.index[:, None].to(drawn), drawn], dim=1)
        embedded = [self._embed(side, over_space(one)) for side, one in enumerate((student, teacher))]
        losses = []
        for side, one in enumerate(embedded):
            products = one @ self.bank[1 - side].T.to(one)  # with all samples, which takes less than to copy K of them
            likely = torch.exp(products.gather(1, rows) / self.temperature)
            likely = likely / self._level(side, likely, samples)
            losses.append(contrastive(likely[:, 0], likely[:, 1:], samples))
        self._remember(batch.index, embedded)
        return losses[0] + losses[1]

    def _embed(self, side: int, features: Tensor) -> Tensor:
        return functional.normalize(self.embeddings[side](features), dim=1)

    @torch.no_grad()
    def _level(self, side: int, likely: Tensor, samples: int) -> Tensor:
        """Return what makes likelihoods sum to about 1 over all samples, as the first batch has it."""
        known = self.level[side]
        self.level[side] = torch.where(known == 0, (likely.mean() * samples).to(known), known)
        return self.level[side].clone().to(likely)  # the graph keeps it while the other side's is written

    @torch.no_grad()
    def _remember(self, index: Tensor, embedded: list[Tensor]) -> None:
        """Move the memory of these samples towards their embeddings, in a new tensor: the old one is in the graph."""
        bank = self.bank.clone()
        for side, one in enumerate(embedded):
            moved = self.momentum * bank[side, index] + (1 - self.momentum) * one.to(bank)
            bank[side, index] = functional.normalize(moved, dim=1)
        self.bank = bank


def _width(shape: Shape) -> int:
    return shape[-1] if len(shape) == 2 else shape[0]
