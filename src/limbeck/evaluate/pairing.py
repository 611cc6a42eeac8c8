"""Checks that figures of student, controls and teacher belong to the same seeds and test samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def check_request(
    student: Floats, controls: Mapping[str, Floats], validation: Mapping[str, float], margin: float
) -> None:
    """Raise ValueError without two samples, a control, its validation accuracy and a margin in 0..1."""
    if student.shape[1] < 2:
        raise ValueError("Expected at least two test samples to judge on; got one. Use a larger test split.")
    if not controls:
        raise ValueError("Expected at least one control without a teacher; got none, so nothing can be judged.")
    missing = [name for name in controls if name not in validation]
    if missing:
        raise ValueError(
            f"Expected a validation accuracy for each control; {', '.join(missing)} has none. "
            "The opponent is chosen on validation, never on test data."
        )
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"Expected a margin in 0..1; got {margin}. 0.005 stands for half a point.")


def rows(teacher: Floats, student: Floats, metric: str) -> Floats:
    """Return the teacher as [S, N]; one teacher shared by all seeds is given as [N]."""
    values = np.asarray(teacher, dtype=np.float64)
    if values.ndim == 1 and len(values) == student.shape[1]:
        values = np.broadcast_to(values, student.shape)
    return matching("the teacher", values, student, metric)


def matching(name: str, values: Floats, student: Floats, metric: str) -> Floats:
    """Return values [S, N] that pair with the student's, or raise ValueError."""
    values = checked(name, values, metric)
    if values.shape != student.shape:
        raise ValueError(
            f"Expected {name} to match the student: {student.shape[0]} seeds and {student.shape[1]} samples; "
            f"got shape {values.shape}. Evaluate both with the same seeds on the same test samples."
        )
    return values


def checked(name: str, values: Floats, metric: str) -> Floats:
    """Return finite values [S, N] as float64; an accuracy may hold 0 and 1 only. Raise ValueError if not."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"Expected {name} as values of shape [seeds, samples]; got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"Expected finite values for {name}; some are not. Check that training did not diverge.")
    if metric == "accuracy" and not np.isin(values, (0.0, 1.0)).all():
        raise ValueError(f"Expected {name} as 1 for right and 0 for wrong; other values came.")
    return values
