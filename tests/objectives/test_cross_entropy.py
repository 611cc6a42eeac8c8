from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from limbeck.objectives.cross_entropy import CrossEntropy, cross_entropy
from limbeck.types import Batch, Knowledge, Outputs

LOGITS = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, -1, 0, -1, 2, 3])


def test_equals_the_log_loss_of_scikit_learn_over_labelled_rows() -> None:
    known = LABELS >= 0
    wanted = log_loss(LABELS[known], LOGITS[known].softmax(1), labels=range(4))
    assert cross_entropy(LOGITS, LABELS).item() == pytest.approx(wanted)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothing_spreads_a_share_of_the_target(smoothing: float) -> None:
    total = 0.0
    for logits, label in zip(LOGITS.numpy(), LABELS.tolist(), strict=True):
        if label < 0:
            continue
        target = np.full(4, smoothing / 4)
        target[label] += 1 - smoothing
        total -= (target * (logits - np.log(np.exp(logits).sum()))).sum()
    term = CrossEntropy(smoothing)
    value = term(Outputs(LOGITS), Knowledge(), Batch(LOGITS, LABELS))
    assert value.item() == pytest.approx(total / int((LABELS >= 0).sum()))


def test_withheld_labels_teach_nothing() -> None:
    logits = LOGITS.clone().requires_grad_(True)
    cross_entropy(logits, LABELS, 0.1).backward()
    assert logits.grad is not None
    rows = logits.grad.abs().sum(1) > 0
    assert torch.equal(rows, LABELS >= 0)


def test_no_label_at_all_is_a_zero_that_can_be_differentiated() -> None:
    logits = torch.full((3, 4), 6e4, dtype=torch.float16, requires_grad=True)
    for labels in (None, torch.full((3,), -1)):
        value = CrossEntropy()(Outputs(logits), Knowledge(), Batch(logits, labels))
        assert value.item() == 0 and value.dtype == torch.float32
        assert torch.autograd.grad(value, logits)[0].abs().sum() == 0


@pytest.mark.parametrize("cuts", [[4], [1, 8], [3, 5, 6]])
@pytest.mark.parametrize("mixed", [False, True])
def test_parts_of_a_batch_add_up_by_the_rows_that_count(cuts: list[int], mixed: bool) -> None:
    partners = LABELS.roll(2)
    shares = torch.linspace(0, 1, 9, dtype=torch.float64)
    term, numbers = CrossEntropy(0.1), torch.arange(9)

    def part(rows: torch.Tensor) -> tuple[float, float]:
        extra = (None, None, rows, partners[rows], shares[rows]) if mixed else ()
        batch = Batch(LOGITS[rows], LABELS[rows], *extra)
        count = torch.as_tensor(term.counted(Knowledge(), batch))
        return float(term(Outputs(LOGITS[rows]), Knowledge(), batch)), float(count)

    whole, total = part(numbers)
    values = [part(rows) for rows in numbers.tensor_split(cuts)]
    assert total == sum(count for _, count in values) > 0
    assert sum(value * count / total for value, count in values) == pytest.approx(whole)
