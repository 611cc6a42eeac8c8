"""Terms that relate the samples of a batch, against loops over pairs and triplets, scikit-learn and scipy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics.pairwise import cosine_similarity
from tests.objectives.features import Case, check_equals, check_halves, check_student_only, made
from torch import Tensor

from limbeck.objectives import ProbabilisticKnowledge, RelationalAngle, RelationalDistance, SimilarityPreserving
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.objectives.probabilistic_knowledge import near
from limbeck.objectives.relational_angle import cosines
from limbeck.objectives.relational_distance import distances

Kind = type[FeatureTerm]
VECTORS = ({"s": (4,)}, {"t": (7,)})
PICTURES = ({"s": (3, 2, 2)}, {"t": (2, 3, 4)})


def flat(case: Case) -> tuple[Tensor, Tensor]:
    (mine,), (theirs,) = case.student.values(), case.teacher.values()
    return mine.flatten(1), theirs.detach().flatten(1)


def means(case: Case) -> tuple[Tensor, Tensor]:
    """Return the mean over space, place by place."""
    both = []
    for one in (next(iter(case.student.values())), next(iter(case.teacher.values())).detach()):
        places = [one[..., y, x] for y in range(one.shape[2]) for x in range(one.shape[3])] if one.ndim == 4 else [one]
        both.append(sum(places) / len(places))
    return both[0], both[1]  # type: ignore[return-value]


def similarity_by_hand(case: Case) -> Tensor:
    grams = []
    for one in flat(case):
        rows = []
        for first in one:
            row = torch.stack([(first * second).sum() for second in one])
            rows.append(row / row.square().sum().sqrt())
        grams.append(rows)
    count = len(grams[0])
    pairs = itertools.product(range(count), repeat=2)
    return sum((grams[0][i][j] - grams[1][i][j]) ** 2 for i, j in pairs) / count**2  # type: ignore[return-value]


def smooth(difference: Tensor) -> Tensor:
    return difference**2 / 2 if difference.abs() < 1 else difference.abs() - 0.5


def distance_by_hand(case: Case) -> Tensor:
    sides = []
    for one in flat(case):
        apart = {(i, j): (one[i] - one[j]).square().sum().sqrt() for i, j in itertools.permutations(range(len(one)), 2)}
        mean = sum(apart.values()) / len(apart)
        sides.append({pair: value / mean for pair, value in apart.items()})
    return sum(smooth(sides[0][pair] - sides[1][pair]) for pair in sides[0]) / len(case.rows) ** 2  # type: ignore[return-value]


def angle_by_hand(case: Case) -> Tensor:
    total, count = torch.zeros((), dtype=torch.float64), len(case.rows)
    sides = means(case)
    for i, j, k in itertools.product(range(count), repeat=3):
        if i in (j, k):
            continue
        cosine = [
            ((one[j] - one[i]) * (one[k] - one[i])).sum() / ((one[j] - one[i]).norm() * (one[k] - one[i]).norm())
            for one in sides
        ]
        total = total + smooth(cosine[0] - cosine[1])
    return total / count**3


def neighbours_by_hand(case: Case) -> Tensor:
    sides = []
    for one in means(case):
        rows = []
        for first in one:
            row = [((first * second).sum() / (first.norm() * second.norm()) + 1) / 2 for second in one]
            rows.append([value / sum(row) for value in row])
        sides.append(rows)
    count = len(case.rows)
    total = torch.zeros((), dtype=torch.float64)
    for i, j in itertools.product(range(count), repeat=2):
        total = total + sides[1][i][j] * torch.log((sides[1][i][j] + 1e-7) / (sides[0][i][j] + 1e-7))
    return total / count**2


TERMS: list[tuple[Kind, Callable[[Case], Tensor]]] = [
    (SimilarityPreserving, similarity_by_hand),
    (RelationalDistance, distance_by_hand),
    (RelationalAngle, angle_by_hand),
    (ProbabilisticKnowledge, neighbours_by_hand),
]
every_term = pytest.mark.parametrize("kind", [kind for kind, _ in TERMS], ids=lambda kind: kind.__name__)


@pytest.mark.parametrize("shapes", [VECTORS, PICTURES], ids=["vectors", "pictures"])
@pytest.mark.parametrize(("kind", "reference"), TERMS, ids=lambda one: one.__name__)
def test_they_equal_the_loop(kind: Kind, reference: Callable[[Case], Tensor], shapes: tuple[dict, dict]) -> None:  # type: ignore[type-arg]
    check_equals(Case(kind(), *shapes, batch=5), reference)


@every_term
def test_the_properties_of_a_term(kind: Kind) -> None:
    check_student_only(Case(kind(), *VECTORS))
    check_halves(lambda dtype: Case(kind(), *VECTORS, dtype=dtype))
    assert not kind.additive


@every_term
def test_a_batch_of_one_has_no_relations(kind: Kind) -> None:
    case = Case(kind(), *VECTORS)
    value = case.value(slice(0, 1))
    assert float(value.detach()) == pytest.approx(0, abs=1e-15)
    assert all(not bool(gradient.any()) for gradient in case.gradients(value) if gradient is not None)


@every_term
@pytest.mark.parametrize("same", [2, 6])
def test_equal_samples_give_no_nan(kind: Kind, same: int) -> None:
    """A distance of 0 has no direction, and its root no slope."""
    case = Case(kind(), *VECTORS, dtype=torch.float32)
    with torch.no_grad():
        for one in (case.student["s"], case.teacher["t"]):
            one[:same] = one[0]
    value = case.value()
    (gradient,) = case.gradients(value)
    assert bool(torch.isfinite(value)) and bool(torch.isfinite(gradient).all())


@every_term
def test_nothing_is_asked_for_where_the_teachers_relations_hold(kind: Kind) -> None:
    """A turned copy of ten times the size has the same distances, angles and products."""
    case = Case(kind(), {"s": (4,)}, {"t": (4,)})
    turned, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        case.teacher["t"].copy_(10 * case.student["s"] @ turned)
    value = case.value()
    assert float(value.detach()) == pytest.approx(0, abs=1e-12)
    (gradient,) = case.gradients(value)
    assert float(gradient.abs().max()) < 1e-7


@every_term
def test_the_order_within_a_batch_changes_nothing(kind: Kind) -> None:
    case, order = Case(kind(), *VECTORS), torch.randperm(6, generator=torch.Generator().manual_seed(0))
    before = case.value()
    case.student, case.teacher = {"s": case.student["s"][order]}, {"t": case.teacher["t"][order]}
    torch.testing.assert_close(case.value(), before)


def test_distances_are_those_of_scipy_in_units_of_their_mean() -> None:
    features = made((7, 3), 0)
    wanted = pdist(features.numpy())
    np.testing.assert_allclose(distances(features).numpy(), squareform(wanted / wanted.mean()), rtol=1e-10, atol=1e-12)


def test_neighbours_are_those_of_scikit_learn() -> None:
    features = made((7, 3), 0)
    wanted = (cosine_similarity(features.numpy()) + 1) / 2
    np.testing.assert_allclose(near(features).numpy(), wanted / wanted.sum(1, keepdims=True), rtol=1e-10)


def test_the_angles_of_a_square() -> None:
    square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    found = cosines(square)
    assert float(found[0, 1, 3]) == pytest.approx(0) and float(found[0, 1, 1]) == pytest.approx(1)
    assert float(found[0, 1, 2]) == pytest.approx(math.cos(math.pi / 4)) and float(found[0, 0, 2]) == 0
