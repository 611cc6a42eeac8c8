from __future__ import annotations

import pytest
import torch

from limbeck.data.samples import Samples
from limbeck.knowledge.recall import remember
from limbeck.teachers.answers import Answers
from limbeck.teachers.classes import ClassMap
from limbeck.teachers.mapped import MappedTeacher
from limbeck.teachers.stored import StoredTeacher, Unanswered

SAMPLES = Samples(torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), ("a", "b", "c", "d"))
SCORES = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
ANSWERS = Answers(("d", "b", "a"), "probs", None, scores=SCORES)
LABELS = Answers(("d", "b", "a"), "labels", ("x", "y", "z"), labels=torch.tensor([2, 1, 0]))
ROWS = torch.tensor([3, 0, 1])


def test_answers_are_found_by_id_in_any_order() -> None:
    teacher = StoredTeacher(ANSWERS, SAMPLES, ROWS, "file")
    said = teacher(SAMPLES.batch(torch.tensor([0, 3, 0])))
    assert torch.equal(said.logits, SCORES[[2, 0, 2]]) and said.labels is None
    assert (teacher.provides, teacher.classes) == ({"probs", "labels"}, 3)
    assert StoredTeacher(LABELS, SAMPLES, ROWS, "file")(SAMPLES.batch(ROWS)).labels.tolist() == [2, 0, 1]


def test_missing_answers_are_counted_and_named() -> None:
    with pytest.raises(Unanswered) as error:
        StoredTeacher(ANSWERS, SAMPLES, torch.arange(4), "file")
    assert str(error.value).startswith('file has no answer for 1 of 4 samples, such as "c"; ids are those of')
    assert error.value.missing == ["c"]


def test_nobody_asks_twice_for_what_is_stored() -> None:
    teacher = StoredTeacher(ANSWERS, SAMPLES, ROWS, "file")
    assert teacher.recalls and remember(teacher, SAMPLES, None) is teacher
    assert MappedTeacher(teacher, ClassMap(((1,), (0, 2)), 3)).recalls


def test_the_fingerprint_follows_the_answers() -> None:
    teacher = StoredTeacher(ANSWERS, SAMPLES, ROWS, "file")
    other = Answers(ANSWERS.ids, "probs", None, scores=SCORES + 1)
    assert teacher.fingerprint == teacher.current_fingerprint() == StoredTeacher(ANSWERS, SAMPLES, ROWS, "").fingerprint
    assert teacher.fingerprint != StoredTeacher(other, SAMPLES, ROWS, "").fingerprint
    maps = [MappedTeacher(teacher, ClassMap(groups, 3)) for groups in (((0,), (1, 2)), ((1,), (0, 2)))]
    assert len({teacher.fingerprint, *(one.fingerprint for one in maps)}) == 3
    assert maps[0].fingerprint == maps[0].current_fingerprint()


def test_what_a_map_makes_of_logits_and_labels() -> None:
    logits = Answers(ANSWERS.ids, "logits", None, scores=SCORES)
    teacher = StoredTeacher(logits, SAMPLES, ROWS, "")
    summed, renamed = (MappedTeacher(teacher, ClassMap(groups, 3)) for groups in (((0, 1), (2,)), ((2,), (0,))))
    assert summed.provides == {"probs", "labels"} and renamed.provides == {"logits", "probs", "labels"}
    assert torch.equal(renamed(SAMPLES.batch(ROWS)).logits, SCORES[[0, 2, 1]][:, [2, 0]])
    assert summed.classes == renamed.classes == 2
    hard = MappedTeacher(StoredTeacher(LABELS, SAMPLES, ROWS, ""), ClassMap(((2,), (0,)), 3))
    assert hard(SAMPLES.batch(ROWS)).labels.tolist() == [0, 1, -1]
    assert hard.dropped(SAMPLES.batch(ROWS)).tolist() == [0, 0, 1]
