"""One property suite over every term in `limbeck.objectives.__all__`.

A new term joins with one entry in EXAMPLES: how it is made, its slow reference, and for a term on features the shapes
of those that student and teacher are given. Without an entry the suite fails.

Shapes: B samples, C classes, D inputs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
import torch
from tests.objectives import (
    references,
    test_adversarial_terms,
    test_attention_transfer,
    test_contrastive,
    test_domain_terms,
    test_hint,
    test_neuron_selectivity,
    test_relations,
    test_review,
    test_shared_classifier,
    test_variational,
)
from tests.objectives.references import Seen, on_features
from torch import Tensor, nn

import limbeck.objectives
from limbeck.objectives import (
    AttentionTransfer,
    BinaryCrossEntropy,
    BinarySoftLabels,
    BoundedRegression,
    CorrelationAlignment,
    CrossEntropy,
    CurriculumSoftLabels,
    DecoupledSoftLabels,
    DomainAdversarial,
    EntropyPenalty,
    Hint,
    JensenShannon,
    L2Sp,
    LearningWithoutForgetting,
    LogitMatching,
    MaximumMeanDiscrepancy,
    MinimumClassConfusion,
    NeuronSelectivity,
    RelationalLogits,
    Review,
    SharedClassifier,
    SoftLabels,
    SoftRegression,
    SquaredError,
    TeacherLabels,
    Variational,
    WeightPenalty,
)
from limbeck.objectives.base import Context, Term, snake_case
from limbeck.types import Batch, Knowledge, Outputs

B, C, D = 12, 5, 7
DOMAIN = torch.arange(B) % 2  # source and target take turns
ANSWERS = {"logits", "probs", "labels", "features"}  # what a term may need to be told
PROBES = 8  # random directions in which a gradient is compared

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Example:
    """A term with options, what it is worth, and what it is shown.

    zero: whether it is 0, its least value, where the student says what the teacher says; draws: whether it draws random
    numbers for each row and remembers batches, or has a gradient that is not that of its value, so that its own tests
    compare the gradient; asks: whether it asks the student itself about pictures that it makes, from starts that it
    draws, with a gradient that is that of its value all the same; student and teacher: shapes of features by name,
    without the samples; labels: classes [B], values [B, C], or 0 or 1 [B, C].
    """

    make: Callable[[], Term]
    reference: Callable[[Seen, Term], float]
    zero: bool = True
    draws: bool = False
    asks: bool = False
    student: Shapes = field(default_factory=dict)
    teacher: Shapes = field(default_factory=dict)
    labels: Literal["classes", "values", "several"] = "classes"


MAPS, VECTORS = {"f": (3, 2, 2)}, {"f": (4,)}
ONE, OTHER = {"s": (3, 2, 2)}, {"t": (2, 2, 2)}

PER_SAMPLE = [
    (BinarySoftLabels, references.binary_soft_labels),
    (DecoupledSoftLabels, references.decoupled_soft_labels),
    (JensenShannon, references.jensen_shannon),
    (LogitMatching, references.logit_matching),
    (SoftLabels, references.soft_labels),
]

EXAMPLES = [
    *(
        Example(make, by_hand, zero=False, draws=True, asks=True)
        for make, by_hand in test_adversarial_terms.TERMS
    ),
    Example(AttentionTransfer, on_features(test_attention_transfer.by_hand), student=MAPS, teacher=MAPS),
    Example(
        lambda: AttentionTransfer(power=4.0), on_features(test_attention_transfer.by_hand), student=MAPS, teacher=MAPS
    ),
    Example(
        test_contrastive.small, on_features(test_contrastive.by_hand), zero=False, draws=True,
        student={"s": (4,)}, teacher={"t": (3, 2, 2)},
    ),
    Example(Hint, on_features(test_hint.by_hand), zero=False, student=ONE, teacher=OTHER),
    Example(NeuronSelectivity, on_features(test_neuron_selectivity.by_hand), zero=False, student=ONE, teacher=OTHER),
    *(
        Example(kind, on_features(by_hand), student=shapes, teacher=shapes)
        for kind, by_hand in test_relations.TERMS
        for shapes in (MAPS, VECTORS)
    ),
    Example(
        Review, on_features(test_review.by_hand), zero=False,
        student=test_review.SHAPES[0], teacher=test_review.SHAPES[1],
    ),
    Example(SharedClassifier, on_features(test_shared_classifier.by_hand), student=VECTORS, teacher=VECTORS),
    Example(
        Variational, on_features(test_variational.by_hand), zero=False,
        student={"s": (3, 2, 2), "u": (4, 1, 1)}, teacher={"t": (2, 2, 2), "w": (3, 1, 1)},
    ),
    *(
        Example(kind, by_hand, zero=False, draws=draws, student=shapes)
        for kind, by_hand, draws in (
            (MaximumMeanDiscrepancy, test_domain_terms.mmd_by_hand, True),
            (CorrelationAlignment, test_domain_terms.coral_by_hand, False),
            (lambda: DomainAdversarial(over=0), test_domain_terms.dann_by_hand, True),
        )
        for shapes in (MAPS, VECTORS)
    ),
    Example(MinimumClassConfusion, test_domain_terms.mcc_by_hand, zero=False),
    Example(BinarySoftLabels, references.binary_soft_labels),
    Example(lambda: BinarySoftLabels(3.0), references.binary_soft_labels),
    Example(BinarySoftLabels, references.binary_soft_labels, labels="several"),
    Example(BinaryCrossEntropy, references.binary_cross_entropy, zero=False, labels="several"),
    Example(BoundedRegression, references.bounded_regression, labels="values"),
    Example(lambda: BoundedRegression(8.0), references.bounded_regression, zero=False, labels="values"),
    Example(SoftRegression, references.soft_regression, labels="values"),
    Example(SquaredError, references.squared_error, zero=False, labels="values"),
    Example(CrossEntropy, references.cross_entropy, zero=False),
    Example(lambda: CrossEntropy(0.1), references.cross_entropy, zero=False),
    Example(CurriculumSoftLabels, references.curriculum_soft_labels),
    Example(lambda: CurriculumSoftLabels(2.0, 5.0), references.curriculum_soft_labels),
    Example(DecoupledSoftLabels, references.decoupled_soft_labels),
    Example(lambda: DecoupledSoftLabels(2.0, target=0.5, others=2.0), references.decoupled_soft_labels),
    Example(EntropyPenalty, references.entropy_penalty, zero=False),
    Example(JensenShannon, references.jensen_shannon),
    *(Example(lambda beta=beta: JensenShannon(4.0, beta), references.jensen_shannon) for beta in (0.0, 0.1, 0.9, 1.0)),
    Example(L2Sp, references.l2_sp, zero=False),
    Example(LearningWithoutForgetting, references.learning_without_forgetting, zero=False),
    Example(lambda: LearningWithoutForgetting(0.5), references.learning_without_forgetting, zero=False),
    Example(LogitMatching, references.logit_matching),
    Example(RelationalLogits, references.relational_logits),
    Example(lambda: RelationalLogits(4.0, inter=2.0, intra=0.5), references.relational_logits),
    Example(SoftLabels, references.soft_labels),
    Example(lambda: SoftLabels(2.0, standardise=True), references.soft_labels),
    Example(TeacherLabels, references.teacher_labels, zero=False),
    *(
        Example(lambda kind=kind, by=by: kind(per_sample=by), reference)
        for kind, reference in PER_SAMPLE
        for by in ("confidence", "correctness")
    ),
    Example(WeightPenalty, references.weight_penalty, zero=False),
    Example(lambda: WeightPenalty(exclude_norm_and_bias=False), references.weight_penalty, zero=False),
]  # fmt: skip


def over(examples: list[Example]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", examples, ids=lambda example: example.make().describe())


every_term = over(EXAMPLES)
every_term_that_draws_nothing = over([example for example in EXAMPLES if not example.draws])
every_term_with_a_plain_gradient = over([example for example in EXAMPLES if example.asks or not example.draws])


class Student(nn.Module):
    """A layer for the logits, and one for each feature."""

    def __init__(self, features: Shapes, generator: torch.Generator) -> None:
        super().__init__()
        self.shapes = {"logits": (C,), **features}
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        self.layers = nn.ModuleList(nn.Linear(D, size) for size in sizes)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, inputs: Tensor) -> Outputs:
        said = {
            name: layer(inputs).view(-1, *shape)
            for layer, (name, shape) in zip(self.layers, self.shapes.items(), strict=True)
        }
        return Outputs(logits=said.pop("logits"), features=said)


class Case:
    """A student, what it returned for a batch, and what the teacher said about it."""

    def __init__(self, example: Example, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(3)
        torch.manual_seed(4)  # what a term draws for itself
        self.student = Student(example.student, generator).to(dtype)
        inputs = torch.randn(B, D, generator=generator)
        self.inputs = (inputs.sigmoid() if example.asks else inputs).to(dtype)
        shapes = {"logits": (C,), **example.teacher}
        self.teacher = {
            name: (2 * torch.randn(B, *shape, generator=generator)).to(dtype).requires_grad_(True)
            for name, shape in shapes.items()
        }
        self.labels = torch.randint(0, C, (B,), generator=generator)
        if example.labels != "classes":
            values = 3 * torch.randn(B, C, generator=generator)
            self.labels = values if example.labels == "values" else (values > 0).float()
        self.labels[1::3] = self.withheld
        self.term = example.make()
        context = Context(self.student, B, teacher=test_adversarial_terms.teacher)
        self.term.prepare(self.outputs(), self.knowledge(), context)
        self.move_on(generator)
        if dtype == torch.float64:
            self.term.double()
        self.memory = {name: value.clone() for name, value in self.term.named_buffers()}

    @property
    def withheld(self) -> float:
        """What stands in a row whose labels are withheld."""
        return math.nan if self.labels.is_floating_point() else -1

    @torch.no_grad()
    def move_on(self, generator: torch.Generator) -> None:
        """Move the student away from its start, as training does."""
        for parameter in self.student.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))

    def outputs(self, rows: Tensor | slice = slice(None)) -> Outputs:
        outputs: Outputs = self.student(self.inputs[rows])
        return outputs

    def knowledge(self, rows: Tensor | slice = slice(None)) -> Knowledge:
        features = {name: value[rows] for name, value in self.teacher.items()}
        logits = features.pop("logits")
        return Knowledge(logits=logits, probs=logits.softmax(1), labels=logits.argmax(1), features=features)

    def batch(self, rows: Tensor | slice = slice(None)) -> Batch:
        return Batch(self.inputs[rows], self.labels[rows], index=torch.arange(B)[rows], domain=DOMAIN[rows])

    def value(self, rows: Tensor | slice = slice(None)) -> Tensor:
        torch.manual_seed(references.SEED)
        self.forget()
        value: Tensor = self.term(self.outputs(rows), self.knowledge(rows), self.batch(rows))
        return value

    def forget(self) -> None:
        """Bring what a term remembers from batch to batch back to where it began."""
        for name, value in self.memory.items():
            module, _, own = name.rpartition(".")
            setattr(self.term.get_submodule(module), own, value.clone())

    def gradients(self) -> list[Tensor]:
        """Return the gradient at each of the student's parameters; zeros where the term does not look."""
        found = torch.autograd.grad(self.value(), list(self.student.parameters()), allow_unused=True)
        pairs = zip(found, self.student.parameters(), strict=True)
        return [torch.zeros_like(parameter) if one is None else one for one, parameter in pairs]

    @torch.no_grad()
    def seen(self) -> Seen:
        """Return the batch as the reference gets it."""
        outputs, features = self.outputs(), {name: value.numpy() for name, value in self.teacher.items()}
        return Seen(
            logits=outputs.logits.numpy(),
            teacher=features.pop("logits"),
            labels=self.labels.numpy(),
            features={name: value.numpy() for name, value in outputs.features.items()},
            teacher_features=features,
            weights=[parameter.numpy() for parameter in self.student.parameters()],
            memory=self.memory,
            inputs=self.inputs.numpy(),
        )


def test_every_term_has_its_example() -> None:
    shown = {type(example.make()).__name__ for example in EXAMPLES}
    missing = sorted(set(limbeck.objectives.__all__) - shown)
    assert not missing, f"add an Example with a reference for {', '.join(missing)}"
    assert sorted(limbeck.objectives.__all__) == limbeck.objectives.__all__


@every_term
def test_the_value_is_that_of_the_reference(example: Example) -> None:
    case = Case(example, torch.float64)
    assert case.value().item() == pytest.approx(example.reference(case.seen(), case.term), rel=1e-5, abs=1e-8)
    assert Case(example).value().item() == pytest.approx(case.value().item(), rel=1e-4, abs=1e-5)


@every_term_with_a_plain_gradient
def test_the_gradient_is_that_of_the_reference(example: Example) -> None:
    """By central differences of the reference, in random directions through all of the student's parameters."""
    case, generator, step = Case(example, torch.float64), torch.Generator().manual_seed(9), 1e-6
    gradients, parameters = case.gradients(), list(case.student.parameters())
    scale = float(torch.cat([one.flatten() for one in gradients]).norm())
    for _ in range(PROBES):
        direction = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in parameters]
        values = []
        for sign in (1, -1):
            _move(parameters, direction, sign * step)
            values.append(example.reference(case.seen(), case.term))
            _move(parameters, direction, -sign * step)
        mine = sum(float((one * way).sum()) for one, way in zip(gradients, direction, strict=True))
        assert mine == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-5 * scale)


@torch.no_grad()
def _move(parameters: list[nn.Parameter], direction: list[Tensor], step: float) -> None:
    for parameter, way in zip(parameters, direction, strict=True):
        parameter.add_(step * way)


@every_term_with_a_plain_gradient
def test_the_gradient_is_that_of_the_value(example: Example) -> None:
    case = Case(example, torch.float64)

    def value(*parameters: Tensor) -> Tensor:  # gradcheck moves the student's own parameters in place
        return case.value()

    assert torch.autograd.gradcheck(value, tuple(case.student.parameters()), fast_mode=True)


@every_term
def test_the_gradient_reaches_the_student_and_never_the_teacher(example: Example) -> None:
    case = Case(example)
    case.value().backward()
    reached = [parameter.grad.abs().sum() for parameter in case.student.parameters() if parameter.grad is not None]
    assert sum(reached) > 1e-4
    assert all(value.grad is None for value in case.teacher.values())


@over([example for example in EXAMPLES if example.zero])
def test_equal_answers_leave_nothing_to_learn(example: Example) -> None:
    case = Case(example, torch.float64)
    leaves = {name: value.detach().clone().requires_grad_(True) for name, value in case.teacher.items()}
    features = {name: value for name, value in leaves.items() if name != "logits"}
    value = case.term(Outputs(leaves["logits"], features=features), case.knowledge(), case.batch())
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    assert abs(value.item()) < 1e-12 < 1e-4 < case.value().item()
    assert all(one is None or one.abs().max() < 1e-7 for one in gradients)


@over([example for example in EXAMPLES if example.make().aims])
def test_what_a_term_aims_at_pulls_as_the_term_does(example: Example) -> None:
    case = Case(example, torch.float64)
    logits, temperature = case.outputs().logits.detach().requires_grad_(True), getattr(case.term, "temperature", 1.0)
    aims, counts = case.term.aim(case.knowledge(), case.batch(), C)
    torch.testing.assert_close(aims.sum(1)[counts > 0].double(), torch.ones(int((counts > 0).sum())).double())
    each = -(aims * torch.log_softmax(logits / temperature, 1)).sum(1)
    total = temperature**2 * (counts * each).sum() / case.term.counted(case.knowledge(), case.batch())
    value = case.term(Outputs(logits), case.knowledge(), case.batch())
    mine, theirs = (torch.autograd.grad(one, logits)[0] for one in (total, value))
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


@every_term_that_draws_nothing
def test_a_split_batch_gives_the_same_value_where_it_is_said_to(example: Example) -> None:
    case, parts = Case(example, torch.float64), [slice(0, 5), slice(5, 6), slice(6, B)]
    counts = [float(case.term.counted(case.knowledge(rows), case.batch(rows))) for rows in parts]
    assert sum(counts) == float(case.term.counted(case.knowledge(), case.batch())) and len(set(counts)) > 1
    total = sum(count * case.value(rows) for count, rows in zip(counts, parts, strict=True)) / sum(counts)
    together = torch.isclose(total, case.value(), rtol=1e-9, atol=1e-12)
    assert bool(together) == case.term.additive


@every_term_that_draws_nothing
def test_showing_a_batch_twice_changes_nothing(example: Example) -> None:
    case = Case(example, torch.float64)
    if (not case.term.additive and case.term.needs & {"features"}) or isinstance(case.term, CorrelationAlignment):
        pytest.skip("relates every sample to every other one, its copy included")
    torch.testing.assert_close(case.value(torch.arange(B).repeat(2)), case.value())


@every_term_that_draws_nothing
def test_the_order_within_a_batch_changes_nothing(example: Example) -> None:
    case = Case(example, torch.float64)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(case.value(order), case.value())


@every_term
def test_the_same_batch_gives_the_same_bits(example: Example) -> None:
    first, second = Case(example), Case(example)
    assert torch.equal(first.value(), first.value()) and torch.equal(first.value(), second.value())
    assert all(torch.equal(one, other) for one, other in zip(first.gradients(), second.gradients(), strict=True))


@every_term
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_give_float32(example: Example, dtype: torch.dtype) -> None:
    case, full = Case(example, dtype), Case(example)
    full.term.load_state_dict(case.term.state_dict())
    full.inputs = case.inputs.float()
    value = case.value()
    assert value.dtype == torch.float32 and value.shape == () and torch.isfinite(value)
    with torch.no_grad():
        for own, other in zip(full.student.parameters(), case.student.parameters(), strict=True):
            own.copy_(other.float())
        said = case.outputs()
    outputs = Outputs(said.logits.float(), features={name: one.float() for name, one in said.features.items()})
    features = {name: one.float() for name, one in case.teacher.items() if name != "logits"}
    logits = case.teacher["logits"]
    knowledge = Knowledge(logits.float(), labels=logits.argmax(1), features=features)
    torch.manual_seed(references.SEED)
    close = 0.1 if example.asks else 1e-3  # who asks the student gets answers in half a type
    torch.testing.assert_close(value, full.term(outputs, knowledge, full.batch()), rtol=close, atol=close)
    assert (
        case.term(case.outputs(), case.knowledge(), Batch(case.inputs, index=torch.arange(B), domain=DOMAIN)).dtype
        == torch.float32
    )
    assert all(torch.isfinite(one).all() for one in case.gradients())


@every_term
def test_float32_and_float64_stay(example: Example) -> None:
    for dtype in (torch.float32, torch.float64):
        value = Case(example, dtype).value()
        assert value.dtype == dtype and value.shape == () and torch.isfinite(value)


@every_term
def test_extreme_logits_stay_finite(example: Example) -> None:
    case, rows = Case(example), slice(0, 4)
    signs = torch.tensor([[1e4, -1e4, 0.0, 1e4, -1e4]])
    labels = torch.tensor([0, 1, -1, 4]) if example.labels == "classes" else case.labels[rows]
    batch = Batch(case.inputs[rows], labels, index=torch.arange(4), domain=DOMAIN[rows])
    features, theirs = case.outputs(rows).features, case.knowledge(rows).features
    for student, teacher in ((signs, signs), (signs, -signs), (signs * 0, signs), (signs, signs * 0)):
        logits, target = student.repeat(4, 1).requires_grad_(True), teacher.repeat(4, 1)
        for given in ({"logits": target}, {"probs": target.softmax(1)}):
            if not case.term.needs & {"logits"} or "logits" in given:
                knowledge = Knowledge(labels=target.argmax(1), features=theirs, **given)
                value = case.term(Outputs(logits, features=features), knowledge, batch)
                assert torch.isfinite(value)
                gradients = torch.autograd.grad(value + logits.sum() * 0, logits, retain_graph=True)[0]
                assert torch.isfinite(gradients).all()


@every_term
def test_a_batch_of_one_works(example: Example) -> None:
    case = Case(example)
    value = case.value(slice(0, 1))
    assert value.shape == () and torch.isfinite(value)
    if value.requires_grad:
        value.backward()
    found = [parameter.grad for parameter in case.student.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(one).all() for one in found)


@every_term
@pytest.mark.parametrize("withheld", [True, False], ids=["all -1", "none"])
def test_a_batch_without_labels_works(example: Example, withheld: bool) -> None:
    case = Case(example)
    labels = torch.full_like(case.labels, case.withheld) if withheld else None
    value = case.term(
        case.outputs(), case.knowledge(), Batch(case.inputs, labels, index=torch.arange(B), domain=DOMAIN)
    )
    assert torch.isfinite(value)
    value.backward()
    reached = [parameter.grad.abs().sum() for parameter in case.student.parameters() if parameter.grad is not None]
    assert not case.term.unlabelled or sum(reached) > 0


@every_term
def test_what_is_given_is_left_alone(example: Example) -> None:
    case = Case(example)
    outputs, knowledge, batch = case.outputs(), case.knowledge(), case.batch()
    tensors = [
        outputs.logits, *outputs.features.values(), knowledge.logits, knowledge.probs, knowledge.labels,
        *knowledge.features.values(), batch.inputs, batch.labels,
    ]  # fmt: skip
    before = [tensor.detach().clone() for tensor in tensors if tensor is not None]
    case.term(outputs, knowledge, batch).backward()
    after = [tensor for tensor in tensors if tensor is not None]
    assert all(torch.equal(old.nan_to_num(), new.nan_to_num()) for old, new in zip(before, after, strict=True))


@every_term
def test_the_value_needs_no_more_than_what_is_asked_for(example: Example) -> None:
    case = Case(example)
    assert case.term.needs <= ANSWERS | {"gradients"}
    full = case.knowledge()
    given = {name: getattr(full, name) for name in case.term.needs & ANSWERS}
    torch.manual_seed(references.SEED)
    torch.testing.assert_close(case.term(case.outputs(), Knowledge(**given), case.batch()), case.value())


@every_term
def test_every_argument_is_kept_under_its_name(example: Example) -> None:
    term, kind = example.make(), type(example.make())
    options = {
        name: getattr(term, name) for name in inspect.signature(kind).parameters if name not in ("args", "kwargs")
    }
    text = term.describe()
    assert kind(**options).describe() == text
    name, _, told = text.partition("(")
    assert name == snake_case(kind.__name__)
    if not any(isinstance(value, str) for value in options.values()):
        assert eval(f"kind({told or ')'}", {"kind": kind}).describe() == text


def test_every_exported_name_is_a_term() -> None:
    assert all(issubclass(getattr(limbeck.objectives, name), Term) for name in limbeck.objectives.__all__)
