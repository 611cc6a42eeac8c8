from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from limbeck.objectives.binary_soft_labels import BinarySoftLabels, binary_soft_labels
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs

STUDENT = 3 * torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TEACHER = 3 * torch.randn(8, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_equals_binary_cross_entropy_less_the_teachers_entropy() -> None:
    yes = (TEACHER / 2).sigmoid()
    entropy = -(yes * yes.log() + (1 - yes) * (1 - yes).log())
    wanted = binary_cross_entropy_with_logits(STUDENT / 2, yes, reduction="none") - entropy
    assert binary_soft_labels(STUDENT, TEACHER, 2.0).item() == pytest.approx(4 * wanted.sum(1).mean().item())


def test_one_class_is_two_classes_of_soft_labels() -> None:
    """A sigmoid of z is a softmax of (z, 0)."""
    pairs = [torch.stack([z[:, 0], torch.zeros(8, dtype=z.dtype)], 1) for z in (STUDENT, TEACHER)]
    wanted = soft_labels(pairs[0], (pairs[1] / 3).log_softmax(1), 3.0)
    torch.testing.assert_close(binary_soft_labels(STUDENT[:, :1], TEACHER[:, :1], 3.0), wanted)


def test_classes_are_added_up_and_samples_averaged() -> None:
    one = [float(binary_soft_labels(STUDENT[:, [c]], TEACHER[:, [c]])) for c in range(6)]
    assert float(binary_soft_labels(STUDENT, TEACHER)) == pytest.approx(np.sum(one))


def test_a_shift_that_a_softmax_would_not_see_counts() -> None:
    value = BinarySoftLabels()(Outputs(TEACHER + 2), Knowledge(logits=TEACHER), Batch(TEACHER))
    assert value > 1
