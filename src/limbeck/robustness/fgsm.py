"""The fast gradient sign method: one step (Goodfellow, Shlens, Szegedy 2015).

Shapes: B samples, C classes.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Norm, ball_around
from limbeck.robustness.attack import Model, ascent, check_request, surprise


def fgsm(model: Model, inputs: Tensor, labels: Tensor, *, epsilon: float, norm: Norm = "linf") -> Tensor:
    """Return inputs [B, ...] after one step of length epsilon up the cross-entropy with their labels [B].

    model: from inputs in 0..1 to logits [B, C]; epsilon: in the inputs' unit. Raises UserError for inputs outside of
    0..1.
    """
    check_request(inputs, labels, epsilon)
    with evaluating(model):
        _, gradient = ascent(model, inputs, partial(surprise, labels=labels))
    return ball_around(inputs, epsilon=epsilon, norm=norm).step(inputs, gradient, epsilon)
