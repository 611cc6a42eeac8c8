from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr, softmax
from torch import Tensor

from limbeck.objectives.base import log_softened
from limbeck.objectives.soft_labels import SoftLabels, soft_labels, standardised
from limbeck.types import Batch, Knowledge, Outputs

BATCH = Batch(torch.zeros(8, 1))


def logits(seed: int, classes: int = 6, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(8, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(student: Tensor, knowledge: Knowledge, term: SoftLabels) -> Tensor:
    value: Tensor = term(Outputs(student), knowledge, BATCH)
    return value


@given(st.floats(0.3, 50), st.integers(2, 12), st.integers(0, 1000))
@settings(max_examples=40)
def test_equals_the_divergence_by_scipy(temperature: float, classes: int, seed: int) -> None:
    student, teacher = logits(seed, classes), logits(seed + 1, classes)
    mine = loss(student, Knowledge(logits=teacher), SoftLabels(temperature))
    p = softmax(teacher.numpy() / temperature, axis=1)
    q = softmax(student.numpy() / temperature, axis=1)
    assert mine.item() == pytest.approx(temperature**2 * rel_entr(p, q).sum(axis=1).mean(), rel=1e-6, abs=1e-12)


def test_equals_a_loop_over_rows_and_classes() -> None:
    student, teacher = logits(0), logits(1)
    total = 0.0
    for z_s, z_t in zip(student.numpy(), teacher.numpy(), strict=True):
        for c in range(len(z_t)):
            log_p, log_q = log_softmax(z_t / 4.0)[c], log_softmax(z_s / 4.0)[c]
            total += np.exp(log_p) * (log_p - log_q)
    assert loss(student, Knowledge(logits=teacher), SoftLabels()).item() == pytest.approx(16 * total / len(student))


def test_equals_cross_entropy_less_the_teachers_entropy() -> None:
    student, teacher = logits(0), logits(1)
    p = (teacher / 2).softmax(1)
    soft = torch.nn.functional.cross_entropy(student / 2, p) + (p * p.log()).sum(1).mean()
    torch.testing.assert_close(loss(student, Knowledge(logits=teacher), SoftLabels(2.0)), 4 * soft)


def test_is_zero_exactly_where_the_distributions_are_equal() -> None:
    teacher = logits(0)
    assert loss(teacher + 7.0, Knowledge(logits=teacher), SoftLabels()).item() == pytest.approx(0, abs=1e-12)
    assert loss(logits(1), Knowledge(logits=teacher), SoftLabels()).item() > 0.1


def gradient(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    student = student.clone().requires_grad_(True)
    value = loss(student, Knowledge(logits=teacher), SoftLabels(temperature))
    return torch.autograd.grad(value, student)[0]


def test_the_gradients_size_hardly_depends_on_the_temperature() -> None:
    student, teacher = logits(0, 10, 1.0), logits(1, 10, 1.0)
    norms = [gradient(student, teacher, temperature).norm().item() for temperature in (1, 2, 4, 8, 20)]
    assert max(norms) / min(norms) < 1.7


def test_at_high_temperature_the_gradient_is_that_of_matching_logits() -> None:
    student, teacher = logits(0), logits(1)
    student, teacher = student - student.mean(1, keepdim=True), teacher - teacher.mean(1, keepdim=True)
    limit = (student - teacher) / 6 / len(student)  # the mean over the batch of (z_s - z_t) / C
    torch.testing.assert_close(gradient(student, teacher, 1000.0), limit, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_a_teacher_of_probabilities_only_teaches_the_same(temperature: float) -> None:
    student, teacher = logits(0), logits(1)
    term = SoftLabels(temperature)
    by_probs = loss(student, Knowledge(probs=teacher.softmax(1)), term)
    torch.testing.assert_close(by_probs, loss(student, Knowledge(logits=teacher), term))


def test_probabilities_of_zero_are_clipped() -> None:
    softened = log_softened(Knowledge(probs=torch.tensor([[1.0, 0.0]])), 2.0).exp()
    torch.testing.assert_close(softened, torch.tensor([[1.0, 1e-6]]) / (1 + 1e-6))


@given(st.floats(0.1, 20), st.floats(-50, 50))
@settings(max_examples=25)
def test_standardised_ignores_scale_and_shift_of_the_logits(scale: float, shift: float) -> None:
    student, teacher, term = logits(0), logits(1), SoftLabels(2.0, standardise=True)
    mine = loss(student, Knowledge(logits=teacher), term)
    torch.testing.assert_close(
        loss(student, Knowledge(logits=scale * teacher + shift), term), mine, rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        loss(scale * student - shift, Knowledge(logits=teacher), term), mine, rtol=1e-5, atol=1e-6
    )


def test_standardised_equals_the_formula_on_both_sides() -> None:
    def by_hand(z: np.ndarray) -> np.ndarray:
        return (z - z.mean(1, keepdims=True)) / (z.std(1, ddof=1, keepdims=True) + 1e-7)

    student, teacher = logits(0), logits(1)
    np.testing.assert_allclose(standardised(teacher).numpy(), by_hand(teacher.numpy()))
    p, q = (softmax(by_hand(z.numpy()) / 2, axis=1) for z in (teacher, student))
    mine = loss(student, Knowledge(logits=teacher), SoftLabels(2.0, standardise=True))
    assert mine.item() == pytest.approx(4 * rel_entr(p, q).sum(1).mean())


def test_only_the_standardised_form_needs_logits() -> None:
    assert SoftLabels().needs == {"probs"}
    assert SoftLabels(standardise=True).needs == {"logits"}


def test_the_pure_function_is_differentiable_on_both_sides() -> None:
    target = logits(1).requires_grad_(True)
    value = soft_labels(logits(0), torch.log_softmax(target, 1), 1.0)
    assert torch.autograd.grad(value, target)[0].abs().sum() > 0
