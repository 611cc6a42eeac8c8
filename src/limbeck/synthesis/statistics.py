"""What is known of the inputs that a teacher's layers had in its training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.models.adapt import Adapted
from limbeck.synthesis.batch_norm import Moments, moments_of


def known_moments(model: Adapted) -> Moments:
    """Return the running mean and variance of a model's batch norms, by path; nothing where it has none."""
    return {
        name: (module.running_mean.clone(), module.running_var.clone())
        for name, module in model.net.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None
    }


@torch.no_grad()
def recorded_moments(model: Adapted, batches: Iterable[Tensor]) -> Moments:
    """Return mean and variance of what goes into a model's layers with matrices, for a model without batch norm.

    batches: real samples [B, ...], of one size each, but for the last one maybe. The model is in evaluation mode.
    """
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    names = [name for name, module in model.net.named_modules() if isinstance(module, layers) and name]
    sums: dict[str, list[Tensor]] = {}
    for samples in batches:
        with model.hearing(names) as heard:
            model(samples)
        for name, inputs in heard.items():
            if inputs.ndim not in (2, 4):
                continue
            mean, variance = (value.double() * len(samples) for value in _first_two(inputs))
            so_far = sums.setdefault(name, [torch.zeros_like(mean), torch.zeros_like(mean), torch.zeros(1)])
            sums[name] = [so_far[0] + mean, so_far[1] + variance, so_far[2] + len(samples)]
    return {name: _moments(*found) for name, found in sums.items()}


def _first_two(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of the inputs and of their squares, by channel."""
    mean, variance = moments_of(inputs)
    return mean, variance + mean**2


def _moments(mean: Tensor, square: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    mean, square = mean / count.to(mean.device), square / count.to(mean.device)
    return mean.float(), (square - mean**2).clamp(min=0).float()
