"""Students that are moved by low-rank adapters: a run, its controls, what it saves, and what it goes with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.run.stopping import Stopping, figures

from limbeck.errors import UserError
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.result import read_report

pytest.importorskip("peft")

RECIPE = """\
name: adapters
seeds: 1
data: {source: digits, classes: ["0", "1", "2"], labels_per_class: 20}
student: {model: {cnn: {width: 4}}, source: SOURCE, lora: {rank: 2, alpha: 4}, train: {epochs: 4, lr: 0.01}}
objective: [cross_entropy]
controls: [labels, smoothing, scratch]
export: {onnx: false}
"""
LOADING = """\
import sys
sys.modules["peft"] = None
import torch
from pathlib import Path
from limbeck.run.reload import load_model
model = load_model(Path(sys.argv[1]))
print(model(torch.rand(2, 1, 8, 8)).logits.shape)
"""


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A file of weights for five classes."""
    text = RECIPE.replace("SOURCE", "null").replace('"2"', '"2", "3", "4"').replace("lora: {rank: 2, alpha: 4}, ", "")
    five = plan_from_recipe(parse_recipe(text))
    save_file(five.model(five.student, 7).net.state_dict(), tmp_path / "five.safetensors")
    return f"file:{tmp_path}/five.safetensors"


def planned(source: str, *overrides: str) -> Plan:
    return plan_from_recipe(parse_recipe(RECIPE.replace("SOURCE", source), overrides))


def of_fit(folder: Path, key: str) -> Any:
    return json.loads((folder / "fit.json").read_text("utf-8"))[key]


@pytest.mark.usefixtures("quick_page")
def test_a_run_trains_adapters_and_saves_weights_without_them(tmp_path: Path, source: str) -> None:
    plan = planned(source, "export={onnx: true}")
    assert [(one.name, one.freeze, one.lora is None) for one in plan.stages] == [
        ("probe", ("backbone",), True), ("tune", (), False)
    ]  # fmt: skip
    folder = run(plan, out=tmp_path / "run")
    report = read_report(folder)
    assert report["stages"][0]["lora"] is None
    told, frozen = report["stages"][1]["lora"], report["stages"][1]["frozen"]
    start, now = load_file(source.removeprefix("file:")), load_file(folder / "student" / "model.safetensors")
    assert set(now) == set(plan.model(plan.student, 0).net.state_dict())
    body = {name: value for name, value in now.items() if not name.startswith("head")}
    moved = [name for name, value in body.items() if not torch.equal(value, start[name])]
    assert len(moved) == told["layers"] and all(body[name].ndim > 1 for name in moved)
    assert (told["rank"], told["alpha"], told["modules"]) == (2, 4, ["*"]) and told["merging_error"] < 1e-4
    assert 0 < told["trained"] < told["parameters"] == report["models"]["student"]["parameters"]
    assert frozen["patterns"] == ["backbone"] and len(frozen["checksum"]) == 64
    assert "Low-rank adapters" in (folder / "report.md").read_text("utf-8")
    seeds = "controls/{}/seeds/0"
    for control in ("labels", "smoothing"):
        other = of_fit(folder / seeds.format(control), "lora")
        assert {**other, "merging_error": 0} == {**told, "merging_error": 0}, "the control trains as much"
    assert of_fit(folder / seeds.format("scratch"), "lora") is None, "new weights need all of them to learn"
    assert report["export"]["onnx"]["max_abs_error"] < 1e-3
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(folder / "student")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "torch.Size([2, 3])", "whoever loads it needs no peft"
    later = planned(f"run:{folder}", "student.lora=null", "student.adapt=full")
    state = later.model(later.student, 0).net.state_dict()
    assert all(torch.equal(state[name], value) for name, value in now.items())


@pytest.mark.parametrize("epoch", [2, 6])
def test_a_stopped_run_goes_on_to_the_same_figures(
    tmp_path: Path, source: str, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.train.loop.CHECKPOINT_SECONDS", 0.0)
    plan = planned(source, "student.adapt=full", "controls=[labels]")
    run(plan, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(plan, out=tmp_path / "broken", watcher=Stopping(epoch))
    run(plan, out=tmp_path / "broken", resume=True)
    assert figures(tmp_path / "broken") == figures(tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("*.safetensors"):
        other = tmp_path / "broken" / path.relative_to(tmp_path / "whole")
        assert other.read_bytes() == path.read_bytes()


def test_each_seed_has_adapters_of_its_own_and_the_control_the_same(tmp_path: Path, source: str) -> None:
    folder = run(planned(source, "seeds=2", "controls=[labels]", "objective=[cross_entropy]"), out=tmp_path / "run")
    weights = [(folder / f"{who}/seeds/{seed}/model.safetensors").read_bytes() for who in
               ("student", "controls/labels") for seed in (0, 1)]  # fmt: skip
    assert weights[0] == weights[2] and weights[1] == weights[3] and weights[0] != weights[1]


def test_a_student_with_adapters_hears_its_teacher_and_its_own_source(tmp_path: Path, source: str) -> None:
    stages = (
        "stages=[{name: tune, from: scratch, lora: {rank: 1}, objective: [cross_entropy, learning_without_forgetting, "
        "hint]}, {name: all, objective: [cross_entropy]}]"
    )
    told = ("student.lora=null", "objective=null", "teacher={model: {cnn: {width: 4}}, train: {epochs: 1}}", stages)
    report = read_report(run(planned(source, *told, "controls=[labels]"), out=tmp_path / "run"))
    assert report["stages"][0]["lora"]["rank"] == 1 and report["stages"][1]["lora"] is None
    assert report["stages"][1]["frozen"] is None, "what was frozen beside adapters learns in a later stage"


def test_ranks_can_be_swept_beside_full_tuning(tmp_path: Path, source: str) -> None:
    plan = planned(source, "sweep={student.lora: {full: null, thin: {rank: 1}}}", "student.train={epochs: 2}")
    assert [[one.lora and one.lora.rank for one in v.plan.stages] for v in plan.variants] == [[None, None], [None, 1]]
    again = plan_from_recipe(parse_recipe(plan.recipe))
    assert again.recipe == plan.recipe


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (["student.source=null"], "student.lora moves a model that was trained before, but it starts from new weights"),
        (["student.lora.rank=0"], r"student\.lora\.rank"),
        (["student.lora.modules=[]"], r"student\.lora\.modules"),
        (["student.adapt=gradual"], "which student.adapt 'gradual' does not; say probe_then_tune or full"),
        (["student.adapt=probe"], "which student.adapt 'probe' does not"),
        (["student.freeze=[body]"], "freezes all but its adapters and the classifier by itself; leave freeze out"),
        (["objective=[cross_entropy, l2_sp]"], "l2_sp pulls the weights back to where they started"),
        (["student.train.layer_decay=0.5"], "train.layer_decay is for weights that learn themselves"),
        (["teacher={itself: {}}"], "teacher.itself averages all of the student's weights"),
        (
            ["objective=null", "stages=[{name: a, objective: [cross_entropy]}]"],
            "student.lora stands beside an objective; with stages, give it to each stage",
        ),
        (
            ["student.source=null", "student.lora=null", "objective=null",
             "stages=[{name: a, lora: {}, objective: [cross_entropy]}]"],
            "stage a: lora moves a model that was trained before",
        ),
    ],
)  # fmt: skip
def test_what_adapters_do_not_go_with_gets_a_sentence(source: str, told: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        planned(source, *told)


def test_a_pattern_that_names_nothing_fails_before_there_is_a_folder(tmp_path: Path, source: str) -> None:
    plan = planned(source, "student.lora.modules=['boody*']")
    with pytest.raises(UserError, match=r"lora.modules: no linear layer or plain convolution .* called 'boody\*'"):
        run(plan, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert [one.level for one in preflight(plan) if one.name == "lora"] == ["fault"]


def test_checking_says_how_much_is_trained(source: str) -> None:
    found = [one for one in preflight(planned(source)) if one.name == "lora"]
    assert len(found) == 1 and found[0].level == "note" and "Stage tune trains " in found[0].sentence


def test_without_peft_the_extra_is_named(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"install it with: pip install 'limbeck\[peft\]'"):
        run(planned(source), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
