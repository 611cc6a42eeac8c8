"""What cannot be trained is refused before a folder is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import limbeck

X = np.random.default_rng(0).normal(size=(90, 6)).astype("float32")
DATA = limbeck.Data.from_arrays(train=(X, np.arange(90) % 3))


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x).detach()


class TwoInTraining(Detached):
    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return (self.head(x), self.head(x)) if self.training else self.head(x)


def frozen() -> nn.Module:
    return nn.Linear(6, 3).requires_grad_(False)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("student", "settings", "said"),
    [
        (frozen, limbeck.Settings(), "no parameter that can be trained"),
        (Detached, limbeck.Settings(), "logits have no gradient"),
        (TwoInTraining, limbeck.Settings(), "several values"),
        (normed, limbeck.Settings(batch_size=1), "cannot take this data, a batch of shape \\[1, 6\\]: ValueError"),
        (lambda: nn.Linear(5, 3), limbeck.Settings(), "cannot take this data, a batch of shape \\[4, 6\\]"),
    ],
)
def test_a_student_that_cannot_be_trained(student, settings, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "run"
    with pytest.raises(limbeck.UserError, match=said):
        limbeck.distill(nn.Linear(6, 3), student, DATA, train=settings, out=out, progress=False)
    assert not out.exists()


def test_a_rehearsal_moves_nothing() -> None:
    student = normed()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    with pytest.raises(limbeck.UserError):
        limbeck.distill(nn.Linear(7, 3), student, DATA, progress=False)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_settings_and_epochs_contradict_each_other() -> None:
    with pytest.raises(limbeck.UserError, match="not both"):
        limbeck.distill(nn.Linear(6, 3), normed, DATA, epochs=3, train=limbeck.Settings(), progress=False)
    with pytest.raises(limbeck.UserError, match="expected text that matches"):
        limbeck.distill(nn.Linear(6, 3), normed, DATA, name="../out", progress=False)


def test_resuming_with_other_weights_or_normalisation_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher, out = nn.Linear(6, 3), tmp_path / "run"
    common = {"epochs": 1, "seeds": 1, "out": out, "export": False, "progress": False}
    limbeck.distill(teacher, normed, DATA, **common)
    (out / "report.json").unlink()
    limbeck.distill(teacher, normed, DATA, resume=True, **common)
    (out / "report.json").unlink()
    with pytest.raises(limbeck.UserError, match="The teacher .* changed since"):
        limbeck.distill(teacher, normed, DATA, resume=True, teacher_normalise="data", **common)
    with pytest.raises(limbeck.UserError, match="The student .* changed since"):
        limbeck.distill(teacher, normed, DATA, resume=True, student_normalise="none", **common)


class Vector(limbeck.Term):
    def forward(self, student, teacher, batch):
        return student.logits.sum(1)


class Needy(limbeck.Term):
    def forward(self, student, teacher, batch):
        return teacher.logits.sum()


@pytest.mark.parametrize(
    ("term", "said"),
    [
        (Vector(), "The term vector returned a tensor of shape .*; expected a scalar"),
        (Needy(), "names them in `needs`"),
    ],
)
def test_a_broken_term_is_not_blamed_on_the_data(term, said, workplace):
    objective = limbeck.Objective([(1.0, term)])
    with pytest.raises(limbeck.UserError, match=said):
        limbeck.distill(None, lambda: nn.Linear(6, 3), DATA, objective=objective, progress=False)
    assert not (workplace / "runs").exists()
