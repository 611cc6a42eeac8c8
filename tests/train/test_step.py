"""A batch in parts equals the whole batch; what cannot be taken in parts says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from limbeck.data.samples import Samples
from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.objectives import CrossEntropy, EntropyPenalty, LogitMatching, SoftLabels, TeacherLabels, WeightPenalty
from limbeck.objectives.base import Context, Term
from limbeck.objectives.objective import Objective
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings
from limbeck.train.step import Step, check_accumulation
from limbeck.types import Batch, Knowledge, Outputs

Labels = Callable[[], Tensor]
ROWS = 12


def student() -> Adapted:
    torch.manual_seed(1)
    return Adapted(nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4)), classes=4).double()


def lesson(labels: Tensor) -> tuple[Batch, Knowledge]:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(ROWS, 5, generator=generator, dtype=torch.float64)
    logits = 3 * torch.randn(ROWS, 4, generator=generator, dtype=torch.float64)
    return Batch(inputs, labels), Knowledge(logits=logits, labels=logits.argmax(1))


def parts_of(batch: Batch, knowledge: Knowledge, sizes: list[int]) -> list[tuple[Batch, Knowledge]]:
    assert batch.labels is not None and knowledge.logits is not None and knowledge.labels is not None
    pieces = (value.split(sizes) for value in (batch.inputs, batch.labels, knowledge.logits, knowledge.labels))
    return [(Batch(x, y), Knowledge(logits=z, labels=top)) for x, y, z, top in zip(*pieces, strict=True)]


def taken(parts: list[tuple[Batch, Knowledge]], rate: float) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Take one step; return the figures, the gradients and the weights after it."""
    model = student()
    objective = Objective(
        [(0.7, SoftLabels()), (0.2, CrossEntropy(0.1)), (0.3, EntropyPenalty()), (0.01, LogitMatching()),
         (0.4, TeacherLabels()), (0.05, WeightPenalty())]
    )  # fmt: skip
    outputs = model(parts[0][0].inputs)
    objective.prepare(outputs, parts[0][1], Context(model, ROWS))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    figures = Step(model, objective, Tensor.backward, optimizer)(parts, rate)
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    return figures, gradients, [parameter.detach().clone() for parameter in model.parameters()]


SOME = torch.tensor([0, 1, -1, -1, -1, 2, 3, 0, 1, -1, 2, 2])


@pytest.mark.parametrize("labels", [SOME, torch.full((ROWS,), -1), SOME.clamp_min(0)], ids=["some", "none", "all"])
@pytest.mark.parametrize("sizes", [[6, 6], [3, 3, 3, 3], [1, 10, 1], [1] * ROWS], ids=str)
def test_parts_add_up_to_the_whole_batch_in_value_and_gradient(labels: Tensor, sizes: list[int]) -> None:
    batch, knowledge = lesson(labels)
    whole, parts = taken([(batch, knowledge)], 0.1), taken(parts_of(batch, knowledge, sizes), 0.1)
    assert len(whole[1]) == 4
    torch.testing.assert_close(parts, whole)


def test_the_rate_is_that_of_the_step() -> None:
    batch, knowledge = lesson(SOME)
    before = [parameter.detach() for parameter in student().parameters()]
    _, gradients, after = taken([(batch, knowledge)], 0.25)
    for start, gradient, end in zip(before, gradients, after, strict=True):
        torch.testing.assert_close(end, start - 0.25 * gradient)


def vectors() -> Lesson:
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(60, 4, generator=generator), torch.arange(60) % 3
    labels = torch.where(torch.arange(60) % 4 == 0, -1, labels)
    samples = Samples(inputs, labels, tuple(map(str, range(60))))
    return Lesson(samples, torch.arange(50), torch.arange(50, 60)[labels[50:] >= 0], labels)


def dense(seed: int) -> Adapted:
    torch.manual_seed(seed)
    return Adapted(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), classes=3)


@pytest.mark.parametrize("parts", [2, 5, 100])
def test_a_fit_in_parts_ends_where_the_fit_of_whole_batches_does(parts: int) -> None:
    ends, objective = [], Objective([(0.8, SoftLabels()), (0.2, CrossEntropy())])
    for accumulate in (1, parts):
        model, settings = dense(0), Settings(batch_size=16, lr=0.05, optimizer="sgd", accumulate=accumulate)
        progress = fit(model, objective, vectors(), settings, Budget(12, 3), teacher=ModuleTeacher(dense(1)))
        ends.append(([one["loss"] for one in progress.history], list(model.net.state_dict().values())))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-4, atol=1e-5)


class Relates(Term):
    additive = False

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        return torch.pdist(student.logits).mean()


def test_terms_that_relate_samples_refuse_parts() -> None:
    objective = Objective([(1.0, CrossEntropy()), (0.1, Relates())])
    check_accumulation(dense(0), objective, 1)
    with pytest.raises(ObjectiveError, match=r"train\.accumulate is 4, but relates relates the samples.*set .* to 1"):
        check_accumulation(dense(0), objective, 4)


def test_batch_norm_refuses_parts_before_the_first_step() -> None:
    model = Adapted(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), classes=3)
    settings = Settings(accumulate=2)
    with pytest.raises(ObjectiveError, match=r"train\.accumulate is 2, but the model has batch norm \(net\.1\)"):
        fit(model, Objective([(1.0, CrossEntropy())]), vectors(), settings, Budget(2, 1))
