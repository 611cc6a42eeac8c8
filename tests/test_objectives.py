"""One property suite over every term: a class added to `limbeck.objectives.__all__` joins by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import limbeck.objectives
from limbeck.objectives.base import Context, Term, snake_case
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.types import Batch, Knowledge, Outputs

EVERY: list[type[Term]] = [getattr(limbeck.objectives, name) for name in limbeck.objectives.__all__]
KINDS = [kind for kind in EVERY if not issubclass(kind, FeatureTerm)]  # of those, see tests/objectives/features.py
NOT_ADDITIVE: frozenset[str] = frozenset()  # terms that relate the samples of a batch to each other
B, C, D = 12, 5, 7

every_term = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: snake_case(kind.__name__))


class Case:
    """A student, what it returned for a batch, and what the teacher said about it."""

    def __init__(self, kind: type[Term], size: int = B, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(3)
        self.student = nn.Linear(D, C)
        with torch.no_grad():
            self.student.weight.copy_(torch.randn(C, D, generator=generator))
            self.student.bias.copy_(torch.randn(C, generator=generator))
        self.student.to(dtype)
        self.inputs = scale * torch.randn(size, D, generator=generator).to(dtype)
        self.teacher = (scale * 2 * torch.randn(size, C, generator=generator)).to(dtype).requires_grad_(True)
        self.labels = torch.randint(0, C, (size,), generator=generator)
        self.labels[1::3] = -1
        self.term = kind()
        self.term.prepare(self.outputs(), self.knowledge(), Context(self.student, size))

    def outputs(self, rows: Tensor | slice = slice(None)) -> Outputs:
        return Outputs(logits=self.student(self.inputs[rows]))

    def knowledge(self, rows: Tensor | slice = slice(None)) -> Knowledge:
        logits = self.teacher[rows]
        return Knowledge(logits=logits, probs=logits.softmax(1), labels=logits.argmax(1))

    def batch(self, rows: Tensor | slice = slice(None)) -> Batch:
        return Batch(self.inputs[rows], self.labels[rows], index=torch.arange(len(self.labels))[rows])

    def value(self, rows: Tensor | slice = slice(None)) -> Tensor:
        value: Tensor = self.term(self.outputs(rows), self.knowledge(rows), self.batch(rows))
        return value


@every_term
def test_the_gradient_reaches_the_student_and_never_the_teacher(kind: type[Term]) -> None:
    case = Case(kind)
    case.value().backward()
    gradient = case.student.weight.grad
    assert gradient is not None and gradient.abs().sum() > 1e-4
    assert case.teacher.grad is None


@every_term
def test_the_gradient_is_that_of_the_value(kind: type[Term]) -> None:
    case = Case(kind, dtype=torch.float64)

    def value(*parameters: Tensor) -> Tensor:  # gradcheck moves the student's own parameters in place
        return case.value()

    assert torch.autograd.gradcheck(value, tuple(case.student.parameters()), fast_mode=True)


@every_term
def test_a_split_batch_gives_the_same_value(kind: type[Term]) -> None:
    if kind.__name__ in NOT_ADDITIVE:
        pytest.skip("relates the samples of a batch")
    case = Case(kind, dtype=torch.float64)
    parts = [slice(0, 5), slice(5, 6), slice(6, B)]
    counts = [len(case.labels[rows]) if kind.unlabelled else int((case.labels[rows] >= 0).sum()) for rows in parts]
    assert len(set(counts)) > 1
    total = sum(count * case.value(rows) for count, rows in zip(counts, parts, strict=True)) / sum(counts)
    torch.testing.assert_close(total, case.value())


@every_term
def test_showing_a_batch_twice_changes_nothing(kind: type[Term]) -> None:
    case = Case(kind, dtype=torch.float64)
    twice = torch.arange(B).repeat(2)
    torch.testing.assert_close(case.value(twice), case.value())


@every_term
def test_the_order_within_a_batch_changes_nothing(kind: type[Term]) -> None:
    case = Case(kind, dtype=torch.float64)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(case.value(order), case.value())


@every_term
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_give_float32(kind: type[Term], dtype: torch.dtype) -> None:
    case = Case(kind, dtype=dtype)
    value = case.value()
    assert value.dtype == torch.float32
    full = Case(kind)
    with torch.no_grad():
        for own, other in zip(full.student.parameters(), case.student.parameters(), strict=True):
            own.copy_(other.float())
    reference = full.term(
        Outputs(case.outputs().logits.float()),
        Knowledge(case.teacher.float(), labels=case.teacher.argmax(1)),
        full.batch(),
    )
    torch.testing.assert_close(value, reference, rtol=1e-3, atol=1e-3)
    unlabelled = case.term(case.outputs(), case.knowledge(), Batch(case.inputs))
    assert unlabelled.dtype == torch.float32


@every_term
def test_float64_stays(kind: type[Term]) -> None:
    case = Case(kind, dtype=torch.float64)
    assert case.value().dtype == torch.float64


@every_term
def test_extreme_logits_stay_finite(kind: type[Term]) -> None:
    case = Case(kind)
    signs = torch.tensor([[1e4, -1e4, 0.0, 1e4, -1e4]])
    for student, teacher in ((signs, signs), (signs, -signs), (signs * 0, signs), (signs, signs * 0)):
        logits = student.repeat(4, 1).requires_grad_(True)
        target = teacher.repeat(4, 1)
        knowledge = Knowledge(target, target.softmax(1), target.argmax(1))
        for given in (knowledge, Knowledge(probs=knowledge.probs, labels=knowledge.labels)):
            if case.term.needs & {"logits"} and given.logits is None:
                continue
            value = case.term(Outputs(logits), given, Batch(torch.zeros(4, D), torch.tensor([0, 1, -1, 4])))
            assert torch.isfinite(value)
            gradients = torch.autograd.grad(value + logits.sum() * 0, logits)[0]
            assert torch.isfinite(gradients).all()


@every_term
def test_a_batch_of_one_works(kind: type[Term]) -> None:
    value = Case(kind).value(slice(0, 1))
    assert value.shape == () and torch.isfinite(value)


@every_term
@pytest.mark.parametrize("withheld", [True, False], ids=["all -1", "none"])
def test_a_batch_without_labels_works(kind: type[Term], withheld: bool) -> None:
    case = Case(kind)
    labels = torch.full((B,), -1) if withheld else None
    value = case.term(case.outputs(), case.knowledge(), Batch(case.inputs, labels))
    assert torch.isfinite(value)
    value.backward()
    gradient = case.student.weight.grad
    assert gradient is not None
    if kind.unlabelled:
        assert gradient.abs().sum() > 0


@every_term
def test_what_is_given_is_left_alone(kind: type[Term]) -> None:
    case = Case(kind)
    outputs, knowledge, batch = case.outputs(), case.knowledge(), case.batch()
    tensors = [outputs.logits, knowledge.logits, knowledge.probs, knowledge.labels, batch.inputs, batch.labels]
    before = [tensor.detach().clone() for tensor in tensors if tensor is not None]
    case.term(outputs, knowledge, batch).backward()
    after = [tensor for tensor in tensors if tensor is not None]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@every_term
def test_the_value_needs_no_more_than_what_is_asked_for(kind: type[Term]) -> None:
    case = Case(kind)
    assert case.term.needs <= {"logits", "probs", "labels"}
    full = case.knowledge()
    given = {name: getattr(full, name) for name in case.term.needs}
    value = case.term(case.outputs(), Knowledge(**given), case.batch())
    torch.testing.assert_close(value, case.value())


@every_term
def test_the_description_rebuilds_the_term(kind: type[Term]) -> None:
    text = kind().describe()
    name, _, options = text.partition("(")
    assert name == snake_case(kind.__name__)
    rebuilt = eval(f"kind({options or ')'}", {"kind": kind})
    assert rebuilt.describe() == text


def test_every_exported_name_is_a_term() -> None:
    assert all(issubclass(kind, Term) for kind in EVERY)
    assert sorted(limbeck.objectives.__all__) == limbeck.objectives.__all__
