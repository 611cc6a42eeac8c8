from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.objectives.base import log_softened
from limbeck.objectives.decoupled_soft_labels import DecoupledSoftLabels, decoupled_soft_labels, target_classes
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs

STUDENT = 3 * torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TEACHER = 3 * torch.randn(8, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1])


@given(st.floats(0.5, 20), st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=25)
def test_the_parts_add_up_to_soft_labels_by_the_mass_of_the_others(temperature: float, classes: int, seed: int) -> None:
    """Zhao et al. 2022, equation 6: KL = KL(b) + (1 - p_t[y]) KL(q), row by row."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(1, classes, generator=generator, dtype=torch.float64) for _ in range(2))
    said, target = log_softened(Knowledge(logits=teacher), temperature), torch.tensor([seed % classes])
    left = 1 - float(said.exp()[0, target])
    mine = decoupled_soft_labels(student, said, target, temperature, target=1.0, others=left)
    torch.testing.assert_close(mine, soft_labels(student, said, temperature), rtol=1e-6, atol=1e-9)


def value(labels: torch.Tensor | None, *mixed: torch.Tensor, term: DecoupledSoftLabels | None = None) -> torch.Tensor:
    extra = (None, None, None, *mixed) if mixed else ()
    batch = Batch(STUDENT, labels, *extra)
    found: torch.Tensor = (term or DecoupledSoftLabels())(Outputs(STUDENT), Knowledge(logits=TEACHER), batch)
    return found


def test_a_row_without_a_label_takes_the_teachers_top_class() -> None:
    top = TEACHER.argmax(1)
    assert not torch.equal(top, LABELS)
    assert torch.equal(value(None), value(top)) and torch.equal(value(torch.full((8,), -1)), value(top))
    some = torch.where(torch.arange(8) % 2 == 0, LABELS, -1)
    assert torch.equal(value(some), value(torch.where(some < 0, top, LABELS)))


def test_a_mixed_row_counts_as_the_larger_share() -> None:
    partners, share = LABELS.roll(3), torch.linspace(0.1, 1.0, 8)
    chosen = torch.where(share >= 0.5, LABELS, partners)
    assert torch.equal(value(LABELS, partners, share), value(chosen))
    hidden = target_classes(TEACHER, Batch(STUDENT, LABELS, None, None, None, torch.full((8,), -1), share))
    assert torch.equal(hidden, torch.where(share >= 0.5, LABELS, TEACHER.argmax(1)))


def test_each_part_looks_at_what_it_says() -> None:
    """The first part sees the target class alone, the second everything but it."""
    moved = STUDENT.clone()
    moved[torch.arange(8), LABELS] += 5
    for term, changes in ((DecoupledSoftLabels(4.0, 1.0, 0.0), True), (DecoupledSoftLabels(4.0, 0.0, 1.0), False)):
        before = value(LABELS, term=term)
        after = term(Outputs(moved), Knowledge(logits=TEACHER), Batch(STUDENT, LABELS))
        assert (abs(after - before) > 0.1) == changes


def test_of_two_classes_only_the_first_part_is_left() -> None:
    term, labels = DecoupledSoftLabels(2.0), torch.tensor([0, 1] * 4)
    found = term(Outputs(STUDENT[:, :2]), Knowledge(logits=TEACHER[:, :2]), Batch(STUDENT, labels))
    said = log_softened(Knowledge(logits=TEACHER[:, :2]), 2.0)
    assert found.item() == pytest.approx(soft_labels(STUDENT[:, :2], said, 2.0).item())
