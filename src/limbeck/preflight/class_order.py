"""Do the teacher's outputs mean the classes of the data, in their order? N: judged samples, C: classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from limbeck.preflight.chance import explains
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject

MARGIN = 0.02
SHOWN = 4


def check_class_order(subject: Subject) -> list[Finding]:
    """Find the renaming of the teacher's classes that fits the labels best; a fault `class_order` if it is better.

    It is chosen on one half of the judged rows (linear assignment on the confusion matrix) and judged on the other by
    `explains`, with a margin of 2 points.
    """
    top, labels, count = subject.given_logits.argmax(1), subject.labels, len(subject.plan.data.classes)
    half = len(labels) // 2
    order = best_order(top[:half], labels[:half], count)
    before, after = (top == labels)[half:], (order[top] == labels)[half:]
    vote = (subject.neighbours == labels)[half:]
    if not explains(after, before, vote, MARGIN):
        return []
    told = describe(order, subject.plan.data.classes)
    sentence = (
        f"The teacher's classes are in another order: {told}. With them renamed it is right on "
        f"{float(after.float().mean()):.1%}, as they are on {float(before.float().mean()):.1%}; give the classes in "
        f"the teacher's order."
    )
    return [Finding("fault", "class_order", sentence)]


def best_order(top: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the one-to-one renaming int64 [C] of the teacher's top classes that agrees most with the labels.

    top, labels: int64 [N]. Among equals a class keeps its place.
    """
    confusion = torch.zeros(classes, classes, dtype=torch.float64)
    confusion.index_put_((top, labels), torch.ones(len(top), dtype=torch.float64), accumulate=True)
    confusion += 0.5 * torch.eye(classes, dtype=torch.float64)
    _, columns = linear_sum_assignment(confusion.numpy(), maximize=True)
    return torch.as_tensor(columns)


def describe(order: Tensor, classes: Sequence[str]) -> str:
    """Say what a renaming int64 [C] does, in words."""
    count = len(classes)
    moved = [place for place in range(count) if int(order[place]) != place]
    step = int(order[0]) % count
    if len(moved) == count and count > 2 and all(int(order[place]) == (place + step) % count for place in moved):
        places = min(step, count - step)
        return "labels are off by one" if places == 1 else f"labels are off by {places}"
    pairs = [f'its "{classes[place]}" is "{classes[int(order[place])]}"' for place in moved[:SHOWN]]
    return ", ".join(pairs) + (f", and {len(moved) - SHOWN} more" if len(moved) > SHOWN else "")
