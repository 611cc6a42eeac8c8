from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import limbeck
from limbeck.data.samples import Samples
from limbeck.data.split import by_hash
from limbeck.errors import UserError
from limbeck.evaluate.intervals import holm
from limbeck.evaluate.verdict import judge
from limbeck.objectives.ball import Norm, ball_around
from limbeck.robustness.accuracy import attack_accuracy
from limbeck.robustness.attack import Logits, Model
from limbeck.robustness.named import named_attacks
from limbeck.run import attacked, robustness
from limbeck.run.attacked import Assault, attack_all, within_levels
from limbeck.run.attacks import STEPS, AttackRequest
from limbeck.run.clock import Clock
from limbeck.run.evaluation import data_of
from limbeck.run.exam import Request, exam_of
from limbeck.run.reload import load_model
from limbeck.run.robust import Context
from limbeck.run.robustness import measure
from limbeck.run.said import Said
from limbeck.run.subjects import Subject
from limbeck.run.under_attack import describe_attacks

RADII = (0.05, 0.15)
SMALL = Request(corruptions=(), samples=60, attacks=AttackRequest(epsilons=RADII))
NAMES = ["fgsm", "pgd", "margin", "square", "transfer"]


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def attacked_run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run that was attacked: look, do not touch."""
    place = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("attacked") / "run"))
    measure(place, SMALL, None, silent)
    return place


@pytest.fixture
def run(attacked_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may write into."""
    return Path(shutil.copytree(attacked_run, tmp_path / "run"))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What is attacked from now on."""
    found: list[tuple[str, float]] = []
    real = attacked._attack

    def listening(assault: Assault, cell: Any) -> Any:
        found.append((cell.attack, cell.epsilon))
        return real(assault, cell)

    monkeypatch.setattr(attacked, "_attack", listening)
    return found


def section(run: Path) -> dict[str, Any]:
    return json.loads((run / "robustness.json").read_text())


def test_every_model_seed_and_file_is_attacked_and_the_report_has_it(attacked_run):
    found, report = section(attacked_run), json.loads((attacked_run / "report.json").read_text())
    attacks = found["attacks"]
    assert report["robustness"] == found
    assert found["verdict"] is None and found["corruptions"] == {}  # no corruption was asked for
    assert attacks["settings"] == {
        "names": NAMES, "epsilons": list(RADII), "norm": "linf", "steps": 20, "queries": 200,
        "samples": dict.fromkeys(NAMES, 60), "common": 60, "complete": True,
    }  # fmt: skip
    assert attacks["models"].keys() == found["models"].keys()
    for key, one in attacks["models"].items():
        seeds = len(found["models"][key]["seeds"])
        assert one["clean"]["mean"] == pytest.approx(found["models"][key]["clean"]["mean"])
        assert [each["epsilon"] for each in one["figures"]] == list(RADII)
        for each in one["figures"]:
            known = [entry for entry in each["accuracy"].values() if entry is not None]
            assert {len(entry["values"]) for entry in (*known, each["worst"])} == {seeds}
            assert each["worst"]["mean"] <= min(entry["mean"] for entry in known)
            assert each["worst_class"]["mean"] <= each["worst"]["mean"]
        assert one["figures"][1]["worst"]["mean"] <= one["figures"][0]["worst"]["mean"] <= one["clean"]["mean"]
    assert attacks["models"]["student"]["figures"][1]["worst"]["mean"] < attacks["models"]["student"]["clean"]["mean"]


def test_files_are_attacked_by_their_answers_alone(attacked_run):
    found = section(attacked_run)
    models, seeds = found["attacks"]["models"], found["models"]["student"]["seeds"]
    files = [key for key, one in found["models"].items() if one["role"] == "file"]
    assert "student.onnx" in files
    for key in files:
        for each in models[key]["figures"]:
            assert [name for name, entry in each["accuracy"].items() if entry is not None] == ["square", "transfer"]
        assert models[key]["source"] == "student"
        assert models[key]["warnings"] == []
    place = seeds.index(found["models"]["student.onnx"]["seeds"][0])
    for mine, theirs in zip(models["student.onnx"]["figures"], models["student"]["figures"], strict=True):
        file, model = mine["accuracy"], {name: entry["values"][place] for name, entry in theirs["accuracy"].items()}
        assert file["square"]["mean"] == pytest.approx(model["square"], abs=0.1)
        assert file["transfer"]["mean"] == pytest.approx(model["pgd"], abs=0.1)  # made on the student itself


def test_transfer_is_made_on_the_other_network(attacked_run):
    models = section(attacked_run)["attacks"]["models"]
    assert models["teacher"]["source"] == "student"
    assert models["student"]["source"] == models["labels"]["source"] == "teacher"


@pytest.mark.parametrize("name", ["pgd", "square", "transfer"])
def test_figures_equal_models_that_are_attacked_by_hand(attacked_run, name):
    data, _ = data_of(attacked_run)
    rows = torch.from_numpy(np.sort(by_hash(data.test.ids, 0)[:60]))
    pixels, labels = data.test.inputs[rows].float() / 255, data.test.labels[rows]
    attacks = named_attacks([name], epsilon=0.15, steps=STEPS, source=Logits(load_model(attacked_run / "teacher")))
    for seed in (0, 1):
        model = Logits(load_model(attacked_run / "student" / "seeds" / str(seed)))
        expected = attack_accuracy(model, pixels, labels, attacks=attacks).accuracies["worst"]
        figures = section(attacked_run)["attacks"]["models"]["student"]["figures"][1]
        assert figures["accuracy"][name]["values"][seed] == pytest.approx(expected)


def test_verdicts_are_against_the_runs_own_control_and_corrected_together(attacked_run):
    found = section(attacked_run)
    models, verdicts = found["attacks"]["models"], found["attacks"]["verdicts"]
    assert [(one["epsilon"], one["attack"]) for one in verdicts] == [
        (epsilon, name) for epsilon in RADII for name in (*NAMES, "worst")
    ]
    for one in verdicts:
        place = RADII.index(one["epsilon"])
        figures = [models[key]["figures"][place] for key in ("student", found["against"])]
        entries = [each["worst"] if one["attack"] == "worst" else each["accuracy"][one["attack"]] for each in figures]
        assert one["gain"] == pytest.approx(entries[0]["mean"] - entries[1]["mean"])
        assert "accuracy under attack" in one["sentence"]
    alone = []
    for one in verdicts:
        student, control = (kept(attacked_run, one, key) for key in ("student", found["against"]))
        opponent = {"control": control}
        alone.append(judge(student, opponent, validation={"control": 1.0}, teacher=None, metric="x").p_value)
    assert [one["p_value"] for one in verdicts] == pytest.approx(holm(alone))


def kept(run: Path, verdict: dict[str, Any], key: str) -> Any:
    """Return what the seeds of a model withstood, as the run's folder has it, [2, n]."""
    each = NAMES if verdict["attack"] == "worst" else [verdict["attack"]]
    files = [[f"{name}-linf-{verdict['epsilon']}-{key}-{seed}.npz" for seed in (0, 1)] for name in each]
    return np.min([[np.load(run / "robustness" / file)["withstood"] for file in seeds] for seeds in files], axis=0)


def test_what_was_attacked_is_not_attacked_again(run, tried):
    before = section(run)
    assert measure(run, SMALL, None, silent) == before
    assert tried == []
    (run / "robustness" / "pgd-linf-0.15-student-1.npz").write_bytes(b"half a file")
    assert measure(run, SMALL, None, silent) == before
    assert tried == [("pgd", 0.15)]
    fewer = replace(SMALL, attacks=AttackRequest(("pgd",), (0.15, 0.2)))
    found = measure(run, fewer, None, silent)["attacks"]
    assert set(tried[1:]) == {("pgd", 0.2)}
    assert found["models"]["student"]["figures"][0]["worst"] == before["attacks"]["models"]["student"]["figures"][1][
        "accuracy"]["pgd"]  # fmt: skip
    assert [one["attack"] for one in found["verdicts"]] == ["pgd", "pgd"]


def test_a_budget_ends_it_and_the_same_request_goes_on(run, tried):
    shutil.rmtree(run / "robustness")
    told: list[str] = []
    asked = replace(SMALL, attacks=AttackRequest(("fgsm",), (0.1,)))
    first = measure(run, replace(asked, budget=1e-9), None, told.append)["attacks"]
    assert tried == told == []
    assert not first["settings"]["complete"]
    assert first["verdicts"] == [] and first["models"]["student"]["figures"] == []
    whole = measure(run, asked, None, told.append)["attacks"]
    assert whole["settings"]["complete"]
    assert told == ["fgsm within 0.1: 1 of 1"]


def test_nobody_is_attacked_unless_that_is_asked_for(run):
    assert measure(run, Request(corruptions=("jpeg",), severities=(1,), samples=40), None, silent)["attacks"] is None


def test_a_bundle_is_attacked_without_gradients(finished_run):
    found = measure(finished_run / "export", SMALL, "digits", silent)["attacks"]
    assert found["settings"]["names"] == ["fgsm", "pgd", "margin", "square"]
    accuracy = found["models"]["student.onnx"]["figures"][0]["accuracy"]
    assert [name for name, entry in accuracy.items() if entry is not None] == ["square"]
    with pytest.raises(UserError, match="transfer makes its pictures on another network .* there is none"):
        measure(finished_run / "export", replace(SMALL, attacks=AttackRequest(("transfer",))), "digits", silent)


@pytest.mark.parametrize(("change", "said"), [
    ({"names": ("pdg",)}, 'attacks expects fgsm, .*, all, got .pdg.. Did you mean "pgd"'),
    ({"names": ()}, "attacks expects some of"),
    ({"epsilons": (8.0,)}, "above 0 and at most 1, got 8; eight grey levels of 255 are 8/255"),
    ({"epsilons": (0.0,)}, "above 0"),
    ({"epsilons": (float("nan"),)}, "above 0"),
    ({"epsilons": (0.1, 0.1)}, "an epsilon is given twice: 0.1, 0.1"),
    ({"norm": "l1"}, "norm expects linf or l2, got 'l1'"),
])  # fmt: skip
def test_mistakes_get_a_sentence(change, said):
    with pytest.raises(UserError, match=said):
        AttackRequest(**change)


def test_square_is_for_both_norms_and_autoattack_goes_by_name_alone():
    every = ("fgsm", "pgd", "margin", "square", "transfer")
    for norm in ("linf", "l2"):
        assert AttackRequest(norm=norm).attacks(transfers=True) == every
        assert AttackRequest(("square",), norm=norm).attacks(transfers=False) == ("square",)


def test_autoattack_is_refused_before_anything_is_asked_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(UserError, match="--no-deps torchattacks"):
        AttackRequest(("autoattack",))


def test_radii_are_the_usual_ones_unless_given_and_ascend():
    assert AttackRequest().radii == (8 / 255,)
    assert AttackRequest(norm="l2").radii == (0.5,)
    assert AttackRequest(epsilons=(0.3, 0.1)).radii == (0.1, 0.3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), epsilon=st.floats(0.002, 0.9), norm=st.sampled_from(["linf", "l2"]))
def test_a_file_gets_nothing_from_outside_of_the_ball(seed: int, epsilon: float, norm: Norm) -> None:
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(256, (4, 1, 6, 6), generator=generator)
    pixels = levels.float() / 255
    ball = ball_around(pixels, epsilon=within_levels(epsilon, norm, 36), norm=norm)
    far = pixels + torch.randn(pixels.shape, generator=generator)
    for points in (ball.project(far), ball.anywhere(generator)):
        change = ((points * 255).round().double() - levels).flatten(1) / 255
        size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
        assert float(size.max()) <= epsilon + 1e-9


def test_whole_levels_stay_as_they_are():
    assert within_levels(8 / 255, "linf", 784) == 8 / 255
    assert within_levels(0.3, "linf", 784) == 76 / 255
    assert within_levels(0.01, "l2", 784) == 0.0


def exam_with(*models: tuple[str, Model], count: int = 40) -> Any:
    """Return an exam of pictures that are bright or dark, of subjects by role."""
    labels = torch.arange(count) % 2
    inputs = (labels * 120 + 60).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    samples = Samples(inputs, labels, tuple(f"s{row}" for row in range(count)))

    def logits(model: Model) -> Callable[[Samples], Any]:
        return lambda shown: model(shown.inputs.float() / 255).detach().numpy()

    subjects = [
        Subject(role if role != "control" else "labels", role, role, role, (0,), role, (logits(model),), (model,))  # type: ignore[arg-type]
        for role, model in models
    ]
    return exam_of(replace(SMALL, attacks=AttackRequest(("pgd", "square"), (0.3,))), subjects, samples)


def brightness(pixels: Tensor) -> Tensor:
    mean = pixels.flatten(1).mean(1)
    return torch.stack([0.47 - mean, mean - 0.47], dim=1)


class Bright(nn.Module):
    """Tells bright pictures from dark ones; through whole grey levels alone, where it is masked."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.masked = masked

    def forward(self, pixels: Tensor) -> Tensor:
        return brightness((pixels * 16).round() / 16 if self.masked else pixels)


def described(exam: Any) -> dict[str, Any]:
    assault = Assault(exam, exam.request.attacks)
    right = {one.key: exam.right(Said.of(one.logits(exam.samples))) for one in exam.subjects}
    return describe_attacks(assault, attack_all(assault, silent, Clock(None)), Context((), None, 0.0, {}, {}), right)


def test_masked_gradients_are_told():
    found = described(exam_with(("student", Bright(masked=True)), ("control", Bright(masked=False))))["models"]
    first, second = found["student"]["warnings"]
    assert first.startswith("Within 0.3: square, which uses no gradient of the model, breaks samples that pgd left")
    assert "even where it may change them into any picture" in second
    assert found["labels"]["warnings"] == []
    assert found["student"]["figures"][0]["accuracy"]["pgd"]["mean"] == 1.0
    assert found["labels"]["figures"][0]["worst"]["mean"] == 0.0


def test_a_model_without_gradients_is_not_climbed():
    found = described(exam_with(("student", brightness), ("control", Bright(masked=False))))["models"]
    assert found["student"]["figures"][0]["accuracy"]["pgd"] is None
    assert found["student"]["figures"][0]["worst"]["mean"] < 0.5
    assert found["student"]["warnings"] == []


def test_square_tries_fewer_samples_and_the_worst_is_of_those(monkeypatch):
    monkeypatch.setattr(attacked, "MOST", {"square": 10})
    found = described(exam_with(("student", Bright(masked=False))))
    assert found["settings"]["samples"] == {"pgd": 40, "square": 10}
    assert found["settings"]["common"] == 10


@pytest.mark.usefixtures("quick_page")
def test_a_recipe_may_ask_for_it(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "AT_THE_END", Request(samples=40))
    text = tiny.read_text().replace("seeds: 2", "seeds: 1")
    tiny.write_text(text + "evaluate: [attacks]\ncontrols: [labels]\n")
    found = limbeck.run_recipe(tiny, out=tmp_path / "out", progress=False).report["robustness"]
    assert found["corruptions"] == {}
    assert found["attacks"]["settings"]["complete"]
    assert found["attacks"]["settings"]["epsilons"] == [8 / 255]


def test_rows_of_a_table_cannot_be_attacked(tiny, tmp_path):
    rows = "\n".join(f"{row % 7},{row % 5},{'no' if row % 2 else 'yes'}" for row in range(80))
    (tmp_path / "t.csv").write_text("a,b,label\n" + rows)
    text = tiny.read_text().replace("source: digits", f"source: 'csv:{tmp_path}/t.csv'")
    tiny.write_text(text + "evaluate: [attacks]\n")
    with pytest.raises(UserError, match="Attacks change pictures of 8 bits, but the samples are rows of numbers"):
        limbeck.run_recipe(tiny, out=tmp_path / "out", progress=False)
