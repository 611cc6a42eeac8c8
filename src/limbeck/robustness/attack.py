"""What all attacks share: how a model is asked, what counts as broken, and the worst that was found for each sample.

Shapes: B samples, C classes. A model is a function from inputs [B, ...] in 0..1 to logits [B, C], with its
normalisation inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError, UserError
from limbeck.models.adapt import Adapted
from limbeck.objectives.ball import each

Model = Callable[[Tensor], Tensor]


class Logits(nn.Module):
    """A model of Limbeck's as one that gives logits alone, as attacks ask it."""

    def __init__(self, model: Adapted) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [B, C] for inputs [B, ...]."""
        logits: Tensor = self.model(inputs).logits
        return logits


def check_request(inputs: Tensor, labels: Tensor, epsilon: float, step_size: float = 0.0, steps: int = 1) -> None:
    """Raise UserError for inputs that are not in 0..1, labels that are withheld, or a budget that cannot be meant."""
    if not inputs.is_floating_point() or len(inputs) != len(labels) or labels.is_floating_point():
        raise UserError(
            f"An attack expects inputs [B, ...] of floats and labels [B] of whole numbers, got "
            f"{list(inputs.shape)} {inputs.dtype} and {list(labels.shape)} {labels.dtype}."
        )
    if len(inputs) and not (float(inputs.min()) >= 0 and float(inputs.max()) <= 1):
        raise UserError(
            f"An attack expects inputs in 0..1, got {float(inputs.min()):g} to {float(inputs.max()):g}; normalisation "
            f"belongs into the model."
        )
    if len(labels) and int(labels.min()) < 0:
        raise UserError("An attack expects the label of every sample, got withheld ones (-1); leave those rows out.")
    if not (math.isfinite(epsilon) and epsilon >= 0 and math.isfinite(step_size) and step_size >= 0 and steps >= 1):
        raise UserError(
            f"An attack expects epsilon and step_size of 0 or more and at least one step, got {epsilon:g}, "
            f"{step_size:g} and {steps}."
        )


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the largest other logit less that of the label [B]; above 0 the sample is broken."""
    own = logits.gather(1, labels[:, None])
    return logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1) - own[:, 0]


def surprise(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample with its label [B], in nats."""
    return functional.cross_entropy(logits, labels, reduction="none")


@torch.no_grad()
def ask(model: Model, inputs: Tensor) -> Tensor:
    """Return a model's logits [B, C] without gradients. Raises ModelError where it returns something else."""
    return _checked(model(inputs), inputs)


def ascent(model: Model, points: Tensor, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the logits [B, C] at some points [B, ...], and the gradient of a loss there; no parameter gets one.

    loss: from logits to one value for each sample [B].
    """
    with torch.enable_grad():
        points = points.detach().requires_grad_(True)
        logits = _checked(model(points), points)
        (gradient,) = torch.autograd.grad(loss(logits).sum(), points)
    return logits.detach(), gradient


def _checked(logits: object, inputs: Tensor) -> Tensor:
    if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == len(inputs):
        return logits
    found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    raise ModelError(
        f"An attack asks a function that returns logits [{len(inputs)}, classes], got {found}; "
        f"limbeck.robustness.attack.Logits makes one of a model."
    )


class Worst:
    """The worst input found for each sample so far, itself included: the one whose margin is largest.

    points: [B, ...]; margins: [B], above 0 where the sample is broken.
    """

    def __init__(self, model: Model, inputs: Tensor, labels: Tensor) -> None:
        self.labels = labels
        self.points = inputs.detach().clone()
        self.margins = margins(ask(model, inputs), labels)

    def attempts(self, count: int) -> Iterator[Tensor]:
        """Yield the rows of each of several attempts, int64 [R]: all at first, then those that are not broken yet."""
        yield torch.arange(len(self.points), device=self.points.device)
        for _ in range(count - 1):
            rows = torch.nonzero(self.margins <= 0)[:, 0]
            if not len(rows):
                return
            yield rows

    def unbroken(self, rows: Tensor) -> Tensor:
        """Return which of some rows [R] are not broken yet, as places in them, int64."""
        return torch.nonzero(self.margins[rows] <= 0)[:, 0]

    def note(self, rows: Tensor, points: Tensor, logits: Tensor) -> Tensor:
        """Keep those points [R, ...] that are worse for their rows than what is known; return which are, bool [R]."""
        found, known = margins(logits, self.labels[rows]), self.margins[rows]
        worse = found > known
        self.points[rows] = torch.where(each(worse, points), points, self.points[rows])
        self.margins[rows] = torch.where(worse, found, known)
        return worse
