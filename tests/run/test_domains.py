"""Two domains in a run: no label of the target reaches a loss, and the report tells of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.two_domains import domain

from limbeck.errors import RecipeError
from limbeck.models.weights import checksum
from limbeck.objectives.objective import ALIGNING
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report

RECIPE = """\
name: domains
seeds: 1
data: {{source: "npz:{source}", target: "npz:{target}"}}
{teacher}student: {{model: {{cnn: {{width: 4}}}}, train: {{steps: 30, batch_size: 33}}}}
objective: [{objective}]
export: {{onnx: false}}
"""
EVERY = "cross_entropy, maximum_mean_discrepancy, correlation_alignment, domain_adversarial, minimum_class_confusion"


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return domain(tmp_path / "source.npz", 0), domain(tmp_path / "target.npz", 60, seed=1)


def recipe(both: tuple[Path, Path], objective: str = EVERY, teacher: str = "") -> str:
    return RECIPE.format(source=both[0], target=both[1], objective=objective, teacher=teacher)


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
    controls = {name: one["metrics"]["accuracy"]["mean"] for name, one in report["models"].items() if name != "student"}
    assert controls[report["verdict"]["against"]] == max(controls.values())
    assert any("no validation labels of the target" in note for note in report["verdict"]["notes"])
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
    assert stage.objective.control(without=ALIGNING).names == ("cross_entropy",)
    report = read_report(run(plan, out=tmp_path / "run"))
    assert report["models"]["source_only"]["title"] == "the source's labels, domains left apart"
    assert report["verdict"]["sentence"].lower().count("distillation") >= 1


@pytest.mark.parametrize("select", ["entropy", "neighbourhood", "weighted"])
def test_a_checkpoint_may_be_chosen_without_labels_of_the_target(
    both: tuple[Path, Path], tmp_path: Path, select: str
) -> None:
    plan = plan_from_recipe(parse_recipe(recipe(both), [f"student.train.select={select}", "controls=[labels]"]))
    folder = run(plan, out=tmp_path / "first")
    (told,) = (note for note in read_report(folder)["verdict"]["notes"] if "was chosen by" in note)
    assert told.startswith("The epoch of student and controls was chosen by")
    found = dict(np.load(both[1]))
    np.savez(both[1], **{**found, "y_train": np.random.default_rng(5).permutation(found["y_train"])})
    again = run(
        plan_from_recipe(parse_recipe(recipe(both), [f"student.train.select={select}", "controls=[labels]"])),
        out=tmp_path / "second",
    )
    assert checksum(load_model(folder / "student").net) == checksum(load_model(again / "student").net)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["student.train.select=entropy", "data.target=null"], "entropy looks at samples of data.target, but there is"),
        (["teacher={model: mlp, train: {select: entropy}}"], "teacher.train.select expects validation"),
        (["student.train.select=luck"], "got 'luck'"),
    ],
)
def test_a_choice_without_a_target_is_refused(both: tuple[Path, Path], settings: list[str], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(both, "cross_entropy"), settings)
    assert told in str(caught.value)
