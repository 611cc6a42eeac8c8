from __future__ import annotations

import torch

from limbeck.objectives.base import top_class
from limbeck.objectives.teacher_labels import TeacherLabels
from limbeck.types import Batch, Knowledge, Outputs

STUDENT = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TEACHER = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
BATCH = Batch(STUDENT, torch.full((6,), -1))


def test_is_the_mean_surprise_at_the_teachers_top_class() -> None:
    value = TeacherLabels()(Outputs(STUDENT), Knowledge(logits=TEACHER), BATCH)
    logs = STUDENT.log_softmax(1)
    by_hand = -sum(logs[row, int(TEACHER[row].argmax())] for row in range(6)) / 6
    torch.testing.assert_close(value, by_hand)


def test_labels_logits_and_probabilities_say_the_same() -> None:
    kinds = [Knowledge(logits=TEACHER), Knowledge(probs=TEACHER.softmax(1)), Knowledge(labels=TEACHER.argmax(1))]
    values = {TeacherLabels()(Outputs(STUDENT), knowledge, BATCH).item() for knowledge in kinds}
    assert len(values) == 1


def test_labels_that_are_given_come_first() -> None:
    labels = (TEACHER.argmax(1) + 1) % 4
    assert torch.equal(top_class(Knowledge(logits=TEACHER, labels=labels)), labels)
