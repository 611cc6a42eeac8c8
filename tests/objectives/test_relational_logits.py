from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.objectives.base import log_softened
from limbeck.objectives.relational_logits import RelationalLogits, correlation, relational_logits
from limbeck.types import Batch, Knowledge, Outputs

BATCH = Batch(torch.zeros(8, 1))


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_the_correlation_is_that_of_numpy_and_ignores_scale_and_shift(
    rows: int, columns: int, seed: int, scale: float, shift: float
) -> None:
    first, second = random(seed, rows, columns), random(seed + 1, rows, columns)
    for dim, pairs in ((1, zip(first, second, strict=True)), (0, zip(first.T, second.T, strict=True))):
        wanted = [np.corrcoef(one.numpy(), other.numpy())[0, 1] for one, other in pairs]
        torch.testing.assert_close(correlation(first, scale * second + shift, dim), torch.tensor(wanted))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.1, 1 / 3, 1e-20, 0.0])
def test_what_is_constant_correlates_with_nothing_and_gets_no_gradient(dtype: torch.dtype, constant: float) -> None:
    """Also where the mean of equal numbers is off by a rounding error, which has no direction."""
    flat = torch.full((129, 7), constant, dtype=dtype, requires_grad=True)
    for dim in (0, 1):
        found = correlation(flat, random(0, 129, 7).to(dtype), dim)
        assert found.abs().max() == 0
        assert torch.autograd.grad(found.sum(), flat)[0].abs().max() == 0


def test_a_student_that_starts_out_uniform_gets_a_gradient_of_ordinary_size() -> None:
    logits = torch.zeros(128, 10, requires_grad=True)
    said = log_softened(Knowledge(logits=random(0, 128, 10).float()), 1.0)
    gradient = torch.autograd.grad(relational_logits(logits, said, 1.0), logits)[0]
    assert gradient.norm() < 100


def test_a_single_sample_has_the_part_across_classes_alone() -> None:
    student, teacher = Outputs(random(0, 1, 6)), Knowledge(logits=random(1, 1, 6))
    alone = RelationalLogits(intra=0.0)(student, teacher, BATCH)
    assert alone > 0.1 and torch.equal(RelationalLogits()(student, teacher, BATCH), alone)


def test_probabilities_alone_say_the_same() -> None:
    student, teacher = Outputs(random(0, 8, 6)), random(1, 8, 6)
    term = RelationalLogits(4.0)
    torch.testing.assert_close(
        term(student, Knowledge(probs=teacher.softmax(1)), BATCH), term(student, Knowledge(logits=teacher), BATCH)
    )
