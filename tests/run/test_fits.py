from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from limbeck.data.dataset import Data
from limbeck.errors import ModelError
from limbeck.models.linear import Linear
from limbeck.models.weights import checksum, read_card
from limbeck.objectives import CrossEntropy, SoftLabels, WeightPenalty
from limbeck.objectives.objective import Objective
from limbeck.run.fits import Workshop, best_seed, objective_of, open_workshop
from limbeck.run.jobs import Trained
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan
from limbeck.run.stage_plan import StagePlan
from limbeck.run.watch import Silent
from limbeck.train.loop import Progress
from limbeck.train.settings import Settings

SOFT = Objective([(0.9, SoftLabels()), (0.1, CrossEntropy()), (0.01, WeightPenalty())])
PLAIN = Objective([(0.3, CrossEntropy())])


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")


def stage(objective: Objective, **settings: Any) -> StagePlan:
    return StagePlan("only", "scratch", objective, Settings(**{"steps": 6, "batch_size": 8, **settings}))


def workshop(folder: Path, watcher: Any = None, **changes: Any) -> Workshop:
    torch.manual_seed(0)
    x = torch.randn(80, 3)
    data = Data.from_arrays((x, (x[:, 0] > 0).long()))
    student = ModelPlan(lambda: Linear((3,), 2), {"linear": {}}, "linear", None)
    plan = Plan("p", (0, 1), data, student, (stage(PLAIN),), **{"controls": ("labels",), **changes})
    return open_workshop(plan, folder, watcher or Silent(), torch.device("cpu"))


def test_a_control_has_the_terms_without_a_teacher() -> None:
    only = stage(SOFT)
    assert objective_of(only, "student").describe() == SOFT.describe()
    assert objective_of(only, "labels").describe().startswith("1 cross_entropy")
    for role in ("labels", "smoothing", "self_training"):
        found = objective_of(only, role)
        assert found.needs == frozenset()
        assert "weight_penalty" in found.names
    assert "label_smoothing=0.1" in objective_of(only, "smoothing").describe()
    assert objective_of(only, "teacher_labels").needs == {"labels"}
    assert objective_of(stage(PLAIN), "teacher_labels").needs == frozenset(), "no teacher, so none to be had"


def test_fits_do_not_share_an_objective() -> None:
    only = stage(SOFT)
    assert objective_of(only, "student") is not only.objective
    assert objective_of(only, "student").terms[0] is not only.objective.terms[0]


def test_the_best_seed_is_that_of_validation_and_the_first_of_equals() -> None:
    def trained(accuracy: float | None, seed: int) -> Trained:
        return Trained(None, Path(), Progress(best_accuracy=accuracy), seed, 1.0, 0)  # type: ignore[arg-type]

    assert best_seed({s: trained(a, s) for s, a in ((4, 0.5), (5, 0.9), (6, 0.9))}) == 5
    assert best_seed({s: trained(None, s) for s in (7, 8)}) == 7


def train(shop: Workshop, folder: Path, **given: Any) -> Trained:
    named = {"before": None, "teacher": None, "folder": folder, **given}
    return shop.train_stage(named.pop("stage", shop.plan.stages[0]), named.pop("role", "student"), 0, **named)


def test_a_finished_fit_is_not_trained_again(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []
    watcher = SimpleNamespace(record=lambda record: None, done=lambda name, seed, steps: heard.append((name, steps)))
    first = train(workshop(tmp_path, watcher), tmp_path / "s")
    stamp = (tmp_path / "s" / "fit.json").stat().st_mtime_ns
    second = train(workshop(tmp_path, watcher), tmp_path / "s")
    assert (tmp_path / "s" / "fit.json").stat().st_mtime_ns == stamp
    assert checksum(first.model.net) == checksum(second.model.net) == read_card(tmp_path / "s")["sha256"]
    assert first.progress == second.progress
    assert (first.temperature, first.steps) == (second.temperature, second.steps)
    assert heard == [("student", 6), ("student", 6)]
    assert not second.model.training


def test_what_a_killed_fit_left_is_cleared_away(tmp_path: Path) -> None:
    train(workshop(tmp_path), tmp_path / "s")
    for name in ("checkpoint.safetensors", ".checkpoint.safetensors.partial"):
        (tmp_path / "s" / name).write_bytes(b"half")
    train(workshop(tmp_path), tmp_path / "s")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["fit.json", "model.json", "model.safetensors"]


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    train(workshop(tmp_path), tmp_path / "a")
    train(workshop(tmp_path), tmp_path / "b", stage=stage(PLAIN, lr=0.1))
    (tmp_path / "a" / "model.safetensors").write_bytes((tmp_path / "b" / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="SHA-256 differs"):
        train(workshop(tmp_path), tmp_path / "a")


def test_a_control_follows_a_student_that_stopped_early(tmp_path: Path) -> None:
    shop, only = workshop(tmp_path), stage(PLAIN, steps=80, lr=1e-9, patience=1, schedule="constant")
    student = train(shop, tmp_path / "s", stage=only)
    assert student.progress.step < 80
    control = train(shop, tmp_path / "c", stage=only, role="labels", student=student)
    assert control.progress.step == student.progress.step
    assert json.loads((tmp_path / "c" / "fit.json").read_text())["settings"]["patience"] is None


def test_a_stage_starts_from_the_model_before_it(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    before = train(shop, tmp_path / "a", stage=stage(PLAIN, lr=0.1))
    after = train(shop, tmp_path / "b", stage=stage(PLAIN, steps=1, lr=1e-12, weight_decay=0.0), before=before)
    for name, value in before.model.net.state_dict().items():
        torch.testing.assert_close(after.model.net.state_dict()[name], value)
    assert (after.progress.step, after.steps) == (1, 7)


def test_the_card_says_what_is_needed_to_build_the_model_again(tmp_path: Path) -> None:
    train(workshop(tmp_path), tmp_path / "s")
    card = read_card(tmp_path / "s")
    assert card["architecture"] == {"linear": {}}
    assert (card["classes"], card["shape"], card["seed"]) == (["0", "1"], [3], 0)
    assert card["normalise"] is None
