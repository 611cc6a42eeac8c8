from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import limbeck
from limbeck.errors import DataError, FolderError, UserError
from limbeck.recipe.load import parse_recipe
from limbeck.robustness.corruptions import CORRUPTIONS
from limbeck.run import exam, robustness
from limbeck.run.evaluation import data_of
from limbeck.run.exam import Request
from limbeck.run.reload import load_model
from limbeck.run.robustness import measure

SMALL = Request(corruptions=("jpeg", "shift"), severities=(1, 5), samples=80)


def silent(_: str) -> None:
    pass


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may write into."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def measured(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with robustness measured: look, do not touch."""
    place = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("measured") / "run"))
    measure(place, SMALL, None, silent)
    return place


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What models are asked about from now on."""
    found: list[str] = []
    real = exam._ask

    def listening(one: Any, corruption: Any, severity: int) -> Any:
        found.append(f"{corruption.name}-{severity}")
        return real(one, corruption, severity)

    monkeypatch.setattr(exam, "_ask", listening)
    return found


def section(run: Path) -> dict[str, Any]:
    return json.loads((run / "robustness.json").read_text())


def test_all_models_seeds_and_files_are_asked_and_the_report_has_it(measured):
    found, report = section(measured), json.loads((measured / "report.json").read_text())

    assert report["robustness"] == found
    assert set(found["models"]) == {
        "teacher", "student", *report["stages"][-1]["controls"], "student.onnx",
        *(["student.int8.onnx"] if report["export"]["int8"]["file"] else []),
    }  # fmt: skip
    assert found["models"]["student"]["seeds"] == report["seeds"]
    assert found["models"]["teacher"]["seeds"] == [report["models"]["teacher"]["best_seed"]]
    assert found["settings"]["complete"]
    assert found["settings"]["samples"] == 80
    assert found["against"] == report["verdict"]["against"]


def test_figures_equal_models_that_are_asked_by_hand(measured):
    data, _ = data_of(measured)
    jpeg = next(one for one in CORRUPTIONS if one.name == "jpeg")
    shift = next(one for one in CORRUPTIONS if one.name == "shift")
    found = section(measured)
    ids = {one["id"] for one in found["examples"]}
    rows = torch.tensor([row for row, name in enumerate(data.test.ids)])
    order = sorted(np.argsort([hash_of(name) for name in data.test.ids], kind="stable")[:80])
    rows = rows[torch.tensor(order)]
    assert ids <= {data.test.ids[row] for row in rows.tolist()}
    pixels, labels = data.test.inputs[rows].float() / 255, data.test.labels[rows]
    for key in ("student", "labels"):
        place = measured / ("student" if key == "student" else f"controls/{key}")
        models = [load_model(place / "seeds" / str(seed)) for seed in (0, 1)]
        right = []
        for corruption in (jpeg, shift):
            accuracies = []
            for severity in (1, 5):
                made = corruption(pixels, severity, seed=0, index=data.test.keys[rows])
                made = (made * 255).round() / 255
                with torch.no_grad():
                    each = torch.stack([model(made).logits.argmax(1) == labels for model in models]).double()
                accuracies.append(float(each.mean()))
                right.append(each.numpy())
            assert found["models"][key]["by_corruption"][corruption.name] == pytest.approx(accuracies)
        whole = np.mean(right, axis=0)
        assert found["models"][key]["corrupted"]["values"] == pytest.approx(whole.mean(1).tolist())


def hash_of(name: str) -> int:
    from limbeck.data.hashing import hash64

    return hash64(f"0/{name}")


def test_the_verdict_and_the_ratio_are_against_the_control_of_the_runs_own_verdict(measured):
    found = section(measured)
    against, models = found["against"], found["models"]
    gain = models["student"]["corrupted"]["mean"] - models[against]["corrupted"]["mean"]
    assert found["verdict"]["gain"] == pytest.approx(gain)
    assert found["verdict"]["seeds"] == 2
    assert "accuracy on corrupted samples" in found["verdict"]["sentence"]
    assert {one["family"] for one in found["families"]} == {"digital", "geometry"}
    assert np.mean([one["gain"] for one in found["families"]]) == pytest.approx(found["verdict"]["gain"])
    assert models[against]["mce"] is None
    mine, theirs = (np.array(models[key]["corrupted"]["values"]) for key in ("student", against))
    assert models["student"]["mce"]["values"] == pytest.approx(((1 - mine) / (1 - theirs)).tolist())


def test_clean_accuracy_is_that_of_the_same_samples_and_the_file_agrees(measured):
    models = section(measured)["models"]
    assert models["student.onnx"]["role"] == "file"
    best = json.loads((measured / "report.json").read_text())["models"]["student"]["best_seed"]
    assert models["student.onnx"]["seeds"] == [best]
    place = models["student"]["seeds"].index(best)
    for part in ("clean", "corrupted"):
        assert models["student.onnx"][part]["mean"] == pytest.approx(models["student"][part]["values"][place], abs=0.02)
    assert models["student"]["coverage"][-1] == [1.0, pytest.approx(models["student"]["clean"]["mean"])]


def test_unseen_data_and_over_fitting_are_told(measured):
    models = section(measured)["models"]
    for one in models.values():
        for score in one["foreign"]["noise"].values():
            assert 0 <= score["auroc"]["mean"] <= 1
            assert 0 <= score["fpr95"]["mean"] <= 1
    assert models["student.onnx"]["over_fitting"] is None
    data, _ = data_of(measured)
    order = np.argsort([hash_of(data.pool.ids[row]) for row in data.train.tolist()], kind="stable")[:80]
    rows = data.train[torch.from_numpy(np.sort(order))]
    model = load_model(measured / "teacher")
    with torch.no_grad():
        train = (model(data.pool.inputs[rows].float() / 255).logits.argmax(1) == data.pool.labels[rows]).double().mean()
    gap = models["teacher"]["over_fitting"]["mean"]
    assert gap == pytest.approx(float(train) - models["teacher"]["clean"]["mean"])


def test_what_was_answered_is_not_asked_again(measured, tmp_path, asked):
    place = Path(shutil.copytree(measured, tmp_path / "run"))
    again = measure(place, SMALL, None, silent)
    assert asked == []
    assert again == section(measured)
    (place / "robustness" / "jpeg-5.npz").write_bytes(b"half a file")
    assert measure(place, SMALL, None, silent) == again
    assert asked == ["jpeg-5"]
    measure(place, replace(SMALL, corruptions=("jpeg",), severities=(1, 3, 5)), None, silent)
    assert asked == ["jpeg-5", "jpeg-3"]


def test_other_samples_are_asked_about_anew(measured, tmp_path, asked):
    place = Path(shutil.copytree(measured, tmp_path / "run"))
    measure(place, replace(SMALL, samples=50), None, silent)
    assert asked == ["jpeg-1", "jpeg-5", "shift-1", "shift-5"]


def test_a_budget_ends_it_and_the_same_request_goes_on(run, asked):
    told: list[str] = []
    first = measure(run, replace(SMALL, budget=1e-9), None, told.append)
    assert asked == told == []
    assert first["verdict"] is None
    assert first["corruptions"] == {}
    assert not first["settings"]["complete"]
    whole = measure(run, SMALL, None, told.append)
    assert whole["settings"]["complete"]
    assert [text.partition(",")[0] for text in told] == ["jpeg: 1 of 2", "shift: 2 of 2"]
    assert "left" in told[0]
    assert "left" not in told[1]


def test_other_data_is_measured_and_nothing_is_written(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    found = measure(run, SMALL, "digits", silent)
    assert found["models"]["student"]["over_fitting"] is None
    assert found["verdict"] is not None
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_bundle_is_measured_on_data_that_is_named(finished_run):
    found = measure(finished_run / "export", SMALL, "digits", silent)
    assert "student.onnx" in found["models"]
    assert found["verdict"] is None
    with pytest.raises(FolderError, match="is a bundle without data; name some with --data"):
        measure(finished_run / "export", SMALL, None, silent)


def test_samples_of_another_kind_must_look_alike(run, tmp_path):
    found = measure(run, replace(SMALL, corruptions=("jpeg",), ood="glyphs"), "digits", silent)
    assert found["settings"]["foreign"] == ["noise", "glyphs"]
    np.savez(tmp_path / "rows.npz", x=np.zeros((40, 1, 8, 8), dtype=np.float32), y=np.arange(40) % 2)
    with pytest.raises(DataError, match=r"has numbers of shape \[1, 8, 8\], but the models expect pictures of 8"):
        measure(run, replace(SMALL, ood=f"npz:{tmp_path}/rows.npz"), "digits", silent)


@pytest.mark.parametrize(("change", "said"), [
    ({"severities": (1, 6)}, "severities are whole numbers from 1 to 5, got 1, 6"),
    ({"severities": (3, 3)}, "a severity is given twice: 3, 3"),
    ({"severities": ()}, "severities are whole numbers from 1 to 5"),
    ({"samples": 1}, "samples must be 2 or more, got 1"),
    ({"budget": 0.0}, "the budget is in minutes, above 0, got 0"),
])  # fmt: skip
def test_mistakes_get_a_sentence(change, said):
    with pytest.raises(UserError, match=said):
        replace(SMALL, **change)


@pytest.mark.usefixtures("quick_page")
def test_a_recipe_may_ask_for_it(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "AT_THE_END", replace(SMALL, samples=60))
    tiny.write_text(tiny.read_text() + "evaluate: [calibration, robustness]\ncontrols: [labels]\n")
    result = limbeck.run_recipe(tiny, out=tmp_path / "out", progress=False)
    found = result.report["robustness"]
    assert found["settings"]["complete"]
    assert found == section(tmp_path / "out")
    monkeypatch.setattr(exam, "_ask", None)  # the same question to the finished run asks nobody
    again = measure(tmp_path / "out", replace(SMALL, samples=60), None, silent)
    assert again["models"] == found["models"]
    assert again["verdict"] == found["verdict"]


def test_without_being_asked_nothing_is_measured(finished_run):
    report = json.loads((finished_run / "report.json").read_text())
    assert report["robustness"] is None
    assert not (finished_run / "robustness").exists()


def test_it_is_for_classifiers():
    with pytest.raises(UserError, match="robustness is measured of classifiers, got task 'regression'"):
        parse_recipe(
            "data: {source: diabetes, task: regression}\nstudent: {model: mlp}\nobjective: [squared_error]\n"
            "controls: []\nevaluate: [robustness]\n"
        )
    with pytest.raises(UserError, match="Robustness is measured of classifiers, but the task is regression"):
        robustness._refuse_other_tasks("regression")


def test_rows_of_a_table_are_asked_about_too(tiny, tmp_path):
    random = np.random.default_rng(0)
    lines = ["size,kind,label"]
    for row in range(160):
        big = row % 2
        lines.append(f"{random.normal(big * 3, 1):.3f},{'ab'[big if row % 5 else 1 - big]},{['no', 'yes'][big]}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    tiny.write_text(tiny.read_text().replace("source: digits", f"source: 'csv:{tmp_path}/t.csv'"))
    place = limbeck.run_recipe(tiny, out=tmp_path / "out", progress=False).folder
    found = measure(place, Request(samples=100), None, silent)
    assert list(found["corruptions"]) == ["row_noise", "missing_values", "dropped_columns", "drift"]
    assert found["models"]["student"]["foreign"] == {}
    values = [found["models"]["student.onnx"], found["models"]["student"]]
    assert values[0]["by_corruption"].keys() == values[1]["by_corruption"].keys()
    assert found["examples"][0]["png"] is None
