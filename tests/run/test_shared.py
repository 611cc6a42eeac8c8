"""Students that answer through their teacher's classifier, through whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import limbeck
from limbeck.data.dataset import Data
from limbeck.errors import LimbeckError, ModelError, ObjectiveError, UserError
from limbeck.export.run_onnx import Session
from limbeck.models import Attention
from limbeck.models.adapt import Adapted
from limbeck.models.shared_head import SharedHead
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run import pipeline
from limbeck.run.again import export_again
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.rehearsal import rehearse
from limbeck.run.reload import load_model
from limbeck.run.shared import share

TEACHER = "{model: {mlp: {hidden: [24, 16]}}, train: {steps: 60, lr: 0.01}}"
RECIPE = """\
name: shared
seeds: 2
data: {source: digits, classes: [3, 5, 8]}
teacher: {model: {mlp: {hidden: [24, 16]}}, train: {steps: 60, lr: 0.01}}
student: {model: {mlp: {hidden: [6]}}, train: {steps: 30, batch_size: 64, lr: 0.01}}
objective: [shared_classifier]
controls: [labels]
export: {onnx: false}
"""
OBJECTIVE = "objective: [shared_classifier]\n"
SHAPE = (1, 8, 8)


def plan_of(text: str = RECIPE, *settings: str) -> Plan:
    return plan_from_recipe(parse_recipe(text, settings))


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


def shared_of(model: Adapted) -> SharedHead:
    assert isinstance(model.net, SharedHead)
    return model.net


@pytest.fixture(autouse=True)
def _quick(quick_page: None) -> None:
    """Draw no page."""


@pytest.mark.parametrize(
    ("teacher", "student", "parameters"),
    [
        (
            "{mlp: {hidden: [24, 16]}}",
            "{mlp: {hidden: [6]}}",
            (64 * 6 + 6) + (6 * 8 + 2 * 8 + 8 * 16 + 16) + 16 * 3 + 3,
        ),
        ("{resnet: {depth: 8, width: 4}}", "{cnn: {width: 2}}", None),
        ("{cnn: {width: 2}}", "{resnet: {depth: 8, width: 2}}", None),
        ("{attention: {width: 8}}", "{mlp: {hidden: [6]}}", None),
    ],
    ids=["mlp", "cnn of resnet", "resnet of cnn", "mlp of attention"],
)
def test_the_student_ships_with_projector_and_head(
    teacher: str, student: str, parameters: int | None, tmp_path: Path
) -> None:
    layers = "{layers: ['projector:body']}" if "attention" in teacher else "{}"
    text = RECIPE.replace("[shared_classifier]", f"[shared_classifier: {layers}]")
    plan = plan_of(text, f"teacher.model={teacher}", f"student.model={student}", "export.onnx=true", "seeds=1")
    folder = pipeline.run(plan, out=tmp_path / "run")
    model, theirs = load_model(folder / "student"), load_model(folder / "teacher")
    net = shared_of(model)
    assert torch.equal(net.head.weight, theirs.net.head.weight) and torch.equal(net.head.bias, theirs.net.head.bias)
    found = report_of(folder)
    models = found["models"]
    assert models["student"]["architecture"].endswith(" with the teacher's classifier")
    assert models["student"]["parameters"] == sum(one.numel() for one in model.parameters())
    assert parameters in (None, models["student"]["parameters"])
    assert models["student"]["bytes"] == sum(one.nbytes for one in net.state_dict().values())
    assert models["student"]["macs"] > models["labels"]["macs"]
    assert "teacher's" not in models["labels"]["architecture"]
    assert type(load_model(folder / "controls/labels").net).__name__.lower() in student
    (stage,) = found["stages"]
    assert stage["frozen"]["patterns"] == ["head"] and stage["frozen"]["tensors"] == 2
    (pair,) = stage["layers"]
    assert pair["term"] == "shared_classifier" and pair["student"].startswith("projector")
    inputs = plan.data.test.inputs[:9]
    said, _ = Session(folder / "export/student.onnx").logits_and_probabilities(inputs.numpy())
    temperature = json.loads((folder / "student/model.json").read_text("utf-8"))["temperature"]
    with torch.no_grad():
        wanted = model(plan.data.test.batch(torch.arange(9)).inputs).logits
    close = [np.allclose(said, one, rtol=1e-3, atol=1e-3) for one in (wanted.numpy(), wanted.numpy() / temperature)]
    assert any(close)


def test_the_student_comes_near_to_the_teachers_vector_and_accuracy(tmp_path: Path) -> None:
    folder = pipeline.run(plan_of(RECIPE, "student.train.steps=400", "seeds=1"), out=tmp_path / "run")
    models = report_of(folder)["models"]
    assert models["student"]["metrics"]["accuracy"]["mean"] > 0.9
    assert models["student"]["metrics"]["agreement"]["mean"] > 0.9


def test_each_seed_gets_the_classifier_of_its_own_teacher(tmp_path: Path) -> None:
    folder = pipeline.run(plan_of(RECIPE, "teacher.per_seed=true"), out=tmp_path / "run")
    heads = []
    for seed in (0, 1):
        theirs = load_model(folder / f"teacher/seeds/{seed}").net.head
        heads.append(shared_of(load_model(folder / f"student/seeds/{seed}")).head.weight)
        assert torch.equal(heads[-1], theirs.weight)
    assert not torch.equal(*heads)


def test_student_and_control_start_from_the_same_backbone() -> None:
    plan = plan_of()
    plain, student = (plan.model(plan.student, 3) for _ in range(2))
    assert plan.teacher is not None
    share(student, plan.model(plan.teacher.model, 0), torch.rand(2, *SHAPE), plan.stages[0].objective)
    mine = shared_of(student).backbone.state_dict()
    assert mine and all(torch.equal(value, plain.net.state_dict()[name]) for name, value in mine.items())


def test_a_finished_one_resumes_is_exported_again_and_teaches(tmp_path: Path) -> None:
    folder = pipeline.run(plan_of(RECIPE), out=tmp_path / "run")
    before = report_of(folder)["models"]["student"]["checksum"]
    (folder / "report.json").unlink()
    pipeline.run(plan_of(RECIPE), out=folder, resume=True)
    assert report_of(folder)["models"]["student"]["checksum"] == before
    assert (export_again(folder) / "student.onnx").is_file()
    text = RECIPE.replace(TEACHER, f"{{source: 'run:{folder}/student'}}")
    second = pipeline.run(plan_of(text), out=tmp_path / "second")
    heads = [
        shared_of(load_model(one)).head.weight for one in (folder / "student", second / "teacher", second / "student")
    ]
    assert torch.equal(heads[0], heads[1]) and torch.equal(heads[0], heads[2])


def test_check_counts_the_student_that_ships() -> None:
    plan = plan_of()
    found = preflight(plan)
    assert not [one for one in found if one.level == "fault"]
    (capacity,) = (one.sentence for one in found if one.name == "capacity")
    assert "student 649" in capacity
    (pair,) = (one.sentence for one in found if one.name == "layers")
    assert "shared_classifier compares projector.3 [16] with the teacher's body.4 [16]" in pair


STAGES = """\
stages:
  - {name: a, from: scratch, objective: [%s]}
  - {name: b, %s, objective: [%s]}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (OBJECTIVE, STAGES % ("cross_entropy", "from: a", "shared_classifier"), "say from: scratch, got 'a'"),
        (OBJECTIVE, STAGES % ("shared_classifier", "from: a", "cross_entropy"), "no other stage can start from it"),
        (OBJECTIVE, STAGES % ("shared_classifier", "from: scratch, teacher: a", "soft_labels"), "or learn from it"),
        (
            OBJECTIVE, STAGES % ("soft_labels", "from: scratch, teacher: a", "shared_classifier"),
            "but stage a teaches stage b",
        ),
        ("student: {", "student: {freeze: [body], ", "leave freeze out, got body"),
        (TEACHER, "{self: {}}", "but the student itself teaches stage student"),
        (TEACHER, "{mutual: {}}", "but a student beside it teaches stage student"),
    ],
    ids=["later stage", "stage after", "taught by it", "teacher of a stage", "freeze", "self", "mutual"],
)  # fmt: skip
def test_where_it_cannot_be(old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan_of(RECIPE.replace(old, new))


def test_stages_beside_it_may_have_other_terms(tmp_path: Path) -> None:
    text = RECIPE.replace(OBJECTIVE, STAGES % ("shared_classifier", "from: scratch", "soft_labels"))
    found = report_of(pipeline.run(plan_of(text, "seeds=1"), out=tmp_path / "run"))["models"]
    assert (
        found["a/student"]["architecture"].endswith("classifier")
        and found["student"]["architecture"] == "mlp(hidden=[6])"
    )


def test_values_may_be_learned_through_it(tmp_path: Path) -> None:
    text = RECIPE.replace("{source: digits, classes: [3, 5, 8]}", "{source: diabetes, task: regression}")
    folder = pipeline.run(plan_of(text, "seeds=1"), out=tmp_path / "run")
    heads = [load_model(folder / name).net.get_submodule("head").weight for name in ("teacher", "student")]
    assert torch.equal(*heads)


class Net(nn.Module):
    """A network of the user's own. after: what its logits go through; last: its classifier."""

    def __init__(self, after: float = 1.0, last: nn.Module | None = None) -> None:
        super().__init__()
        self.after = after
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh())
        self.out = nn.Linear(12, 3) if last is None else last

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.out(self.body(inputs)) * self.after
        return found


class Functional(Net):
    """Something happens between the last layer and the classifier that no module does."""

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.out(self.body(inputs).square() - 1)
        return found


class Bare(nn.Module):
    """A classifier alone."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(64, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.out(inputs.flatten(1))
        return found


def shared(
    student: nn.Module, teacher: nn.Module, term: limbeck.SharedClassifier = limbeck.SharedClassifier()
) -> SharedHead:
    model = Adapted(student, classes=3)
    share(model, Adapted(teacher, classes=3).eval(), torch.rand(4, *SHAPE), limbeck.Objective([(1.0, term)]))
    return shared_of(model)


class Both(nn.Bilinear):
    """A classifier that is no linear layer."""

    def __init__(self) -> None:
        super().__init__(12, 12, 3)

    def forward(self, inputs: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(inputs, inputs)


@pytest.mark.parametrize(
    ("student", "teacher", "said"),
    [
        (
            Net(),
            Functional(),
            "teacher's classifier 'out' gets is not that of the layer 'body.2'; leave the term out",
        ),
        (Net(), Net(after=2.0), "gets is not that of the layer 'body.2'; leave the term out"),
        (Net(), Net(last=Both()), "expects a teacher whose classifier is a linear layer, got Both at 'out'"),
        (
            Net(),
            Attention(SHAPE, 3, width=8),
            r"not that of the layer 'body.1'; it gets that of 'body', so say layers: \['projector:body'\]",
        ),
        (Net(), Bare(), "gets is not one that a layer gives; leave the term out"),
        (Net(after=2.0), Net(), "the student's classifier 'out' is not the last thing"),
        (Net(last=Both()), Net(), "expects a student whose classifier is a linear layer"),
    ],
)
def test_classifiers_that_cannot_be_shared(student: nn.Module, teacher: nn.Module, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        shared(student, teacher)


def test_the_layer_may_be_named() -> None:
    teacher = Attention(SHAPE, 3, width=8)
    net = shared(Net(), teacher, limbeck.SharedClassifier(("projector:body",)))
    assert torch.equal(net.head.weight, teacher.head.weight)


def test_a_teacher_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    plan = plan_of(RECIPE.replace(TEACHER,
                   "{ensemble: [{model: mlp}, {model: mlp}]}"))  # fmt: skip
    with pytest.raises(ObjectiveError, match="shared_classifier needs features from the teacher"):
        rehearse(plan)


def test_own_networks_from_python(tmp_path: Path) -> None:
    data = Data.open("digits", classes=["3", "5", "8"])
    objective = limbeck.Objective([(1.0, limbeck.SharedClassifier())])
    found = limbeck.distill(
        Net(), Net, data, objective=objective, epochs=1, seeds=1, controls=["labels"], out=tmp_path / "run",
        export=False, progress=False,
    )  # fmt: skip
    again = limbeck.load(tmp_path / "run", student=Net).student
    inputs = torch.rand(4, *SHAPE)
    assert torch.equal(found.student(inputs).logits, again(inputs).logits)
    shared_of(again)
    with pytest.raises(LimbeckError, match="an architecture of your own"):
        _ = limbeck.load(tmp_path / "run").student
