"""What a recipe may say for each kind of labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from limbeck.types import TaskName

STAND_INS = ("gaussian_noise", "uniform_noise", "matched_noise", "proxy")
"""Controls of a student that learns from generated samples: the same teacher answers for samples of another kind."""
CONTROLS_OF: Mapping[TaskName, tuple[str, ...]] = {
    "classification": (
        "labels",
        "smoothing",
        "teacher_labels",
        "self_training",
        "source_only",
        "adversarial",
        "trades",
        "scratch",
        "single",
        *STAND_INS,
    ),
    "regression": ("labels", "scratch"),
    "multi_label": ("labels", "scratch"),
}
MARGIN: Mapping[TaskName, float] = {"classification": 0.005, "regression": 0.05, "multi_label": 0.01}
"""A gain below it does not matter: in accuracy, a share of the control's squared error, in mean average precision."""


def check_controls(names: Iterable[str], task: TaskName) -> None:
    """Raise ValueError for a control that makes no sense for a task."""
    for name in names:
        if name in CONTROLS_OF["classification"] and name not in CONTROLS_OF[task]:
            raise ValueError(
                f"the control {name} is for classification, where a sample has one class, but data.task is {task}; "
                f"expected {', '.join(CONTROLS_OF[task])}, or leave controls out"
            )
