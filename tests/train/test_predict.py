from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import limbeck.train.loop as loop
from limbeck.models.adapt import Adapted
from limbeck.models.weights import checksum
from limbeck.train.loop import Lesson, accuracy, predict

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]


@pytest.mark.parametrize("training", [True, False])
def test_predicting_leaves_mode_and_statistics_alone(
    make_lesson: MakeLesson, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 7)
    model, samples = make_model().train(training), make_lesson().samples
    before = checksum(model.net)
    rows = torch.tensor([5, 3, 3, 40, 1, 0, 9, 8, 2])
    logits = predict(model, samples, rows)
    assert model.training is training and checksum(model.net) == before
    wanted = model.eval()(samples.inputs[rows].float() / 255).logits
    torch.testing.assert_close(logits, wanted.detach())
    assert not logits.requires_grad
    torch.testing.assert_close(predict(model, samples)[rows], logits)


def test_no_rows_give_no_logits_and_no_accuracy(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    model, lesson = make_model(), make_lesson()
    none = torch.arange(0)
    assert predict(model, lesson.samples, none).shape == (0, 3)
    assert accuracy(model, lesson.samples, none, lesson.labels) is None


def test_accuracy_is_the_share_of_hits(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    lesson, model, rows = make_lesson(), make_model().eval(), torch.arange(48, 60)
    inputs = lesson.samples.inputs.float() / 255
    hits = sum(int(model(inputs[row][None]).logits.argmax()) == int(lesson.labels[row]) for row in rows)
    assert accuracy(model, lesson.samples, rows, lesson.labels) == hits / 12
