from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from limbeck.errors import ExportError
from limbeck.export.gate import Exam, broken, compare, exam_of, judge

NAMES = tuple("abcdefghij")


def logits_for(classes: np.ndarray, count: int) -> np.ndarray:
    """Logits that name these classes."""
    return np.eye(count, dtype=np.float32)[classes]


def exam_on(labels: np.ndarray, tolerance: float = 0.01, names: tuple[str, ...] = NAMES) -> Exam:
    return exam_of(np.zeros((len(labels), 1), np.float32), labels, names, tolerance)


def flipped(labels: np.ndarray, rows: Any, classes: int = 10) -> np.ndarray:
    said = labels.copy()
    said[rows] = (said[rows] + 1) % classes
    return said


def test_one_broken_class_trips_the_gate_although_the_mean_barely_moves() -> None:
    labels = np.repeat(np.arange(10), [220] * 9 + [18])
    exam, before = exam_on(labels), logits_for(labels, 10)
    after = logits_for(flipped(labels, labels == 9), 10)
    judged = judge(before, after, exam)
    assert judged.loss == pytest.approx(18 / 1998) and judged.loss < 0.01
    assert not judged.passed
    assert (judged.lost_class, judged.lost_samples, judged.class_samples) == ("j", 18, 18)
    assert 'the class that lost most is "j", 18 of 18 samples' in judged.sentence


def test_a_doctored_int8_file_is_refused(planted: Any) -> None:
    inputs, labels = planted.samples((400, 400, 400, 9))
    exam = exam_of(inputs, labels, planted.classes, 0.01)
    source = planted.write()
    planted.last[3, 3] = 0  # "dog" is never answered any more
    doctored = planted.write("doctored.onnx")
    judged = compare(source, doctored, exam)
    assert judged.loss < 0.01 and not judged.passed and judged.lost_class == "dog"
    assert compare(source, source, exam).passed
    assert compare(source, source, exam).max_abs_error == 0


def test_a_loss_over_all_samples_is_refused_above_the_tolerance() -> None:
    labels = np.arange(1000) % 10
    before = logits_for(labels, 10)
    for lost, passes in ((10, True), (11, False)):
        judged = judge(before, logits_for(flipped(labels, slice(0, lost)), 10), exam_on(labels))
        assert (judged.passed, judged.loss) == (passes, lost / 1000)
    gained = judge(logits_for(flipped(labels, slice(0, 50)), 10), before, exam_on(labels))
    assert gained.passed and gained.loss == -0.05 and "no class lost any" in gained.sentence


def test_one_sample_of_a_small_class_is_no_loss() -> None:
    labels = np.repeat(np.arange(10), 20)
    before = logits_for(labels, 10)
    one = judge(before, logits_for(flipped(labels, [0]), 10), exam_on(labels))
    assert one.passed and one.lost_samples == 1  # 5 points of its class
    assert judge(before, logits_for(flipped(labels, [0, 20]), 10), exam_on(labels)).passed
    assert not judge(before, logits_for(flipped(labels, [0, 1, 2, 3]), 10), exam_on(labels, 0.02)).passed


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("each", [20, 50, 500])
def test_losses_that_fall_on_any_class_alike_name_none_in_19_of_20_files(classes: int, each: int) -> None:
    draw = np.random.default_rng(0)
    counts = np.full(classes, each)
    alarms = 0
    for _ in range(400):
        lost, gained = (draw.binomial(counts, 0.02) for _ in range(2))
        alarms += bool(broken(lost, gained, counts, 0.01).any())
    assert alarms / 400 <= 0.07


@pytest.mark.parametrize(("classes", "each"), [(2, 50), (10, 20), (100, 20), (100, 50)])
def test_a_class_that_loses_half_is_always_named(classes: int, each: int) -> None:
    draw = np.random.default_rng(1)
    counts = np.full(classes, each)
    for _ in range(100):
        lost = draw.binomial(counts, 0.005)
        lost[0] = each // 2
        assert broken(lost, np.zeros_like(lost), counts, 0.01)[0]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200)), min_size=1, max_size=12),
       st.floats(0, 0.2))  # fmt: skip
def test_broken_is_the_rule_in_the_docstring(table: list[tuple[int, int, int]], tolerance: float) -> None:
    lost, gained, counts = (np.array(column) for column in zip(*table, strict=True))
    lost = np.minimum(lost, counts)
    gained = np.minimum(gained, counts - lost)
    rate = min(max(lost.sum() / max(counts.sum(), 1), tolerance), 1)
    present = max(int((counts > 0).sum()), 1)
    for place, found in enumerate(broken(lost, gained, counts, tolerance)):
        net = lost[place] - gained[place]
        tail = stats.binom.sf(lost[place] - 1, counts[place], rate)
        if abs(net - (tolerance * counts[place] + 1)) > 1e-6 and abs(tail - 0.05 / present) > 1e-9:
            assert found == (net > tolerance * counts[place] + 1 and tail < 0.05 / present)


def test_a_hundred_labels_decide_fewer_leave_it_to_agreement() -> None:
    labels = np.arange(300) % 10
    hidden = np.where(np.arange(300) < 100, labels, -1)
    exam = exam_on(hidden)
    assert (exam.judged_by, len(exam.labels), len(exam.inputs)) == ("accuracy", 100, 100)
    hidden[0] = -1
    exam = exam_on(hidden)
    assert (exam.judged_by, len(exam.labels), exam.known) == ("agreement", 300, 99)
    assert set(exam.labels) == {-1}


def test_without_labels_every_change_of_answer_counts_and_the_sentence_says_so() -> None:
    exam = exam_on(np.full(200, -1))
    says = np.arange(200) % 10
    fine = judge(logits_for(says, 10), logits_for(flipped(says, [0, 1]), 10), exam)
    assert (fine.passed, fine.judged_by, fine.loss, fine.agreement) == (True, "agreement", 0.01, 0.99)
    assert "the float file's class for 99.0 % of 200 validation samples" in fine.sentence
    assert "only 0 validation labels" in fine.sentence
    assert not judge(logits_for(says, 10), logits_for(flipped(says, [0, 1, 2]), 10), exam).passed


@pytest.mark.parametrize(("tolerance", "passes"), [(0.01, True), (0.0, False)])
def test_of_fewer_than_a_hundred_samples_one_may_change_unless_none_was_allowed(tolerance: float, passes: bool) -> None:
    says = np.arange(30) % 10
    exam = exam_on(np.full(30, -1), tolerance)
    assert judge(logits_for(says, 10), logits_for(flipped(says, [0]), 10), exam).passed is passes
    assert not judge(logits_for(says, 10), logits_for(flipped(says, [0, 1]), 10), exam).passed


def test_answers_that_are_not_finite_never_pass() -> None:
    labels = np.arange(200) % 10
    after = logits_for(labels, 10)
    after[3, 3] = np.nan
    judged = judge(logits_for(labels, 10), after, exam_on(labels, 1.0))
    assert (judged.passed, judged.max_abs_error) == (False, None)
    assert judged.sentence == "Some of its answers are not finite numbers."


@given(st.lists(st.integers(0, 3), min_size=100, max_size=160), st.data())
def test_figures_follow_from_the_answers(labels: list[int], data: st.DataObject) -> None:
    truth = np.array(labels)
    said = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels))))
    judged = judge(logits_for(truth, 4), logits_for(said, 4), exam_on(truth, 1.0, NAMES[:4]))
    assert judged.loss == pytest.approx(1 - (said == truth).mean())
    assert judged.agreement == pytest.approx((said == truth).mean())
    shares = {c: (said != truth)[truth == c].mean() for c in set(labels)}
    assert judged.passed
    assert judged.lost_samples / judged.class_samples == pytest.approx(max(shares.values()))


def test_no_sample_is_no_exam() -> None:
    with pytest.raises(ExportError, match="validation samples, but none were given"):
        exam_on(np.zeros(0, np.int64))
