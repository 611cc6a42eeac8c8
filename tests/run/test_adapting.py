"""Students that were trained before: what they keep of it, and how they are moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from limbeck.errors import UserError
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe

BASE = """\
name: moved
seeds: 1
data: {source: digits, classes: ["0", "1", "2"], labels_per_class: 20}
student: {model: {mlp: {hidden: [8]}}, source: SOURCE, train: {steps: 60, lr: 0.01}}
controls: [labels]
export: {onnx: false}
"""
PLAIN = "objective: [cross_entropy]\n"
KEEPING = "objective: [cross_entropy, learning_without_forgetting: {weight: 3}]\n"


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A file of weights for five classes."""
    five = plan_from_recipe(parse_recipe(BASE.replace("SOURCE", "null").replace('"2"', '"2", "3", "4"') + PLAIN))
    torch.manual_seed(5)
    state = five.model(five.student, 7).net.state_dict()
    save_file(state, tmp_path / "five.safetensors")
    return f"file:{tmp_path}/five.safetensors"


def planned(source: str, objective: str, *overrides: str) -> Plan:
    return plan_from_recipe(parse_recipe(BASE.replace("SOURCE", source) + objective, overrides))


def way(folder: Path, source: str, objective: str) -> float:
    """How far the source's own answers moved in a run."""
    plan = planned(source, objective, "student.adapt=full")
    run(plan, out=folder)
    old, now = load_file(source.removeprefix("file:")), load_file(folder / "student" / "model.safetensors")
    model = plan.model(plan.student, 0).eval()
    inputs = plan.data.pool.batch(plan.data.train).inputs
    answers = []
    for state in (old, now):
        model.net.load_state_dict({**model.net.state_dict(), **{k: v for k, v in state.items() if "head" not in k}})
        model.answer_as_source()
        answers.append(model(inputs).heads["source"].log_softmax(1).detach())
    return float((answers[0].exp() * (answers[0] - answers[1])).sum(1).mean())


def test_a_student_that_is_held_to_its_source_answers_for_it_still(tmp_path: Path, source: str) -> None:
    free, held = way(tmp_path / "free", source, PLAIN), way(tmp_path / "held", source, KEEPING)
    assert held < 0.2 * free
    control = json.loads((tmp_path / "held" / "controls" / "labels" / "seeds" / "0" / "fit.json").read_text())
    assert "learning_without_forgetting" not in control["objective"], "holding is what is judged"
    verdict = json.loads((tmp_path / "held" / "report.json").read_text())["verdict"]
    assert "earning without forgetting" in verdict["sentence"] and "without it (labels)" in verdict["sentence"]
    assert any("No test sample is of a class that the start is known" in note for note in verdict["notes"])


def test_who_starts_from_new_weights_has_nothing_to_forget(source: str) -> None:
    with pytest.raises(UserError, match=r"holds the student of stage student .* starts from new weights; give student"):
        planned("null", KEEPING)
    held = planned(source, KEEPING)
    assert held.controls == ("labels",)


def stages(plan: Plan) -> list[tuple[str, str, tuple[str, ...], int]]:
    return [(one.name, one.start, one.freeze, one.settings.total_steps(60)) for one in plan.stages]


def test_a_student_from_elsewhere_is_probed_and_then_tuned(source: str) -> None:
    plan = planned(source, PLAIN)
    assert stages(plan) == [("probe", "scratch", ("backbone",), 15), ("tune", "probe", (), 45)]
    assert any("classifier learns alone for the first quarter" in note for note in plan.notes)
    saved = parse_recipe(plan.recipe)
    assert saved.objective is None and saved.student.adapt is None and len(saved.stages) == 2
    again = plan_from_recipe(saved)
    assert again.recipe == plan.recipe and stages(again) == stages(plan)


def test_every_way_takes_as_many_steps(source: str) -> None:
    wide = ["student.model={mlp: {hidden: [8, 7, 6]}}", "student.source=null", "student.adapt=null"]
    assert stages(planned(source, PLAIN, "student.adapt=full")) == [("student", "scratch", (), 60)]
    assert stages(planned(source, PLAIN, "student.adapt=probe")) == [("probe", "scratch", ("backbone",), 60)]
    gradual = stages(planned(source, PLAIN, "student.adapt=gradual"))
    assert gradual == [("probe", "scratch", ("backbone",), 15), ("tune", "probe", (), 45)], "one hidden layer"
    torch.manual_seed(0)
    deep = planned(source, PLAIN, *wide)
    assert not deep.notes and len(deep.stages) == 1, "new weights are trained as they were"
    for way in ("full", "probe", "gradual", "probe_then_tune"):
        plan = planned(source, PLAIN, f"student.adapt={way}", "student.train={epochs: 7}")
        assert sum(one.settings.epochs for one in plan.stages) == 7
        assert not plan.notes, "whoever asked for it knows"


def test_gradual_gives_each_stage_of_the_network_its_share(tmp_path: Path, source: str) -> None:
    deep = ["student.model={mlp: {hidden: [8, 7, 6]}}", f"student.source=file:{tmp_path}/deep.safetensors"]
    made = planned("null", PLAIN, deep[0])
    save_file(made.model(made.student, 0).net.state_dict(), tmp_path / "deep.safetensors")
    found = stages(planned(source, PLAIN, *deep, "student.adapt=gradual"))
    assert [one[0] for one in found] == ["probe", "tune-1", "tune-2", "tune-3"]
    assert [one[3] for one in found] == [15] * 4
    assert len(found[1][2]) > len(found[2][2]) > len(found[3][2]) == 0
    with pytest.raises(UserError, match=r"gradual trains this network in 4 parts, so it takes at least as many"):
        planned(source, PLAIN, *deep, "student.adapt=gradual", "student.train={epochs: 3}")


@pytest.mark.parametrize(
    "told",
    [
        ["student.freeze=[body]"],
        ["objective=[cross_entropy: {weight: {from: 1, to: 0, over: 2}}]"],
        ["student.train={epochs: 1}"],
        ["objective=[l2_sp]"],
    ],
    ids=["freeze", "schedule", "one epoch", "nothing for the classifier"],
)
def test_where_two_stages_do_not_fit_there_is_one(source: str, told: list[str]) -> None:
    plan = planned(source, PLAIN, *told)
    assert [one.name for one in plan.stages] == ["student"] and not plan.notes


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (["student.source=null"], "the student starts from new weights; give student.source"),
        (["objective=[l2_sp]"], "no term of the objective teaches it; add cross_entropy"),
        (["student.train={epochs: 1}"], "takes at least two epochs or steps"),
        (
            ["objective=null", "stages=[{name: a, objective: [cross_entropy]}]"],
            "there are stages already; leave it out",
        ),
    ],
)
def test_what_cannot_be_moved_gets_a_sentence(source: str, told: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        planned(source, PLAIN, "student.adapt=probe_then_tune", *told)


def test_a_sweep_compares_ways_of_adapting_in_one_report(tmp_path: Path, source: str) -> None:
    swept = planned(source, PLAIN, "sweep={student.adapt: [full, probe_then_tune]}")
    assert [len(one.plan.stages) for one in swept.variants] == [1, 2]
    report = json.loads((run(swept, out=tmp_path / "run") / "report.json").read_text())
    assert [one["settings"]["student.adapt"] for one in report["variants"]] == ["full", "probe_then_tune"]
    steps = {name: one["steps_per_seed"] for name, one in report["models"].items()}
    assert steps["student"] == steps["labels"] == [60]


def test_a_classifier_of_other_classes_is_new_though_there_are_as_many(tmp_path: Path, source: str) -> None:
    run(planned("null", PLAIN, "student.train.steps=2"), out=tmp_path / "first")
    told = f"student.source=run:{tmp_path}/first"
    same, other = planned(source, PLAIN, told), planned(source, PLAIN, told, "data.classes=['5', '6', '7']")
    old = load_file(tmp_path / "first" / "student" / "model.safetensors")
    kept, new = (plan.model(plan.student, 0) for plan in (same, other))
    assert kept.fresh == () and torch.equal(kept.net.head.weight, old["head.weight"])
    assert set(new.fresh) == {"head.weight", "head.bias"}
    assert not torch.equal(new.net.head.weight, old["head.weight"])
    assert torch.equal(new.left["head.weight"], old["head.weight"])
