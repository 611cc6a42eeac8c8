from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from limbeck.objectives.base import log_softened
from limbeck.objectives.jensen_shannon import JensenShannon, jensen_shannon
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.types import Batch, Knowledge, Outputs

BATCH = Batch(torch.zeros(8, 1))


def logits(seed: int, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(8, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def value(beta: float, student: torch.Tensor, teacher: torch.Tensor, temperature: float = 2.0) -> float:
    return float(JensenShannon(temperature, beta)(Outputs(student), Knowledge(logits=teacher), BATCH))


def test_a_half_is_the_squared_distance_of_scipy() -> None:
    student, teacher = logits(0), logits(1)
    wanted = jensenshannon((teacher / 2).softmax(1).T, (student / 2).softmax(1).T) ** 2
    assert value(0.5, student, teacher) == pytest.approx(4 * wanted.mean())


def test_the_ends_are_soft_labels_and_their_mirror_image() -> None:
    student, teacher = logits(0), logits(1)
    assert value(0.0, student, teacher) == pytest.approx(
        float(SoftLabels(2.0)(Outputs(student), Knowledge(logits=teacher), BATCH))
    )
    assert value(1.0, student, teacher) == pytest.approx(value(0.0, teacher, student))


@given(st.floats(0.01, 0.99), st.integers(0, 1000))
def test_is_its_own_mirror_image_and_bounded_by_the_entropy_of_the_mixture(beta: float, seed: int) -> None:
    student, teacher = logits(seed, 30.0), logits(seed + 1, 30.0)
    found = value(beta, student, teacher, 1.0)
    assert found == pytest.approx(value(1 - beta, teacher, student, 1.0), rel=1e-6, abs=1e-9)
    assert 0 <= found <= -beta * math.log(beta) - (1 - beta) * math.log(1 - beta) + 1e-9


def test_near_the_ends_its_direction_is_that_of_the_ends() -> None:
    def direction(beta: float) -> torch.Tensor:
        student = logits(0, 1.0).requires_grad_(True)
        said = log_softened(Knowledge(logits=logits(1, 1.0)), 1.0)
        gradient = torch.autograd.grad(jensen_shannon(student, said, 1.0, beta), student)[0]
        return gradient.flatten() / gradient.norm()

    for near, end in ((1e-6, 0.0), (1 - 1e-6, 1.0)):
        assert float(direction(near) @ direction(end)) == pytest.approx(1, abs=1e-3)
