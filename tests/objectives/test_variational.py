"""Variational information distillation against torch's own normal distribution, and a loop."""

from __future__ import annotations

import math

import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_parts, check_student_only, made
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

from limbeck.objectives import Variational
from limbeck.objectives.variational import variational

SHAPES = ({"s": (3, 4, 4), "u": (5, 2, 2)}, {"t": (2, 4, 4), "w": (4, 2, 2)})


def by_hand(case: Case) -> Tensor:
    """Return the mean of -log q but for its constant, sample by sample and place by place, summed over pairs."""
    total = torch.zeros((), dtype=torch.float64)
    for place, (mine, theirs) in enumerate(zip(case.student.values(), case.teacher.values(), strict=True)):
        first, _, second, _, third = case.term.means[place]  # type: ignore[index,misc]
        spread = torch.log(1 + torch.exp(case.term.spreads[place])) + 1e-5  # type: ignore[index]
        values = []
        for sample in range(len(mine)):
            for y in range(mine.shape[2]):
                for x in range(mine.shape[3]):
                    hidden = (first.weight @ mine[sample, :, y, x]).clamp_min(0)
                    mean = third.weight @ (second.weight @ hidden).clamp_min(0)
                    target = theirs.detach()[sample, :, y, x]
                    values += [
                        ((target[c] - mean[c]) ** 2 / spread[c] + torch.log(spread[c])) / 2 for c in range(len(target))
                    ]
        total = total + sum(values) / len(values)
    return total


def test_it_equals_the_loop() -> None:
    check_equals(Case(Variational(), *SHAPES, batch=2), by_hand)


def test_the_properties_of_a_term() -> None:
    check_student_only(Case(Variational(), *SHAPES))
    check_halves(lambda dtype: Case(Variational(), *SHAPES, dtype=dtype))
    check_parts(Case(Variational(), *SHAPES))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 2, 2)])
def test_it_is_the_likelihood_of_a_normal_distribution(shape: tuple[int, ...]) -> None:
    mean, target, variance = made(shape, 0), made(shape, 1), torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    deviation = variance.sqrt().reshape(-1, *[1] * (len(shape) - 2))
    wanted = -Normal(mean, deviation).log_prob(target).mean() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(variational(mean, target, variance), wanted)


def test_the_variance_of_each_channel_starts_at_five() -> None:
    case = Case(Variational(), *SHAPES)
    for spread, channels in zip(case.term.spreads, (2, 4), strict=True):  # type: ignore[arg-type]
        assert spread.shape == (channels,)
        torch.testing.assert_close(functional.softplus(spread), torch.full_like(spread, 5.0), atol=1e-4, rtol=0)


def test_vectors_are_compared_with_means_over_space() -> None:
    case = Case(Variational(), {"s": (3,)}, {"t": (2, 4, 4)})
    whole, means = case.value(), Case(Variational(), {"s": (3,)}, {"t": (2,)})
    means.term.load_state_dict(case.term.state_dict())
    with torch.no_grad():
        means.teacher["t"].copy_(case.teacher["t"].mean((2, 3)))
    torch.testing.assert_close(means.value(), whole)
