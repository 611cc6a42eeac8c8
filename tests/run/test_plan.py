from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limbeck.data.dataset import Data
from limbeck.data.views import Flip
from limbeck.errors import DataError, ModelError, UserError
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.recipe.load import parse_recipe
from limbeck.run.controls import resolve_controls
from limbeck.run.model_plan import title_of
from limbeck.run.plan import Plan, expand, plan_from_recipe
from limbeck.run.stage_plan import StagePlan
from limbeck.train.settings import Settings

BASE = """\
student: {model: {mlp: {hidden: [4]}}}
teacher: {model: {mlp: {hidden: [6]}}}
objective: [soft_labels, cross_entropy]
"""


def plan(extra: str = "", *overrides: str) -> Plan:
    return plan_from_recipe(parse_recipe(BASE + extra, overrides))


@pytest.fixture(scope="module")
def digits() -> Data:
    return Data.open("digits")


def stage(*terms: object) -> StagePlan:
    return StagePlan("student", "scratch", Objective([(1.0, term) for term in terms]), Settings())


def test_plan_of_a_recipe():
    made = plan(
        "seed: 3\nseeds: 2\nmargin: 0.02\nevaluate: [calibration]\nexport: {onnx: false}\ndata: {augment: [shift]}\n"
    )

    assert (made.seeds, made.margin, made.evaluate, made.onnx) == ((3, 4), 0.02, ("calibration",), False)
    assert (made.int8, made.tolerance) == (False, 0.01)
    assert made.controls == ("labels", "smoothing", "teacher_labels")
    assert (made.student.title, made.teacher.model.title) == ("mlp(hidden=[4])", "mlp(hidden=[6])")
    assert made.views.seed == 3
    assert parse_recipe(made.recipe) is not None


def test_int8_is_asked_for_in_the_recipe():
    made = plan("export: {int8: true, tolerance: 0.02}\n")

    assert (made.onnx, made.int8, made.tolerance) == (True, True, 0.02)


def test_seed_decides_the_starting_weights():
    made = plan()
    weights = [made.model(made.student, seed).net.head.weight for seed in (0, 0, 1)]

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_normalisation_is_that_of_the_data(digits):
    made = plan()

    assert torch.equal(made.student.normalise.mean, digits.statistics()[0])
    assert plan("", "student.normalise=none").student.normalise is None
    assert plan("", "student.normalise={mean: [0.5], std: [2]}").student.normalise.std.tolist() == [2.0]


def test_weights_from_a_file(tmp_path):
    source = plan()
    saved = source.model(source.student, 7).net.state_dict()
    save_file(saved, tmp_path / "w.safetensors")

    loaded = plan("", f"student.source=file:{tmp_path}/w.safetensors")

    assert not loaded.student.fresh
    for seed in (0, 1):
        assert torch.equal(loaded.model(loaded.student, seed).net.head.weight, saved["head.weight"])


def test_a_head_for_other_classes_is_new_in_a_student_and_refused_in_a_teacher(tmp_path):
    three = plan("", "data.classes=[1, 2, 3]")
    save_file(three.model(three.student, 7).net.state_dict(), tmp_path / "w.safetensors")
    from_file = f"file:{tmp_path}/w.safetensors"

    student = plan("", f"student.source={from_file}")
    teacher = plan("", f"teacher.source={from_file}")

    made = student.model(student.student, 0)
    assert set(made.fresh) == {"head.weight", "head.bias"} == set(made.left)
    assert torch.equal(made.left["head.weight"], three.model(three.student, 7).net.head.weight)
    with pytest.raises(ModelError, match="do not fit"):
        teacher.model(teacher.teacher.model, 0)


@pytest.mark.parametrize(
    ("labels", "per_class", "asked", "each"),
    [
        ("all", "null", "false", False),
        ("same", "5", "false", True),
        ("same", "null", "false", False),
        ("all", "5", "true", True),
    ],
)
def test_teacher_of_each_seed(labels, per_class, asked, each):
    made = plan("", f"teacher.labels={labels}", f"data.labels_per_class={per_class}", f"teacher.per_seed={asked}")

    assert made.teacher.per_seed is each


def test_teachers_own_augmentation():
    assert plan("data: {augment: [shift]}").teacher.views.transforms[0].pixels == 1
    made = plan("data: {augment: [shift], views: 3}", "teacher.train.augment=[flip]")

    assert isinstance(made.teacher.views.transforms[0], Flip)
    assert made.teacher.views.count == 3
    assert plan("data: {augment: [shift]}", "teacher.train.augment=[]").teacher.views is None


def test_controls_that_make_sense(digits):
    soft, hard = stage(SoftLabels()), stage(CrossEntropy())

    assert resolve_controls(None, digits, False, [soft])[0] == ("labels", "smoothing", "teacher_labels")
    assert resolve_controls(None, digits, True, [soft])[0] == ("labels", "smoothing", "teacher_labels", "self_training")
    assert resolve_controls(None, digits, False, [hard])[0] == ("labels", "smoothing")
    assert resolve_controls((), digits, False, [soft]) == ((), ())
    assert resolve_controls(("smoothing",), digits, False, [soft])[0] == ("labels", "smoothing")


def test_controls_that_make_no_sense_are_noted(digits):
    controls, notes = resolve_controls(("self_training", "teacher_labels"), digits, False, [stage(CrossEntropy())])

    assert controls == ("labels",)
    assert notes == (
        "The control self_training was left out: there is no sample without a label.",
        "The control teacher_labels was left out: no term asks a teacher.",
    )


def test_unknown_control(digits):
    with pytest.raises(UserError, match="controls expects labels, smoothing.*, got 'label'. Did you mean \"labels\""):
        resolve_controls(("label",), digits, False, [stage(CrossEntropy())])


def test_expand(monkeypatch):
    monkeypatch.setenv("PLACE", "/data")

    assert expand("idx:$PLACE/mnist") == "idx:/data/mnist"
    assert expand("idx:${PLACE}/mnist") == "idx:/data/mnist"
    assert expand("digits") == "digits"
    assert expand("folder:~/x") == f"folder:{Path.home()}/x"
    with pytest.raises(DataError, match=r"folder:\$GONE names the environment variable GONE, which is not set"):
        expand("folder:$GONE")


@pytest.mark.parametrize(
    ("architecture", "title"),
    [
        ({"linear": {}}, "linear"),
        ({"mlp": {"hidden": [64], "dropout": 0.0, "input_dropout": 0.0}}, "mlp"),
        ({"mlp": {"hidden": [8], "dropout": 0.5}}, "mlp(hidden=[8], dropout=0.5)"),
    ],
)
def test_title_leaves_defaults_out(architecture, title):
    assert title_of(architecture) == title


def test_teacher_of_a_run(finished_run, digits):
    made = plan("", f"teacher={{source: 'run:{finished_run}'}}")

    assert made.teacher.settings is None
    model = made.model(made.teacher.model, 0)
    assert model.normalise is not None
    assert model.net.head.weight.shape == (10, 32)
    with pytest.raises(ModelError, match="of the classes 0, 1, 2, 3, 4, ...; this data has .* of the classes 1, 2"):
        plan("data: {classes: [1, 2]}", f"teacher={{source: 'run:{finished_run}'}}")


def test_teacher_of_a_python_run_is_refused(tmp_path):
    card = {"architecture": None, "title": "Mine", "classes": [str(label) for label in range(10)], "shape": [1, 8, 8]}
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="holds Mine, an architecture of your own"):
        plan("", f"teacher={{source: 'run:{tmp_path}'}}")
    (tmp_path / "model.json").write_text((tmp_path / "model.json").read_text().replace("null", '{"no_such_net": {}}'))
    with pytest.raises(ModelError, match="names the architecture 'no_such_net', which this version does not have"):
        plan("", f"teacher={{source: 'run:{tmp_path}'}}")


def test_model_that_does_not_fit_into_memory():
    made = plan("", "student.model.mlp.hidden=[900000000000]")
    with pytest.raises(ModelError, match=r"mlp\(hidden=\[900000000000\]\) cannot be built"):
        made.model(made.student, 0)
