"""Candidates for a teacher in the order that they have after training, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from tests.conftest import Call
from torch import nn

import limbeck
from limbeck.errors import DataError, ModelError, UserError
from limbeck.run.candidates import listen_to, open_candidate
from limbeck.run.device import pick_device
from limbeck.transfer.probe import probe_accuracy
from limbeck.transfer.ranking import Ranked, ordered

BASE = """\
name: base
seeds: 1
data: {{source: digits, classes: [0, 1, 2, 3, 4]}}
student: {{model: {{cnn: {{width: {width}}}}}, train: {{steps: {steps}, lr: 0.01}}}}
objective: [cross_entropy]
controls: []
export: {{onnx: false}}
"""
AFTER = """\
name: after
seeds: 1
data: {{source: digits, classes: [5, 6, 7, 8, 9]}}
student: {{source: "run:{base}", model: {{cnn: {{width: {width}}}}}}}
stages:
  - {{name: probe, from: scratch, freeze: [backbone], objective: [cross_entropy], train: {{epochs: 15, lr: 0.02}}}}
controls: []
export: {{onnx: false}}
"""
CANDIDATES = {"poor": (2, 1), "good": (16, 150), "middling": (2, 150)}  # width, steps
SCORES = ("probe", "logme")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs on five of the digits that differ a lot in what they learned."""
    place, found = tmp_path_factory.mktemp("bases"), {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("limbeck.run.pipeline.render_html", lambda report: "page")
        for name, (width, steps) in CANDIDATES.items():
            (place / f"{name}.yaml").write_text(BASE.format(width=width, steps=steps))
            found[name] = limbeck.run_recipe(place / f"{name}.yaml", out=place / name, progress=False).folder
    return found


@pytest.fixture(scope="module")
def others() -> limbeck.Data:
    return limbeck.Data.open("digits", classes=["5", "6", "7", "8", "9"])


def named(bases: dict[str, Path]) -> list[str]:
    return [f"run:{folder}" for folder in bases.values()]


def test_the_order_is_that_of_the_accuracies_after_training(
    bases: dict[str, Path], others: limbeck.Data, tmp_path: Path, quick_page: None
) -> None:
    after = {}
    for name, (width, _) in CANDIDATES.items():
        (tmp_path / f"{name}.yaml").write_text(AFTER.format(base=bases[name], width=width))
        report = limbeck.run_recipe(tmp_path / f"{name}.yaml", out=tmp_path / name, progress=False).report
        after[f"run:{bases[name]}"] = report["models"]["student"]["metrics"]["accuracy"]["mean"]
    wanted = sorted(after, key=lambda name: -after[name])
    assert after[wanted[0]] > after[wanted[1]] + 0.05 > after[wanted[2]] + 0.1, "clearly different"
    for by in SCORES:
        assert [one.teacher for one in limbeck.rank(named(bases), others, by=by)] == wanted  # type: ignore[arg-type]
    by_leep = limbeck.rank(named(bases), others, by="leep")
    assert by_leep[-1].teacher == wanted[-1] and all(one.leep is not None and one.leep <= 0 for one in by_leep)


def test_each_row_says_what_it_is_of(bases: dict[str, Path], others: limbeck.Data) -> None:
    heard: list[int] = []
    (one,) = limbeck.rank([f"run:{bases['good']}"], others, samples=100, heard=heard.append)
    assert (one.classes, one.samples, one.repeated, one.title) == (5, 100, 0, "cnn(width=16)")
    assert sum(heard) == 100 and one.parameters > 1000 and one.seconds > 0
    candidate = open_candidate(f"run:{bases['good']}", others)
    rows = others.train[:100]
    said = listen_to(candidate, others, rows, lambda count: None, pick_device("cpu"))
    assert said.features.shape == (100, one.width)
    np.testing.assert_allclose(said.probabilities.sum(1), 1, rtol=1e-5)
    assert probe_accuracy(said.features, others.pool.labels[rows].numpy()) == pytest.approx(one.probe, abs=0.15)


def test_a_candidate_that_has_seen_the_samples_is_told(bases: dict[str, Path], call: Call, finished_run: Path) -> None:
    answer = call("rank", f"run:{finished_run}", "--data", "digits", "--samples", 60)
    assert answer.code == 0 and "was trained on 60 of these 60 samples" in " ".join(answer.err.split())


def test_weights_of_a_file_have_no_answers_where_the_classifier_is_new(others: limbeck.Data, tmp_path: Path) -> None:
    from limbeck.models import CNN

    save_file(CNN((1, 8, 8), 7, width=4).state_dict(), tmp_path / "w.safetensors")
    text = f"{{source: 'file:{tmp_path / 'w.safetensors'}', model: {{cnn: {{width: 4}}}}}}"
    (one,) = limbeck.rank([text], others, samples=60)
    assert (one.leep, one.classes, one.width) == (None, None, 8)
    save_file(CNN((1, 8, 8), 5, width=4).state_dict(), tmp_path / "w.safetensors")
    (one,) = limbeck.rank([text], others, samples=60)
    assert one.leep is not None and one.classes == 5


def test_a_module_of_ones_own(others: limbeck.Data) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 3))
    (one,) = limbeck.rank([net], others, samples=60)
    assert (one.teacher, one.width, one.classes) == ("Sequential", 12, 3)


def test_equal_ones_and_those_without_a_score() -> None:
    def made(name: str, probe: float, logme: float, leep: float | None) -> Ranked:
        return Ranked(name, "", 1, 1, None, 1, probe, logme, leep, 0, 0.0)

    found = [made("a", 0.5, 0.1, None), made("b", 0.5, 0.3, -1.0), made("c", 0.7, -2.0, -0.5)]
    assert [one.teacher for one in ordered(found)] == ["c", "b", "a"]
    assert [one.teacher for one in ordered(found, "logme")] == ["b", "a", "c"]
    assert [one.teacher for one in ordered(found, "leep")] == ["c", "b", "a"]


def test_the_command_prints_a_table_or_json(bases: dict[str, Path], call: Call, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(AFTER.format(base=bases["good"], width=16))
    answer = call("rank", *named(bases), "--data", tmp_path / "r.yaml", "--samples", 200)
    assert answer.code == 0 and "probe" in answer.out and "LogME" in answer.out and "%" in answer.out
    answer = call("rank", *named(bases), "--data", tmp_path / "r.yaml", "--samples", 200, "--json", "--by", "logme")
    found = json.loads(answer.out)
    assert found[0]["teacher"].endswith("good")
    assert {"teacher", "probe", "logme", "leep", "samples", "repeated"} <= found[0].keys()


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ("onnx:m.onnx", "onnx:m.onnx gives answers alone, but candidates are ranked by the layer before their"),
        ("resnet50", "resnet50 is no teacher of a recipe: source expects 'run:DIR'"),
        ("{modl: 1}", "is no teacher of a recipe: Extra inputs"),
        ("{model: {mlp: {hidden: [4]}}}", "nothing of it is trained; name a run"),
        ("run:nowhere", r"nowhere holds no model.json"),
    ],
)
def test_what_cannot_be_ranked(others: limbeck.Data, teacher: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        limbeck.rank([teacher], others)


def test_all_mistakes_at_once(bases: dict[str, Path], others: limbeck.Data) -> None:
    with pytest.raises(
        UserError, match=r"(?s)2 candidates cannot be ranked:\n- onnx:m.onnx gives.*\n- nowhere holds no"
    ):
        limbeck.rank(["onnx:m.onnx", "run:nowhere"], others)
    with pytest.raises(UserError, match=r"by expects probe, logme, leep, got 'luck'"):
        limbeck.rank(named(bases), others, by="luck")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="samples expects 10 or more, got 3"):
        limbeck.rank(named(bases), others, samples=3)
    figures = limbeck.Data.open("diabetes", options=limbeck.ReadOptions(task="regression"))
    with pytest.raises(DataError, match="ranked for classification, but data.task is regression"):
        limbeck.rank(named(bases), figures)
    with pytest.raises(DataError, match=r"was made for samples \[1, 8, 8\]; this data has"):
        limbeck.rank(named(bases)[:1], "glyphs")
    with pytest.raises(ModelError, match="no layer before its classifier"):
        limbeck.rank([nn.Sequential(nn.Flatten(), nn.Linear(64, 3))], others)
