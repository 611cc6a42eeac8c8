"""Terms on the K highest logits of an answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import ObjectiveError
from limbeck.knowledge.form import TEMPERATURES, Top
from limbeck.objectives import CrossEntropy, LogitMatching, SoftLabels, TeacherLabels
from limbeck.objectives.objective import Objective
from limbeck.types import Batch, Knowledge, Outputs

BATCH = Batch(torch.zeros(6, 1))


def asked(temperature: float, student: torch.Tensor, said: Knowledge) -> tuple[float, torch.Tensor]:
    logits = student.clone().requires_grad_()
    loss = SoftLabels(temperature)(Outputs(logits), said, BATCH)
    loss.backward()
    assert logits.grad is not None
    return loss.item(), logits.grad


@given(st.integers(2, 9), st.sampled_from(TEMPERATURES), st.integers(0, 1000))
def test_all_classes_listed_is_the_dense_loss_and_gradient(classes: int, temperature: float, seed: int) -> None:
    generator = torch.manual_seed(seed)
    student, teacher = (torch.randn(6, classes, generator=generator) * 5 for _ in range(2))
    form = Top(classes, TEMPERATURES)
    top = asked(temperature, student, form.knowledge(form.columns(teacher)))
    dense = asked(temperature, student, Knowledge(logits=teacher.half().float()))
    assert top[0] == pytest.approx(dense[0], rel=1e-5, abs=1e-6)
    torch.testing.assert_close(top[1], dense[1], rtol=1e-4, atol=1e-6)


@given(st.integers(3, 9), st.integers(1, 8), st.sampled_from(TEMPERATURES), st.integers(0, 1000))
def test_the_others_count_as_one_class(classes: int, k: int, temperature: float, seed: int) -> None:
    k = min(k, classes - 1)
    generator = torch.manual_seed(seed)
    student, teacher = (torch.randn(6, classes, generator=generator) * 5 for _ in range(2))
    form = Top(k, TEMPERATURES)
    columns = form.columns(teacher)
    torch.testing.assert_close(columns[0], teacher.half().sort(dim=1, descending=True).values[:, :k])
    found, gradient = asked(temperature, student, form.knowledge(columns))
    mine, theirs = (torch.softmax(x.double() / temperature, 1).numpy() for x in (student, teacher.half().float()))
    total = 0.0
    for p, q, first in zip(theirs, mine, columns[1].numpy(), strict=True):  # of equal ones, whichever were kept
        few, other = ([*x[first], np.delete(x, first).sum()] for x in (p, q))
        total += sum(a * np.log(a / b) for a, b in zip(few, other, strict=True))
    assert found == pytest.approx(total / 6 * temperature**2, rel=1e-3, abs=1e-4)
    assert torch.isfinite(gradient).all()
    assert found <= asked(temperature, student, Knowledge(logits=teacher.half().float()))[0] + 1e-4


def test_another_temperature_is_refused() -> None:
    form = Top(2, (1.0, 4.0))
    said = form.knowledge(form.columns(torch.randn(6, 5)))
    with pytest.raises(ObjectiveError, match=r"at temperature 3, .* top 2 .* kept for 1, 4; add it to knowledge.temp"):
        SoftLabels(3)(Outputs(torch.randn(6, 5)), said, BATCH)


def test_hard_labels_are_those_of_all_logits() -> None:
    teacher, student = torch.randn(6, 5), Outputs(torch.randn(6, 5))
    form = Top(2, (1.0,))
    top = TeacherLabels()(student, form.knowledge(form.columns(teacher)), BATCH)
    assert torch.equal(top, TeacherLabels()(student, Knowledge(logits=teacher), BATCH))


def test_who_needs_all_logits() -> None:
    soft = Objective([(0.9, SoftLabels(2)), (0.5, SoftLabels(3)), (0.1, CrossEntropy())])
    assert not soft.needs_all_logits
    assert soft.temperatures == {2.0, 3.0}
    assert not Objective([(1.0, TeacherLabels())]).needs_all_logits
    assert Objective([(1.0, SoftLabels(standardise=True))]).needs_all_logits
    assert Objective([(1.0, LogitMatching())]).needs_all_logits
