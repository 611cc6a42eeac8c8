"""Transfer: what breaks another model is tried on this one (Papernot, McDaniel, Goodfellow 2016).

Shapes: B samples, C classes.
"""

from __future__ import annotations

from torch import Tensor

from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Norm
from limbeck.robustness.attack import Model, Worst, ask, check_request
from limbeck.robustness.pgd import pgd


def transferred(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    source: Model,
    epsilon: float,
    step_size: float,
    steps: int,
    restarts: int = 1,
    norm: Norm = "linf",
    seed: int = 0,
) -> Tensor:
    """Return the worst input for each sample [B, ...] of those that projected gradient descent makes on another model.

    model, source: from inputs in 0..1 to logits [B, C], the one that is judged and the one whose gradients are used;
    epsilon, step_size: in the inputs' unit; restarts: how many inputs of each sample are tried, one query each. Raises
    UserError for inputs outside of 0..1.
    """
    check_request(inputs, labels, epsilon, step_size, steps)
    with evaluating(model):
        worst = Worst(model, inputs, labels)
        for attempt, rows in enumerate(worst.attempts(restarts)):
            points = pgd(
                source, inputs[rows], labels[rows], epsilon=epsilon, step_size=step_size, steps=steps, norm=norm,
                seed=seed + attempt,
            )  # fmt: skip
            worst.note(rows, points, ask(model, points))
    return worst.points
