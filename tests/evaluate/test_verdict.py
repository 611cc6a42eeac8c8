"""The verdict follows the figures: planted gains, losses, null pairs and pairs that are the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from limbeck.evaluate.verdict import Verdict, correct_for_many, judge


def answers(generator: np.random.Generator, accuracy: float, seeds: int = 5, samples: int = 360) -> np.ndarray:
    return (generator.random((seeds, samples)) < accuracy).astype(float)


def better(generator: np.random.Generator, base: np.ndarray, gain: float) -> np.ndarray:
    """Return base with so many of its wrong answers corrected that the accuracy rises by the gain."""
    return np.maximum(base, generator.random(base.shape) < gain / (1.0 - base.mean()))


def against_labels(student: np.ndarray, control: np.ndarray, **more) -> Verdict:
    return judge(student, {"labels": control}, validation={"labels": 0.9}, teacher=None, **more)


def test_two_hundred_null_pairs_seldom_help() -> None:
    generator = np.random.default_rng(0)
    helped = 0
    for i in range(200):
        hard = generator.random((1, 360)) < 0.1  # samples that both models tend to get wrong
        chance = np.where(hard, 0.4, 0.95) + (0.02 * generator.normal(size=(5, 1)) if i % 2 else 0.0)
        student, control = ((generator.random((5, 360)) < chance).astype(float) for _ in range(2))
        helped += against_labels(student, control).outcome == "helped"
    assert helped <= 10


@pytest.mark.parametrize("seeds", [1, 5])
def test_planted_gains_and_losses_are_found(seeds: int) -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        control = answers(generator, 0.85, seeds)
        student = better(generator, control, 0.06)
        found = against_labels(student, control)
        assert found.outcome == "helped"
        assert found.ci95[0] <= 0.06 <= found.ci95[1] + 0.02
        assert found.gain == pytest.approx((student - control).mean())
        lost = against_labels(control, student)
        assert lost.outcome == "hurt"
        assert lost.ci95 == pytest.approx((-found.ci95[1], -found.ci95[0]))


def test_the_same_answers_are_equal() -> None:
    control = answers(np.random.default_rng(2), 0.9, samples=1000)
    found = against_labels(control, control)
    assert (found.outcome, found.gain, found.more_seeds) == ("equal", 0.0, None)
    assert found.sentence.startswith("Distillation made no difference worth 0.5 points: the student is right exactly")


def test_the_same_answers_on_few_samples_do_not_prove_equality() -> None:
    control = answers(np.random.default_rng(2), 0.9, samples=100)
    found = against_labels(control, control)
    assert found.outcome == "unclear"
    assert found.more_seeds is None
    assert found.more_samples == pytest.approx(300, abs=20)  # t / 400 is below half a point
    enough = np.tile(control, 5)[:, : 100 + found.more_samples]
    assert against_labels(enough, enough).outcome == "equal"


def test_small_but_certain_gain_is_helped_even_inside_the_margin() -> None:
    control = np.zeros((5, 20_000))
    student = control.copy()
    student[:, :60] = 1.0
    found = against_labels(student, control)
    assert found.outcome == "helped"
    assert "0.3 points more often" in found.sentence


def test_more_seeds_would_tell_and_do() -> None:
    generator = np.random.default_rng(3)
    offsets = 0.02 * generator.normal(size=(40, 1))
    offsets += 0.008 - offsets.mean()
    control = answers(generator, 0.5, 40, 20_000)
    student = np.where(generator.random(control.shape) < np.abs(offsets), offsets > 0, control)
    found = against_labels(student[:5], control[:5])
    assert found.outcome == "unclear"
    assert found.more_samples is None
    assert f"about {found.more_seeds} more seeds would tell" in found.sentence
    assert against_labels(student, control).outcome == "helped"


def test_a_test_set_too_small_is_named() -> None:
    control = np.zeros((5, 50))
    control[:, 0] = 1.0
    student = np.zeros((5, 50))
    student[:, 1:4] = 1.0
    found = against_labels(student, control)
    assert (found.outcome, found.more_seeds) == ("unclear", None)
    assert found.more_samples is not None
    assert f"at this gain about {found.more_samples} more test samples would" in found.sentence


def test_one_seed_says_so() -> None:
    generator = np.random.default_rng(4)
    control = answers(generator, 0.8, 1)
    found = against_labels(better(generator, control, 0.1), control)
    assert "(one seed: the interval covers test samples only)" in found.sentence
    unclear = against_labels(better(generator, control[:, :60], 0.02), control[:, :60])
    assert unclear.more_seeds is None
    assert "as far as one seed can" in unclear.sentence


def test_the_opponent_is_chosen_on_validation_not_on_test() -> None:
    generator = np.random.default_rng(5)
    weak, strong = answers(generator, 0.7), answers(generator, 0.9)
    student = better(generator, strong, 0.05)
    controls = {"labels": strong, "self_training": weak, "smoothing": strong}
    found = judge(student, controls, validation={"labels": 0.8, "self_training": 0.85, "smoothing": 0.85}, teacher=None)
    assert found.against == "self_training"  # first of the two best on validation
    assert "the best control without a teacher (self_training)" in found.sentence
    assert len(found.values) == found.seeds == 5
    assert found.gain == pytest.approx(np.mean(found.values))


def test_gap_closed_is_the_share_of_the_way_to_the_teacher() -> None:
    generator = np.random.default_rng(6)
    control = answers(generator, 0.8)
    student = better(generator, control, 0.1)
    teacher = np.ones(360)
    found = judge(student, {"labels": control}, validation={"labels": 0.8}, teacher=teacher)
    share = (student.mean() - control.mean()) / (1.0 - control.mean())
    assert found.gap_closed == pytest.approx(share)
    assert f"closes {100 * share:.0f} % of the gap" in found.sentence
    weak = judge(student, {"labels": control}, validation={"labels": 0.8}, teacher=control)
    assert weak.gap_closed is None
    assert "The teacher itself is not clearly better" in weak.sentence
    past = judge(np.ones((5, 360)), {"labels": control}, validation={"labels": 0.8}, teacher=student)
    assert past.gap_closed > 1.0
    assert "the student passed it" in past.sentence


def test_soft_knowledge_is_judged_over_hard_teacher_labels() -> None:
    generator = np.random.default_rng(7)
    control = answers(generator, 0.8, samples=1000)
    student = better(generator, control, 0.1)
    same = against_labels(student, control, teacher_labels=student).over_teacher_labels
    assert same is not None
    assert (same["outcome"], same["gain"]) == ("equal", 0.0)
    assert same["sentence"].startswith("Soft knowledge made no difference worth 0.5 points over")
    more = against_labels(student, control, teacher_labels=control).over_teacher_labels
    assert more["outcome"] == "helped"
    assert more["sentence"].startswith("Soft knowledge did better than the teacher's hard labels: the student is right")
    assert against_labels(student, control).over_teacher_labels is None


def test_another_metric_is_told_in_its_own_unit() -> None:
    generator = np.random.default_rng(8)
    loss = generator.exponential(size=(5, 400))
    found = against_labels(-loss, -loss - 0.07 + 0.01 * generator.normal(size=(5, 400)), metric="nll")
    assert found.outcome == "helped"
    assert "is better by 0.0698 in nll than" in found.sentence
    assert "points" not in found.sentence


def test_whole_sentences() -> None:
    control = np.zeros((5, 1000))
    student = control.copy()
    student[:, :70] = 1.0
    helped, hurt = against_labels(student, control), against_labels(control, student, notes=["a note"])
    assert helped.sentence == (
        "Distillation helped: the student is right 7.0 points more often than the control without a teacher "
        "(labels), 95 % interval 5.4 to 8.6 points, over 5 seeds and 1,000 test samples."
    )
    assert hurt.sentence == (
        "Distillation hurt: the student is right 7.0 points less often than the control without a teacher "
        "(labels), 95 % interval 5.4 to 8.6 points, over 5 seeds and 1,000 test samples."
    )
    assert hurt.notes == ("a note",)


def test_many_verdicts_are_corrected_together() -> None:
    control = np.zeros((1, 200))
    clear, faint = control.copy(), control.copy()
    clear[0, :40] = 1.0
    faint[0, :6] = 1.0
    alone = [against_labels(one, control) for one in (faint, clear, control, control)]
    assert [one.outcome for one in alone[:2]] == ["helped", "helped"]
    assert 0.0125 < alone[0].p_value < 0.05
    together = correct_for_many(alone)
    assert [one.outcome for one in together] == ["unclear", "helped", alone[2].outcome, alone[3].outcome]
    assert together[0].p_value == pytest.approx(3 * alone[0].p_value)
    assert together[0].sentence.startswith("It is unclear whether distillation helped: among 4 verdicts")
    assert together[1].sentence == alone[1].sentence
    assert correct_for_many(alone[:1]) == alone[:1]
    domains = [dataclasses.replace(one, subject="Bringing the domains together") for one in alone]
    assert correct_for_many(domains)[0].sentence.startswith("It is unclear whether bringing the domains together hel")


def test_a_verdict_cannot_be_changed_and_is_plain_data() -> None:
    found = against_labels(np.ones((2, 50)), np.zeros((2, 50)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.gain = 1.0
    assert type(dataclasses.asdict(found)["gain"]) is float
    assert found.outcome == "helped"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"controls": {"labels": np.zeros((2, 30))}}, "labels to match the student: 3 seeds and 30 samples"),
        ({"controls": {"labels": np.zeros((3, 29))}}, r"got shape \(3, 29\)"),
        ({"controls": {}}, "at least one control"),
        ({"validation": {}}, "labels has none"),
        ({"margin": -0.1}, "margin"),
        ({"teacher": np.zeros(29)}, "teacher"),
        ({"teacher_labels": np.zeros((1, 30))}, "teacher_labels to match"),
        ({"student": np.full((3, 30), 0.5)}, "1 for right and 0 for wrong"),
        ({"student": np.full((3, 30), np.nan)}, "finite values"),
        ({"student": np.zeros((3, 1))}, "two test samples"),
        ({"student": np.zeros(30)}, r"\[seeds, samples\]"),
    ],
)
def test_wrong_arguments_are_explained(change: dict, words: str) -> None:
    request = {
        "student": np.zeros((3, 30)),
        "controls": {"labels": np.zeros((3, 30))},
        "validation": {"labels": 0.9},
        "teacher": None,
    }
    with pytest.raises(ValueError, match=words):
        judge(**(request | change))
