"""Classes whose labels only the teacher sees: no label of theirs reaches a weight, and the report tells them apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.errors import DataError, RecipeError
from limbeck.models.weights import checksum
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.report.class_groups import hidden_limit, hidden_table
from limbeck.report.markdown import render_markdown
from limbeck.run.pipeline import expected_steps, run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report

RECIPE = """\
name: hidden
seeds: 2
data: {source: digits, classes: [1, 3, 5, 7, 8], %s}
teacher: {model: {mlp: {hidden: [32]}}, train: {steps: 120, lr: 0.01}}
student: {model: {mlp: {hidden: [16]}}, train: {steps: 120, batch_size: 64, lr: 0.01}}
objective: [soft_labels: {temperature: 4, weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels, self_training]
export: {onnx: false}
"""
SHOWN, OMITTED = "unlabelled_classes: [3, 7]", "unlabelled_classes: [7], unseen_classes: [3]"


def plan_of(keys: str) -> Plan:
    return plan_from_recipe(parse_recipe(RECIPE % keys))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(plan_of(OMITTED), out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def report(finished: Path) -> dict[str, Any]:
    return read_report(finished)


@pytest.mark.parametrize("per_class", [None, 10])
def test_labels_of_hidden_classes_are_withheld_and_all_others_stay(per_class: int | None) -> None:
    plan = replace(plan_of(OMITTED), labels_per_class=per_class)
    labels, every = plan.visible_labels(0), plan.data.visible_labels(per_class, 0)
    hidden = torch.isin(plan.data.pool.labels, torch.tensor([1, 3]))  # their numbers among the five
    assert hidden.any() and (labels[hidden] == -1).all()
    assert torch.equal(labels[~hidden], every[~hidden])
    assert plan.withholds and not replace(plan, labels_per_class=None, unlabelled_classes=()).withholds


def test_a_teacher_alone_is_shown_samples_of_unseen_classes() -> None:
    every, plan = plan_of("split_seed: 0").data, plan_of(OMITTED)
    assert plan.teacher is not None
    kept = plan.data.pool.labels[plan.data.train]
    assert 1 not in kept and 3 in kept
    rows, labels = plan.lesson_of(plan.teacher, 0)
    assert sorted(rows.tolist()) == sorted(every.train.tolist())
    assert not set(rows.tolist()) & set(plan.data.validation.tolist())
    assert torch.equal(labels, plan.data.pool.labels)
    assert set(plan.data.test.labels.tolist()) == set(range(5))
    teacher, _ = expected_steps(plan)
    assert teacher == 120


def test_permuting_the_labels_of_hidden_classes_changes_no_weight(tmp_path: Path) -> None:
    plan = replace(plan_of(SHOWN), teacher=None, black_box=None)
    stage = plan.stages[0]
    free = replace(plan, stages=(replace(stage, objective=stage.objective.control()),))
    data = plan.data
    rows = torch.isin(data.pool.labels, torch.tensor([1, 3])).nonzero().squeeze(1)
    labels = data.pool.labels.clone()
    labels[rows] = labels[rows][torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))]
    assert not torch.equal(labels, data.pool.labels)
    shuffled = replace(free, data=replace(data, pool=replace(data.pool, labels=labels)))
    first, second = run(free, out=tmp_path / "first"), run(shuffled, out=tmp_path / "second")
    for place in ("student", "controls/labels", "controls/self_training"):
        assert checksum(load_model(first / place).net) == checksum(load_model(second / place).net)


def test_a_teacher_that_is_given_carries_no_hidden_label(tmp_path: Path, finished: Path) -> None:
    plan = plan_from_recipe(parse_recipe(RECIPE % SHOWN, [f"teacher={{source: 'run:{finished}'}}"]))
    data = plan.data
    rows = torch.isin(data.pool.labels, torch.tensor([1, 3])).nonzero().squeeze(1)
    labels = data.pool.labels.clone()
    labels[rows] = labels[rows].flip(0)
    assert not torch.equal(labels, data.pool.labels)
    shuffled = replace(plan, data=replace(data, pool=replace(data.pool, labels=labels)))
    first, second = run(plan, out=tmp_path / "first"), run(shuffled, out=tmp_path / "second")
    assert checksum(load_model(first / "student").net) == checksum(load_model(second / "student").net)


def test_the_report_tells_hidden_classes_from_the_others(report: dict[str, Any]) -> None:
    found = report["hidden_classes"]
    assert [(group["key"], group["classes"]) for group in found["groups"]] == [
        ("unlabelled", ["7"]), ("unseen", ["3"]), ("labelled", ["1", "5", "8"]),
    ]  # fmt: skip
    sizes = [group["test"] for group in found["groups"]]
    assert sum(sizes) == report["data"]["test"]
    for key, one in found["models"].items():
        parts = [one[group["key"]]["mean"] * size for group, size in zip(found["groups"], sizes, strict=True)]
        assert sum(parts) / sum(sizes) == pytest.approx(report["models"][key]["metrics"]["accuracy"]["mean"])
    assert found["models"]["labels"]["unlabelled"]["mean"] == found["models"]["labels"]["unseen"]["mean"] == 0
    assert found["models"]["teacher"]["unseen"]["mean"] > 0.9
    assert found["models"]["student"]["unlabelled"]["mean"] > 0.8
    student, control = (found["models"][key]["unlabelled"] for key in ("student", report["verdict"]["against"]))
    gain = found["gain"]["unlabelled"]
    assert gain["mean"] == pytest.approx(student["mean"] - control["mean"])
    assert gain["ci95"][0] < gain["mean"] < gain["ci95"][1] <= 1


def test_the_pages_say_what_can_be_known(finished: Path, report: dict[str, Any]) -> None:
    table = hidden_table(report)
    assert table is not None
    assert [row.label for row in table.groups[0].rows] == ["Never labelled: 7", "Never shown: 3", "Labelled: 1, 5, 8"]
    assert "only have from the teacher's answers" in hidden_limit(report)
    assert "there was no sample at all" in hidden_limit(report)
    for page in ((finished / "report.html").read_text(), render_markdown(report)):
        assert "Classes never labelled" in page and "Never shown: 3" in page
    plain = {**report, "hidden_classes": None}
    assert hidden_table(plain) is None and "never labelled" not in render_markdown(plain)


def test_the_verdict_says_that_the_teacher_saw_more(report: dict[str, Any]) -> None:
    assert any("part of the gain is access to those labels" in note for note in report["verdict"]["notes"])


def test_the_preflight_does_not_miss_what_was_hidden() -> None:
    plan = plan_of(OMITTED)
    (told,) = (one for one in preflight(plan, torch.device("cpu")) if one.name == "classes")
    assert told.level == "note" and "Each of 3 classes" in told.sentence
    assert "No label is shown of 3, 7, as was asked for." in told.sentence


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("unlabelled_classes: [4]", 'data.unlabelled_classes: digits has no class "4". There are 1, 3, 5, 7, 8.'),
        ("unseen_classes: [4]", 'data.unseen_classes: digits has no class "4"'),
        ("unlabelled_classes: [1, 3, 5, 7, 8]", "data.unlabelled_classes names every class, so that no label is left"),
        ("unlabelled_classes: [1, 3, 5], unseen_classes: [7, 8]", "unlabelled_classes names every class"),
        ("unlabelled_classes: [1], augment: [mixup]", "mixup and data.unlabelled_classes do not go together"),
    ],
)
def test_classes_that_cannot_be_hidden_are_refused(keys: str, told: str) -> None:
    with pytest.raises(DataError) as caught:
        plan_of(keys).visible_labels(0)
    assert told in str(caught.value)


def test_a_target_would_show_unseen_classes() -> None:
    data = plan_of(SHOWN).data
    with pytest.raises(DataError, match=r"data\.unseen_classes does not go with data\.target"):
        replace(data, in_domain=data.test).not_showing(["3"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["data.unseen_classes=[3]"], "'3' is in unlabelled_classes, whose samples are shown, and in unseen_classes"),
        (["data.unseen_classes=[1]", "data.target=npz:x.npz"], "unseen_classes does not go with target"),
        (["teacher.labels=same"], "the teacher would know no more of these classes than the student"),
        (["teacher={self: {}}"], "the teacher would know no more of these classes than the student"),
        (["objective=[cross_entropy]"], "only a teacher can tell of these classes, but no term asks one"),
    ],
)
def test_a_recipe_that_hides_classes_needs_somebody_who_knows_them(settings: list[str], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RECIPE % SHOWN, settings)
    assert told in str(caught.value)


def test_hidden_classes_are_of_classification() -> None:
    given = ["data.source=diabetes", "data.task=regression", "data.classes=null", "objective=[squared_error]"]
    with pytest.raises(RecipeError, match="unlabelled_classes is for classification"):
        parse_recipe(RECIPE % "unlabelled_classes: [a]", given)
