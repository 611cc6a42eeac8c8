"""Terms that make inputs which fool the student: against numpy, and what they leave alone.

Shapes: B samples, C classes, D inputs. The student of the references is linear, so its slopes can be written out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy
from tests.objectives.references import SEED, Numbers, Seen
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.objectives import (
    AdaptiveAdversarialDistillation,
    AdversarialCrossEntropy,
    AdversariallyRobustDistillation,
    CrossEntropy,
    EntropyPenalty,
    RobustSoftLabels,
    SoftLabels,
    Trades,
)
from limbeck.objectives.adversarial_term import AdversarialTerm, craft
from limbeck.objectives.base import Context, Term
from limbeck.objectives.objective import Objective
from limbeck.types import Batch, Knowledge, Outputs

TEACHER = 2 * torch.randn(5, 7, generator=torch.Generator().manual_seed(8))  # [C, D]


def teacher(inputs: Tensor) -> Tensor:
    """Return the logits of a linear teacher through which gradients go."""
    return inputs @ TEACHER.to(inputs).T


def says(seen: Seen, points: Numbers) -> Numbers:
    """Return the student's logits at points [B, D]."""
    weight, bias = seen.weights[:2]
    return points @ weight.T + bias


def fooled(seen: Seen, term: Any, slope: Callable[[Numbers], Numbers]) -> Numbers:
    """The climb as the papers say it; slope: from points to the loss's gradient at the student's logits [B, C]."""
    clean, reach = seen.inputs, term.epsilon
    torch.manual_seed(SEED)
    drawn = torch.empty(clean.shape)
    noise = drawn.uniform_(-reach, reach) if term.start == "anywhere" else 0.001 * drawn.normal_()
    points = clean + noise.double().numpy()
    for _ in range(term.steps):
        points = np.clip(np.clip(points, clean - reach, clean + reach), 0, 1)
        points = points + term.step_size * np.sign(slope(points))
    return np.clip(np.clip(points, clean - reach, clean + reach), 0, 1)


def divergence(targets: Numbers, logits: Numbers) -> Numbers:
    return np.array([entropy(p, q) for p, q in zip(targets, softmax(logits, axis=1), strict=True)])


def surprise(logits: Numbers, labels: Numbers) -> Numbers:
    return np.array([-row[label] for row, label in zip(log_softmax(logits, axis=1), labels, strict=True)])


def from_labels(seen: Seen, labels: Numbers) -> Callable[[Numbers], Numbers]:
    named = np.eye(5)[np.maximum(labels, 0)]
    return lambda points: (softmax(says(seen, points), axis=1) - named) @ seen.weights[0] * (labels >= 0)[:, None]


def from_targets(seen: Seen, targets: Numbers) -> Callable[[Numbers], Numbers]:
    return lambda points: (softmax(says(seen, points), axis=1) - targets) @ seen.weights[0]


def adversarial_cross_entropy(seen: Seen, term: Any) -> float:
    points, known = fooled(seen, term, from_labels(seen, seen.labels)), seen.labels >= 0
    return float(surprise(says(seen, points), np.maximum(seen.labels, 0))[known].mean())


def trades(seen: Seen, term: Any) -> float:
    clean, known = softmax(seen.logits, axis=1), seen.labels >= 0
    points = fooled(seen, term, from_targets(seen, clean))
    steady = divergence(clean, says(seen, points))[known].mean()
    return float(surprise(seen.logits, np.maximum(seen.labels, 0))[known].mean() + term.beta * steady)


def adversarially_robust_distillation(seen: Seen, term: Any) -> float:
    labels = np.where(seen.labels >= 0, seen.labels, seen.teacher.argmax(1))
    points, t = fooled(seen, term, from_labels(seen, labels)), term.temperature
    soft = t**2 * divergence(softmax(seen.teacher / t, axis=1), says(seen, points) / t).mean()
    return float((1 - term.alpha) * surprise(seen.logits, labels).mean() + term.alpha * soft)


def robust_soft_labels(seen: Seen, term: Any) -> float:
    targets = softmax(seen.teacher, axis=1)
    points = fooled(seen, term, from_targets(seen, targets))
    there, here = (divergence(targets, logits).mean() for logits in (says(seen, points), seen.logits))
    return float(term.robust * there + (1 - term.robust) * here)


def adaptive_adversarial_distillation(seen: Seen, term: Any) -> float:
    told = TEACHER.double().numpy()

    def slope(points: Numbers) -> Numbers:
        """Of sum p_t (log p_t - log p_s), through both."""
        theirs, mine = points @ told.T, says(seen, points)
        targets, apart = softmax(theirs, axis=1), log_softmax(theirs, axis=1) - log_softmax(mine, axis=1)
        through = targets * (apart - (targets * apart).sum(1, keepdims=True))
        return (softmax(mine, axis=1) - targets) @ seen.weights[0] + through @ told

    points = fooled(seen, term, slope)
    there = divergence(softmax(points @ told.T, axis=1), says(seen, points)).mean()
    here = divergence(softmax(seen.teacher, axis=1), seen.logits).mean()
    return float(term.robust * there + (1 - term.robust) * here)


TERMS: list[tuple[Callable[[], Term], Callable[[Seen, Any], float]]] = [
    (AdversarialCrossEntropy, adversarial_cross_entropy),
    (lambda: AdversarialCrossEntropy(epsilon=0.3, step_size=0.1, steps=7), adversarial_cross_entropy),
    (Trades, trades),
    (lambda: Trades(beta=2.0, epsilon=0.3, step_size=0.1, steps=7), trades),
    (AdversariallyRobustDistillation, adversarially_robust_distillation),
    (
        lambda: AdversariallyRobustDistillation(temperature=4.0, alpha=0.7, epsilon=0.1, step_size=0.03, steps=8),
        adversarially_robust_distillation,
    ),
    (RobustSoftLabels, robust_soft_labels),
    (lambda: RobustSoftLabels(robust=0.4, epsilon=0.1, step_size=0.03, steps=8), robust_soft_labels),
    (AdaptiveAdversarialDistillation, adaptive_adversarial_distillation),
    (
        lambda: AdaptiveAdversarialDistillation(robust=0.6, epsilon=0.1, step_size=0.03, steps=8),
        adaptive_adversarial_distillation,
    ),
]
KINDS = [
    AdversarialCrossEntropy, Trades, AdversariallyRobustDistillation, RobustSoftLabels, AdaptiveAdversarialDistillation,
]  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS)


def student() -> Adapted:
    """A network with batch norm and dropout, of which the norm is pinned in evaluation mode."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(144, 6), nn.BatchNorm1d(6), nn.Linear(6, 3),
    )  # fmt: skip
    return Adapted(net, classes=3)


def batch(count: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(2)
    return Batch(torch.rand(count, 1, 6, 6, generator=generator), torch.randint(3, (count,), generator=generator))


def through(inputs: Tensor) -> Tensor:
    return inputs.flatten(1)[:, :3] * 9


def prepared(kind: type[AdversarialTerm], model: Adapted, **options: float) -> AdversarialTerm:
    term = kind(**options)
    term.prepare(model(batch().inputs), Knowledge(), Context(model, 12, teacher=through))
    return term


def knowledge() -> Knowledge:
    return Knowledge(logits=through(batch().inputs))


@every_kind
def test_crafting_moves_nothing_and_learning_happens_in_the_students_own_mode(kind: type[AdversarialTerm]) -> None:
    model = student()
    term = prepared(kind, model, epsilon=0.1, step_size=0.03, steps=5)
    model.train()
    model.net[6].eval()
    modes = [one.training for one in model.modules()]
    before = {name: value.clone() for name, value in model.named_buffers()}
    crafted = term.fool(batch(), knowledge())
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert all(one.grad is None for one in model.parameters())
    assert modes == [one.training for one in model.modules()]
    assert float((crafted - batch().inputs).abs().max()) == pytest.approx(0.1, abs=1e-6)
    assert not crafted.requires_grad and 0 <= float(crafted.min()) <= float(crafted.max()) <= 1
    term(model(batch().inputs), knowledge(), batch()).backward()
    after = dict(model.named_buffers())
    assert int(after["net.1.num_batches_tracked"]) - int(before["net.1.num_batches_tracked"]) == 2
    assert torch.equal(after["net.6.running_mean"], before["net.6.running_mean"])
    assert modes == [one.training for one in model.modules()]
    assert all(one.grad is not None for one in model.parameters())


@every_kind
def test_inner_losses_grow(kind: type[AdversarialTerm]) -> None:
    model = student().eval()
    term = prepared(kind, model, epsilon=0.2, step_size=0.05, steps=8)
    inner = term.inner(batch(), knowledge())
    torch.manual_seed(0)
    random = batch().inputs + 0.2 * (2 * torch.rand_like(batch().inputs) - 1)
    crafted = inner(term.fool(batch(), knowledge()))
    assert float(crafted.detach()) > 1.05 * float(inner(random.clamp(0, 1)).detach())


@every_kind
def test_without_room_they_are_what_they_are_made_of(kind: type[AdversarialTerm]) -> None:
    model = student().eval()
    said, term = model(batch().inputs), prepared(kind, model, epsilon=0.0, step_size=0.0, steps=1)
    plain = {
        AdversarialCrossEntropy: CrossEntropy(), Trades: CrossEntropy(),
        AdversariallyRobustDistillation: SoftLabels(temperature=30.0),
        RobustSoftLabels: SoftLabels(temperature=1.0), AdaptiveAdversarialDistillation: SoftLabels(temperature=1.0),
    }  # fmt: skip
    torch.testing.assert_close(term(said, knowledge(), batch()), plain[kind](said, knowledge(), batch()))


@every_kind
def test_the_student_is_no_part_of_the_term(kind: type[AdversarialTerm]) -> None:
    term = prepared(kind, student())
    assert not list(term.parameters()) and not term.state_dict()


@every_kind
def test_it_asks_to_be_prepared(kind: type[AdversarialTerm]) -> None:
    with pytest.raises(ObjectiveError, match="does not know the student yet"):
        kind()(Outputs(torch.zeros(12, 3)), knowledge(), batch())


@every_kind
def test_swapped_arguments_are_noticed_and_none_goes_without_its_name(kind: type[AdversarialTerm]) -> None:
    with pytest.raises(ObjectiveError, match="expects a step_size of 2 epsilon at most.*swapped"):
        kind(epsilon=2 / 255, step_size=8 / 255)
    with pytest.raises(TypeError, match="positional"):
        kind(8 / 255)


def test_a_teacher_without_gradients_is_refused() -> None:
    objective = Objective([(1.0, AdaptiveAdversarialDistillation())])
    with pytest.raises(ObjectiveError, match=r"needs gradients from the teacher.*robust_soft_labels") as caught:
        objective.check(frozenset({"logits", "probs", "labels"}))
    assert "adaptive_adversarial_distillation" not in str(caught.value).partition("would work")[2]
    model = student()
    with pytest.raises(ObjectiveError, match=r"expected Context.teacher"):
        AdaptiveAdversarialDistillation().prepare(Outputs(torch.zeros(1, 3)), Knowledge(), Context(model, 1))


def test_no_gradient_reaches_the_teacher_that_is_asked_live() -> None:
    weight = torch.randn(3, 36, requires_grad=True)
    model = student()
    term = AdaptiveAdversarialDistillation(robust=0.5)
    asked = lambda inputs: inputs.flatten(1) @ weight.T  # noqa: E731
    term.prepare(model(batch().inputs), Knowledge(), Context(model, 12, teacher=asked))
    term(model(batch().inputs), knowledge(), batch()).backward()
    assert weight.grad is None and model.net[0].weight.grad is not None


def test_craft_climbs_by_the_sign_and_stays_in_the_box() -> None:
    inputs = torch.tensor([[0.5, 0.02, 0.99]])
    found = craft(
        inputs, lambda shown: (shown * torch.tensor([1.0, -1.0, 1.0])).sum(), epsilon=0.1, step_size=0.05, steps=5
    )
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.0, 1.0]]))


def test_controls_are_taught_labels_with_the_same_budget() -> None:
    budget = {"epsilon": 0.3, "step_size": 0.1, "steps": 7}
    objective = Objective([(0.7, RobustSoftLabels(**budget)), (0.3, CrossEntropy()), (1e-4, EntropyPenalty())])
    plain, trained = objective.control(), objective.adversarial_control(AdversarialCrossEntropy)
    assert plain.describe() == "1 cross_entropy(label_smoothing=0.0) + 0.0001 entropy_penalty"
    assert trained.describe() == (
        "1 adversarial_cross_entropy(epsilon=0.3, step_size=0.1, steps=7) + 0.0001 entropy_penalty"
    )
    assert objective.adversarial_control(Trades).names == ("trades", "entropy_penalty")
    assert not trained.needs and not objective.adversarial_control(Trades).needs
    without = Objective([(0.7, SoftLabels()), (0.3, CrossEntropy())])
    assert without.adversarial_control(Trades).names == ("cross_entropy",)


def test_what_is_judged_is_not_in_the_control() -> None:
    alone = Objective([(1.0, Trades())])
    assert alone.control().names == ("cross_entropy",)
    beside = Objective([(1.0, Trades()), (1.0, SoftLabels())])
    assert beside.control().names == ("cross_entropy", "trades")


def test_a_copy_of_an_objective_asks_the_student_that_it_is_prepared_with() -> None:
    first, second = student(), student()
    objective = Objective([(1.0, AdversarialCrossEntropy(epsilon=0.1, step_size=0.03, steps=2))])
    objective.prepare(first(batch().inputs), Knowledge(), Context(first, 12))
    copied = copy.deepcopy(Objective([(1.0, AdversarialCrossEntropy(epsilon=0.1, step_size=0.03, steps=2))]))
    copied.prepare(second(batch().inputs), Knowledge(), Context(second, 12))
    copied(second(batch().inputs), Knowledge(), batch())[0].backward()
    assert first.net[0].weight.grad is None and second.net[0].weight.grad is not None
