"""Every outcome reads as a sentence an engineer would write."""

from __future__ import annotations

import pytest

from limbeck.evaluate import wording


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.071, "is right 7.1 points more often than"),
        (-0.02, "is right 2.0 points less often than"),
        (0.00004, "is right 0.004 points more often than"),
        (0.0004, "is right 0.04 points more often than"),
        (0.0, "is right exactly as often as"),
    ],
)
def test_gains_of_accuracy_are_points(gain: float, words: str) -> None:
    assert wording.difference(gain, "accuracy") == words


def test_other_metrics_keep_their_unit() -> None:
    assert wording.difference(-0.25, "brier") == "is worse by 0.25 in brier than"
    assert wording.difference(0.0, "brier") == "is as good in brier as"
    assert wording.interval(-0.1, 0.2, "brier") == "95 % interval from 0.1 worse to 0.2 better"


def test_intervals_read_in_the_direction_of_the_gain() -> None:
    assert wording.interval(0.062, 0.08, "accuracy") == "95 % interval 6.2 to 8.0 points"
    assert wording.interval(-0.08, -0.062, "accuracy") == "95 % interval 6.2 to 8.0 points"
    mixed = wording.interval(-0.003, 0.012, "accuracy")
    assert mixed == "95 % interval from 0.3 points less to 1.2 points more"


def test_scope_counts_seeds_and_samples() -> None:
    assert wording.scope(5, 10_000) == "over 5 seeds and 10,000 test samples"
    assert wording.scope(1, 360).endswith("(one seed: the interval covers test samples only)")


def test_advice_counts_in_singular_and_plural() -> None:
    assert wording.advice(5, 1, None) == "At this gain about 1 more seed would tell."
    assert "about 7 more seeds would" in wording.advice(5, 7, None)
    assert "about 1,200 more test samples would." in wording.advice(5, None, 1200)
    assert "both are needed" in wording.advice(5, None, None)


def test_openings_differ_by_outcome() -> None:
    outcomes = ("helped", "hurt", "equal", "unclear")
    assert wording.opening("equal", 0.005, "accuracy") == "Distillation made no difference worth 0.5 points"
    assert len({wording.opening(one, 0.005, "accuracy") for one in outcomes}) == 4
    assert len({wording.soft_opening(one, 0.005, "accuracy") for one in outcomes}) == 4


def test_a_student_that_passed_its_teacher_is_not_said_to_close_a_gap() -> None:
    assert wording.gap(0.85) == "That closes 85 % of the gap between that control and the teacher."
    assert wording.gap(1.1) == "That is 110 % of the gap between that control and the teacher: the student passed it."
