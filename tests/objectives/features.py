"""Made features for the terms on them, and what every such term must keep. Not a test itself.

Shapes: B samples, C channels; pictures [B, C, H, W], tokens [B, T, E], vectors [B, D].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.types import Batch, Knowledge, Outputs

Shape = tuple[int, ...]
Reference = Callable[[FeatureTerm, Sequence[Tensor], Sequence[Tensor]], Tensor]


def made(shape: Shape, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return features that a network could give: half of them 0, as after a ReLU, the others spread about 1."""
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.relu().to(dtype) + 0.01


class Case:
    """A prepared term with features of student and teacher by place; those of both may be asked for gradients."""

    def __init__(
        self,
        term: FeatureTerm,
        student: Mapping[str, Shape],
        teacher: Mapping[str, Shape],
        *,
        batch: int = 6,
        dtype: torch.dtype = torch.float64,
        samples: int = 40,
    ) -> None:
        self.student = {
            name: made((batch, *shape), place, dtype) for place, (name, shape) in enumerate(student.items())
        }
        self.teacher = {
            name: made((batch, *shape), 50 + place, dtype) for place, (name, shape) in enumerate(teacher.items())
        }
        for one in (*self.student.values(), *self.teacher.values()):
            one.requires_grad_(True)
        self.term, self.rows = term, torch.arange(batch)
        torch.manual_seed(7)
        term.prepare(self.outputs(), self.knowledge(), Context(nn.Identity(), samples))
        term.double() if dtype == torch.float64 else term.float()

    def outputs(self, rows: slice = slice(None)) -> Outputs:
        some = {name: value[rows] for name, value in self.student.items()}
        return Outputs(logits=torch.zeros(len(self.rows_of(some)), 3), features=some)

    def knowledge(self, rows: slice = slice(None)) -> Knowledge:
        return Knowledge(features={name: value[rows] for name, value in self.teacher.items()})

    def value(self, rows: slice = slice(None)) -> Tensor:
        index = torch.arange(len(next(iter(self.student.values()))))[rows]
        value: Tensor = self.term(
            self.outputs(rows), self.knowledge(rows), Batch(torch.zeros(len(index), 1), index=index)
        )
        return value

    def gradients(self, value: Tensor) -> list[Tensor]:
        own = [one for one in self.term.parameters() if one.requires_grad]
        return list(torch.autograd.grad(value, [*self.student.values(), *own], allow_unused=True))

    @staticmethod
    def rows_of(features: Mapping[str, Tensor]) -> Tensor:
        return next(iter(features.values()))


def check_equals(case: Case, reference: Callable[[Case], Tensor]) -> None:
    """Compare value and gradients (of the student's features and the term's own parameters) with a reference."""
    found, wanted = case.value(), reference(case)
    assert found.shape == () and bool(torch.isfinite(found))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-9)
    for mine, theirs in zip(case.gradients(found), case.gradients(wanted), strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-9)


def check_student_only(case: Case) -> None:
    """See that the gradient reaches every compared layer of the student and no tensor of the teacher."""
    case.value().backward()
    compared = {pair.student for pair in case.term.pairs}
    for name, value in case.student.items():
        assert (value.grad is not None and bool(value.grad.abs().sum() > 0)) == (name in compared), name
    assert all(value.grad is None for value in case.teacher.values())
    assert all(one.grad is not None for one in case.term.parameters() if one.requires_grad)


def check_halves(make: Callable[[torch.dtype], Case]) -> None:
    """See that half types give float32 that is finite and near what float32 gives."""
    full = make(torch.float32)
    for dtype in (torch.float16, torch.bfloat16):
        case = make(dtype)
        case.term.load_state_dict(full.term.state_dict())
        value = case.value()
        assert value.dtype == torch.float32 and bool(torch.isfinite(value))
        torch.testing.assert_close(value, full.value(), rtol=0.05, atol=1e-3)


def check_parts(case: Case) -> None:
    """See that the parts of a batch add up to the whole, each by its share of the samples."""
    parts, count = (slice(0, 1), slice(1, 3), slice(3, None)), len(next(iter(case.student.values())))
    lengths = [len(range(count)[part]) for part in parts]
    total = sum(length * case.value(part) for length, part in zip(lengths, parts, strict=True)) / count  # type: ignore[misc]
    torch.testing.assert_close(total, case.value())
