"""The other domain of a task: shown without labels, tested with them, and never able to reach a loss by its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.dataset import Data
from limbeck.errors import DataError
from limbeck.models.weights import checksum
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report
from limbeck.train.order import Halves, Order, order_of

RECIPE = """\
name: domains
seeds: 1
data: {{source: "npz:{source}", target: "npz:{target}"}}
{teacher}student: {{model: {{cnn: {{width: 4}}}}, train: {{steps: 30, batch_size: 33}}}}
objective: [{objective}]
export: {{onnx: false}}
"""
EVERY = "cross_entropy, maximum_mean_discrepancy, correlation_alignment, domain_adversarial, minimum_class_confusion"


def domain(path: Path, shift: int, classes: int = 3, test: bool = True, seed: int = 0) -> Path:
    """Write pictures whose class is a bright row, brighter in another domain."""
    random = np.random.default_rng(seed)
    arrays = {}
    for split, count in (("train", 90), ("test", 45))[: 1 + test]:
        labels = np.arange(count) % classes
        pictures = random.integers(0, 60, (count, 8, 8), dtype=np.uint8)
        pictures[np.arange(count), 2 * labels] += np.uint8(120 + shift)
        arrays |= {f"x_{split}": pictures, f"y_{split}": labels}
    np.savez(path, **arrays)
    return path


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return domain(tmp_path / "source.npz", 0), domain(tmp_path / "target.npz", 60, seed=1)


def recipe(both: tuple[Path, Path], objective: str = EVERY, teacher: str = "") -> str:
    return RECIPE.format(source=both[0], target=both[1], objective=objective, teacher=teacher)


def test_the_target_trains_without_labels_and_tests_with_them(both: tuple[Path, Path]) -> None:
    data = Data.open(f"npz:{both[0]}", target=f"npz:{both[1]}")
    assert data.pool.domain is not None and data.in_domain is not None
    theirs = data.pool.domain == 1
    assert int(theirs.sum()) == 90 and bool((data.pool.labels[theirs] == -1).all())
    assert set(data.train.tolist()) >= set(theirs.nonzero().flatten().tolist())
    assert not bool(theirs[data.validation].any())
    assert len(data.test) == 45 and bool((data.test.labels >= 0).all()) and len(data.in_domain) == 45
    assert data.test.ids[0].startswith("target/") and not data.in_domain.ids[0].startswith("target/")
    batch = data.pool.batch(data.train[-2:])
    assert batch.domain is not None and batch.domain.tolist() == [1, 1]


def test_a_target_without_a_test_split_gets_one(tmp_path: Path) -> None:
    places = domain(tmp_path / "a.npz", 0), domain(tmp_path / "b.npz", 60, test=False)
    data = Data.open(f"npz:{places[0]}", target=f"npz:{places[1]}", test=0.2)
    assert len(data.test) == 18 and data.pool.domain is not None and int(data.pool.domain.sum()) == 72


def test_a_target_that_lacks_a_class_is_refused(tmp_path: Path) -> None:
    places = domain(tmp_path / "a.npz", 0), domain(tmp_path / "b.npz", 60, classes=2)
    with pytest.raises(DataError, match=r"has no class '2'; both domains need the same class names, and it has 0, 1"):
        Data.open(f"npz:{places[0]}", target=f"npz:{places[1]}")
    data = Data.open(f"npz:{places[1]}", target=f"npz:{places[0]}")  # what it has beyond is left out
    assert data.classes == ("0", "1") and set(data.test.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("size", [1, 7, 8])
def test_batches_are_half_of_each_domain_and_show_all(size: int) -> None:
    rows = torch.arange(20)
    order = order_of(rows, (rows >= 14).long(), seed=3)
    assert isinstance(order, Halves)
    seen: list[int] = []
    for step in range(40):
        shown, times = order.batch(step, size)
        assert len(shown) == len(times) == size
        assert int((shown >= 14).sum()) == size // 2
        assert (shown[:2] >= 14).tolist() == [False, True][:size]
        seen += shown.tolist()
    assert set(seen) >= set(range(14)) and (size == 1 or set(seen) == set(range(20)))
    assert torch.equal(order.batch(2, size)[0], order_of(rows, (rows >= 14).long(), seed=3).batch(2, size)[0])


def test_one_domain_alone_is_shown_as_ever() -> None:
    rows = torch.arange(5)
    for domains in (None, torch.zeros(9, dtype=torch.int64), torch.ones(9, dtype=torch.int64)):
        order = order_of(rows, domains, seed=3)
        assert isinstance(order, Order) and torch.equal(order.batch(1, 4)[0], Order(rows, 3).batch(1, 4)[0])


def test_shuffling_the_labels_of_the_target_changes_no_weight(both: tuple[Path, Path], tmp_path: Path) -> None:
    first = run(plan_from_recipe(parse_recipe(recipe(both))), out=tmp_path / "first")
    found = dict(np.load(both[1]))
    found["y_train"] = np.random.default_rng(5).permutation(found["y_train"])
    assert (found["y_train"] != np.load(both[1])["y_train"]).any()
    np.savez(both[1], **found)
    second = run(plan_from_recipe(parse_recipe(recipe(both))), out=tmp_path / "second")
    for place in ("student", "controls/labels", "controls/self_training"):
        assert checksum(load_model(first / place).net) == checksum(load_model(second / place).net)


def test_a_run_tells_of_both_domains(both: tuple[Path, Path], tmp_path: Path) -> None:
    folder = run(plan_from_recipe(parse_recipe(recipe(both))), out=tmp_path / "run")
    report = read_report(folder)
    assert set(report["models"]) == {"student", "labels", "smoothing", "self_training"}
    assert report["verdict"]["sentence"].partition(":")[0] in {
        "Bringing the domains together helped", "Bringing the domains together hurt",
        "It is unclear whether bringing the domains together helped",
        "Bringing the domains together made no difference worth 0.5 points",
    }  # fmt: skip
    told = report["domains"]["models"]["student"]
    assert 0 <= told["proxy_distance"] <= 2 and 0 <= told["in_domain_accuracy"]["mean"] <= 1
    assert (len(told["picture"]["source"]), len(told["picture"]["target"])) == (81, 90)
    assert "Both domains" in (folder / "report.html").read_text()
    assert "Proxy A-distance" in (folder / "report.md").read_text()


def test_with_a_teacher_the_domains_are_brought_together_in_the_control_too(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    teacher = "teacher: {model: {cnn: {width: 8}}, train: {steps: 20}}\n"
    objective = "soft_labels, cross_entropy, correlation_alignment"
    plan = plan_from_recipe(parse_recipe(recipe(both, objective, teacher)))
    assert set(plan.controls) == {"labels", "smoothing", "teacher_labels", "self_training", "source_only"}
    stage = plan.stages[0]
    assert "correlation_alignment" in stage.objective.control().names
    assert stage.objective.control(source_only=True).names == ("cross_entropy",)
    report = read_report(run(plan, out=tmp_path / "run"))
    assert report["models"]["source_only"]["title"] == "the source's labels, domains left apart"
    assert report["verdict"]["sentence"].lower().count("distillation") >= 1
