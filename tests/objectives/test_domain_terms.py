"""Terms on two domains, against loops over pairs of samples, numpy's covariance and a hand-made confusion.

Shapes: S rows of the source, T of the target, D dimensions, C classes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import log_loss
from tests.objectives.references import Seen
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import (
    CorrelationAlignment,
    DomainAdversarial,
    MaximumMeanDiscrepancy,
    MinimumClassConfusion,
)
from limbeck.objectives.base import Context
from limbeck.objectives.correlation_alignment import correlation_alignment
from limbeck.objectives.domain_adversarial import reverse_gradient
from limbeck.objectives.maximum_mean_discrepancy import maximum_mean_discrepancy
from limbeck.types import Batch, Knowledge, Outputs

FEATURES = [MaximumMeanDiscrepancy, CorrelationAlignment, lambda: DomainAdversarial(over=0)]


def sides(seen: Seen) -> tuple[Any, Any]:
    """Return the features of source and target, of a batch whose domains take turns."""
    (values,) = seen.features.values()
    vectors = values.reshape(*values.shape[:2], -1).mean(-1)
    return vectors[0::2], vectors[1::2]


def mmd_by_hand(seen: Seen, term: Any) -> float:
    """A loop over all pairs."""
    source, target = sides(seen)
    both = [*source, *target]
    mean = np.mean([np.sum((one - other) ** 2) for one in both for other in both])

    def kernel(one: Any, other: Any) -> float:
        distance = np.sum((one - other) ** 2)
        return float(np.mean([math.exp(-distance / (2 * a * mean)) for a in (0.125, 0.25, 0.5, 1, 2)]))

    def average(these: Any, those: Any) -> float:
        return float(np.mean([kernel(one, other) for one in these for other in those]))

    return average(source, source) + average(target, target) - 2 * average(source, target)


def coral_by_hand(seen: Seen, term: Any) -> float:
    """NumPy's covariances."""
    source, target = sides(seen)
    difference = np.cov(source.T) - np.cov(target.T)
    return float((difference**2).sum() / (4 * source.shape[1] ** 2))


def dann_by_hand(seen: Seen, term: Any) -> float:
    """scikit-learn's log loss of the perceptron's answers, the mean over both domains."""
    (first, _, second), losses = term.judges[0], []
    for domain, values in enumerate(sides(seen)):
        weights = [one.detach().double().numpy() for one in (first.weight, first.bias, second.weight, second.bias)]
        logits = np.maximum(values @ weights[0].T + weights[1], 0) @ weights[2].T + weights[3]
        chance = 1 / (1 + np.exp(-logits[:, 0]))
        losses.append(log_loss(np.full(len(chance), domain), chance, labels=[0, 1]))
    return float(np.mean(losses))


def mcc_by_hand(seen: Seen, term: Any) -> float:
    """A loop over the classes."""
    chances = softmax(seen.logits[1::2] / term.temperature, axis=1)
    certain = 1 + np.exp(-np.array([entropy(row) for row in chances]))
    weights = len(chances) * certain / certain.sum()
    classes = range(chances.shape[1])
    lost = 0.0
    for one in classes:
        row = [sum(weights * chances[:, one] * chances[:, other]) for other in classes]
        lost += (sum(row) - row[one]) / sum(row)
    return float(lost / len(classes))


def test_the_gradient_of_the_discrepancy_takes_the_width_as_a_constant() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(count, 3, generator=generator, dtype=torch.float64) for count in (5, 4))
    source.requires_grad_(True)
    mean = float(torch.cdist(both := torch.cat([source, target]).detach(), both).square().mean())

    def kernel(these: Tensor, those: Tensor) -> Tensor:
        squares = (these[:, None] - those[None]).square().sum(-1)
        return torch.stack([torch.exp(-squares / (2 * a * mean)) for a in (0.125, 0.25, 0.5, 1.0, 2.0)]).mean()

    by_hand = kernel(source, source) + kernel(target, target) - 2 * kernel(source, target)
    expected = torch.autograd.grad(by_hand, source)[0]
    found = torch.autograd.grad(maximum_mean_discrepancy(source, target), source)[0]
    torch.testing.assert_close(found, expected)


def test_one_domain_has_no_distance_to_itself() -> None:
    values = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert maximum_mean_discrepancy(values, values).item() == pytest.approx(0, abs=1e-6)
    assert correlation_alignment(values, values).item() == 0
    assert maximum_mean_discrepancy(values, values + 3).item() > 0.1
    assert maximum_mean_discrepancy(torch.ones(3, 2), torch.ones(4, 2)).item() == 0  # no spread at all


def test_the_gradient_is_reversed() -> None:
    values = torch.ones(3, requires_grad=True)
    (reverse_gradient(values, 0.5) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [-0.5, -1.0, -1.5]


def test_the_reversal_grows_from_nothing_to_all() -> None:
    term, strengths = DomainAdversarial(over=10), []
    outputs = Outputs(torch.zeros(4, 2), features={"f": torch.randn(4, 3, requires_grad=True)})
    term.prepare(outputs, Knowledge(), Context(torch.nn.Identity(), 4))
    batch = Batch(torch.zeros(4, 1), domain=torch.tensor([0, 1, 0, 1]))
    for _ in range(12):
        outputs.features["f"].grad = None
        term(outputs, Knowledge(), batch).backward()
        strengths.append(float(outputs.features["f"].grad.abs().sum()))
    assert strengths[0] == 0 and strengths == sorted(strengths)
    assert strengths[-1] == pytest.approx(strengths[-2]) and strengths[-1] > 0
    assert int(term.state_dict()["seen"]) == 12


def test_the_perceptron_learns_while_the_features_unlearn() -> None:
    """With one step of gradient descent the judge does better, and features that move do worse for it."""
    torch.manual_seed(0)
    term = DomainAdversarial(over=0)
    values = torch.randn(40, 3) + 2 * (torch.arange(40) % 2)[:, None]
    outputs = Outputs(torch.zeros(40, 2), features={"f": values.requires_grad_(True)})
    term.prepare(outputs, Knowledge(), Context(torch.nn.Identity(), 40))
    batch = Batch(torch.zeros(40, 1), domain=torch.arange(40) % 2)
    before = term(outputs, Knowledge(), batch)
    before.backward()
    assert values.grad is not None
    moved = Outputs(outputs.logits, features={"f": (values - 0.5 * values.grad).detach()})
    assert term(moved, Knowledge(), batch).item() > before.item()
    with torch.no_grad():
        for parameter in term.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.5 * parameter.grad)
    assert term(outputs, Knowledge(), batch).item() < before.item()


@pytest.mark.parametrize("make", FEATURES)
@pytest.mark.parametrize("domain", [0, 1])
def test_a_batch_of_one_domain_is_worth_nothing(make: Any, domain: int) -> None:
    term, values = make(), torch.randn(4, 3, requires_grad=True)
    outputs = Outputs(torch.zeros(4, 2), features={"f": values})
    term.prepare(outputs, Knowledge(), Context(torch.nn.Identity(), 4))
    loss = term(outputs, Knowledge(), Batch(torch.zeros(4, 1), domain=torch.full((4,), domain)))
    loss.backward()
    assert loss.item() == 0 and values.grad is not None and not values.grad.any()


def test_labels_are_not_looked_at() -> None:
    outputs = Outputs(torch.randn(6, 3), features={"f": torch.randn(6, 4)})
    for make in (*FEATURES, MinimumClassConfusion):
        term = make()
        term.prepare(outputs, Knowledge(), Context(torch.nn.Identity(), 6))
        found = {
            term(outputs, Knowledge(), Batch(torch.zeros(6, 1), labels, domain=torch.arange(6) % 2)).item()
            for labels in (None, torch.zeros(6, dtype=torch.int64), torch.arange(6) % 3)
        }
        assert len(found) == 1


def test_mistakes_get_a_sentence() -> None:
    outputs = Outputs(torch.zeros(2, 2), features={"f": torch.zeros(2, 3)})
    context, batch = Context(torch.nn.Identity(), 2), Batch(torch.zeros(2, 1))
    with pytest.raises(ObjectiveError, match="does not know its layers yet"):
        CorrelationAlignment()(outputs, Knowledge(), batch)
    term = CorrelationAlignment()
    term.prepare(outputs, Knowledge(), context)
    with pytest.raises(ObjectiveError, match=r"needs to know which samples are the target's; give the recipe data\.ta"):
        term(outputs, Knowledge(), batch)
    with pytest.raises(ObjectiveError, match="needs to know which samples"):
        MinimumClassConfusion()(outputs, Knowledge(), batch)
    with pytest.raises(ObjectiveError, match=r"gives no features of 'g'; near it are f"):
        CorrelationAlignment(layers=("g",)).prepare(outputs, Knowledge(), context)
    with pytest.raises(ObjectiveError, match="no layer before its logits"):
        CorrelationAlignment().prepare(Outputs(torch.zeros(2, 2)), Knowledge(), context)
    with pytest.raises(ObjectiveError, match="layers expects 'auto' or a list"):
        CorrelationAlignment(layers="body")  # type: ignore[arg-type]
