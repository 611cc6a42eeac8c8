from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, recall_score

from limbeck.data.dataset import Data
from limbeck.evaluate.intervals import Interval
from limbeck.models.adapt import Adapted
from limbeck.models.linear import Linear
from limbeck.run.answers import Answers, ask, entry, metrics_of, verdict_json, write_predictions

DICE = np.random.default_rng(0)
LABELS = DICE.integers(0, 3, 60)


def answers(seeds: tuple[int, ...] = (0, 1), shift: int = 0) -> Answers:
    dice = np.random.default_rng(shift)
    scores = dice.dirichlet(np.ones(3), (len(seeds), 60)) + np.eye(3)[LABELS]
    return Answers(scores / scores.sum(2, keepdims=True), seeds, LABELS)


def test_metrics_equal_those_of_scikit_learn() -> None:
    found, asked = metrics_of(answers(), None, ("calibration", "agreement")), answers().scores
    assert found["accuracy"]["values"] == pytest.approx([accuracy_score(LABELS, one.argmax(1)) for one in asked])
    assert found["nll"]["values"] == pytest.approx([log_loss(LABELS, one) for one in asked])
    worst = [recall_score(LABELS, one.argmax(1), average=None).min() for one in asked]
    assert found["worst_class_accuracy"]["values"] == pytest.approx(worst)
    brier = [((one - np.eye(3)[LABELS]) ** 2).sum(1).mean() for one in asked]
    assert found["brier"]["values"] == pytest.approx(brier)
    for metric in ("accuracy", "nll", "brier", "ece"):
        low, high = found[metric]["ci95"]
        assert low <= found[metric]["mean"] <= high
        assert found[metric]["mean"] == pytest.approx(np.mean(found[metric]["values"]))
    assert [name for name in found if found[name] and found[name]["higher_is_better"]] == [
        "accuracy",
        "worst_class_accuracy",
    ]


@pytest.mark.parametrize(("named", "worst"), [(0, 0.0), (1, 1.0)])
def test_a_class_that_is_always_wrong_or_right_is_no_certainty(named: int, worst: float) -> None:
    labels = np.array([1] * 8 if named else [0] * 20 + [1] * 8)
    scores = np.tile(np.eye(2)[named] * 0.8 + 0.1, (3, len(labels), 1))
    found = metrics_of(Answers(scores, (0, 1, 2), labels), None, ())["worst_class_accuracy"]
    low, high = found["ci95"]
    assert found["mean"] == worst
    assert low <= worst <= high
    assert 0.2 < high - low < 0.5  # what eight samples leave open; Wilson's interval of 8 of 8 is 0.68 to 1


def test_what_was_not_asked_for_is_null() -> None:
    found = metrics_of(answers(), answers(shift=5), ())
    assert found["ece"] is found["agreement"] is found["negative_flips"] is None
    teacher = answers(shift=5)
    assert metrics_of(teacher, teacher, ("agreement",))["agreement"] is None, "a teacher agrees with itself"


@pytest.mark.parametrize(("seeds", "teachers"), [((0, 1), (0,)), ((0, 1), (0, 1)), ((1,), (0, 1)), ((1,), (0,))])
def test_agreement_is_with_the_teacher_of_the_same_seed(seeds: tuple[int, ...], teachers: tuple[int, ...]) -> None:
    student, teacher = answers(seeds), answers(teachers, shift=5)
    found = metrics_of(student, teacher, ("agreement",))
    same, flips = [], []
    for seed, mine in zip(seeds, student.scores.argmax(2), strict=True):
        theirs = teacher.scores[teachers.index(seed) if len(teachers) > 1 else 0].argmax(1)
        same.append((mine == theirs).mean())
        flips.append(((theirs == LABELS) & (mine != LABELS)).mean())
    assert found["agreement"]["values"] == pytest.approx(same)
    assert found["negative_flips"]["values"] == pytest.approx(flips)


def test_answers_are_softmax_of_the_untouched_test_samples() -> None:
    x = torch.rand(40, 4)
    data = Data.from_arrays((x, torch.arange(40) % 2), (x[:10], torch.arange(10) % 2))
    models = {seed: SimpleNamespace(model=Adapted(Linear((4,), 2), classes=2).train()) for seed in (3, 4)}
    found = ask(models, data)  # type: ignore[arg-type]
    assert found.seeds == (3, 4)
    assert found.scores.shape == (2, 10, 2)
    expected = models[4].model(x[:10]).logits.softmax(1).detach().numpy()
    np.testing.assert_allclose(found.scores[1], expected, atol=1e-6)
    assert found.correct.mean() == pytest.approx((found.scores.argmax(2) == np.arange(10) % 2).mean())


def test_predictions_hold_every_seed_and_sample(tmp_path: Path) -> None:
    data: Any = SimpleNamespace(test=SimpleNamespace(ids=tuple(f"s{n}" for n in range(60))))
    write_predictions(tmp_path / "p" / "student.parquet", "student", answers((7, 8)), data)
    table = pq.read_table(tmp_path / "p" / "student.parquet")
    assert table.column_names == ["model", "seed", "sample", "label", "scores"]
    assert table["model"].to_pylist() == ["student"] * 120
    assert table["seed"].to_pylist() == [7] * 60 + [8] * 60
    assert table["sample"].to_pylist() == list(data.test.ids) * 2
    assert table["label"].to_pylist() == LABELS.tolist() * 2
    scores = np.stack(table["scores"].to_numpy()).reshape(2, 60, 3)
    np.testing.assert_allclose(scores, answers((7, 8)).scores, atol=1e-7)
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["student.parquet"]


def test_an_interval_that_is_unknown_is_null() -> None:
    assert entry(Interval(0.5, None, None, (0.5,)), True) == {
        "mean": 0.5,
        "values": [0.5],
        "ci95": None,
        "higher_is_better": True,
    }
    assert verdict_json(None) is None
