"""How a model is trained; the signature is the recipe's `train:` section."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Select = Literal["validation", "entropy", "neighbourhood", "weighted"]

WARM_UP_SHARE = 0.3
START_FRACTION = 1 / 25


@dataclass(frozen=True)
class Settings:
    """Settings of one fit.

    epochs: passes over the transfer set; steps: optimizer steps, in place of epochs; batch_size: samples a
    step; optimizer: what takes the steps; lr: the highest learning rate; weight_decay: pull of the weights to
    0, decoupled for adamw; momentum: used by sgd alone; schedule: course of the learning rate over the whole
    fit; patience: stop after this many epochs without a better figure of what selects; select: which epoch is kept, by
    accuracy on validation samples, or for a target without labels by the certainty (entropy) or the groups
    (neighbourhood) of its answers there, or by validation weighted for the target; precision: of products, auto is
    bf16 where the processor has units for it and the model is large enough to gain; compile: take steps by
    torch.compile, auto where a long fit on a processor gains; accumulate: parts that a batch is taken in, for less
    memory; layer_decay: above 0 and up to 1, what the learning rate is multiplied by from each layer with weights to
    the one before it; head_factor: what that of the last layer is multiplied by.
    """

    epochs: Count = 20
    steps: Count | None = None
    batch_size: Count = 128
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Positive = 0.003
    weight_decay: NotNegative = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["one_cycle", "cosine", "linear", "constant"] = "one_cycle"
    patience: Count | None = None
    select: Select = "validation"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto", "always", "never"] = "auto"
    accumulate: Count = 1
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    head_factor: Positive = 1.0

    def steps_per_epoch(self, samples: int) -> int:
        """Return how many steps show about as many samples as there are."""
        return max(1, round(samples / self.batch_size))

    def total_steps(self, samples: int) -> int:
        """Return the number of optimizer steps of a fit on this many samples."""
        return self.steps if self.steps is not None else self.epochs * self.steps_per_epoch(samples)


def build_optimizer(
    settings: Settings, model: nn.Module, others: Iterable[nn.Parameter] = (), beside: nn.Module | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name, over a model's trainable parameters and others.

    beside: a network that learns along with the model, under the same settings. Each group has a `factor` that its
    learning rate is multiplied by.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    along = [] if beside is None else _factors(settings, beside)
    for factor, parameter in [*_factors(settings, model), *((1.0, one) for one in others), *along]:
        if parameter.requires_grad:
            groups.setdefault(factor, []).append(parameter)
    trainable = [{"params": group, "factor": factor} for factor, group in groups.items()]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            trainable,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.momentum > 0,
            fused=True,
        )
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(trainable, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def _factors(settings: Settings, model: nn.Module) -> list[tuple[float, nn.Parameter]]:
    """Return each parameter with what its learning rate is multiplied by.

    A layer is a module with parameters of its own, in the order in which the model holds them.
    """
    layers = [list(module.parameters(recurse=False)) for module in model.modules()]
    layers = [layer for layer in layers if layer]
    found: dict[int, tuple[float, nn.Parameter]] = {}
    for place, layer in enumerate(layers):
        last = place == len(layers) - 1
        factor = settings.layer_decay ** (len(layers) - 1 - place) * (settings.head_factor if last else 1.0)
        for parameter in layer:
            found.setdefault(id(parameter), (factor, parameter))
    return list(found.values())


def learning_rate(settings: Settings, step: int, total: int) -> float:
    """Return the learning rate of a step in 0..total-1: a pure function, so resuming needs no state.

    one_cycle (Smith & Topin 2018): cosine from lr/25 up to lr over the first 30 %, cosine down to 0 after.
    """
    done = step / max(total, 1)
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "linear":
        return settings.lr * (1 - done)
    if settings.schedule == "cosine":
        return settings.lr * _cosine(1.0, 0.0, done)
    if done < WARM_UP_SHARE:
        return settings.lr * _cosine(START_FRACTION, 1.0, done / WARM_UP_SHARE)
    return settings.lr * _cosine(1.0, 0.0, (done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
