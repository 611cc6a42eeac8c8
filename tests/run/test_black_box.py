"""Teachers known by their answers: every door, through whole small runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import limbeck
from limbeck.cli.tables import report_table
from limbeck.data.dataset import Data
from limbeck.errors import DataError, FolderError, ObjectiveError, RecipeError, UserError
from limbeck.export.graph import export_graph
from limbeck.models import MLP
from limbeck.recipe.load import parse_recipe
from limbeck.report.html import render_html
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.rehearsal import rehearse
from limbeck.run.reload import load_model
from limbeck.teachers.seen import count_seen
from limbeck.train.loop import predict

BASE = """\
name: box
seeds: 1
data: {source: digits}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 30, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels]
knowledge: {mode: live}
export: {onnx: false}
"""
pytestmark = pytest.mark.usefixtures("quick_page")
SORTED = {str(digit): "odd" if digit % 2 else "even" for digit in range(10)}


def plan(teacher: str, *overrides: str) -> Plan:
    return plan_from_recipe(parse_recipe(f"{BASE}teacher: {{{teacher}}}\n", overrides))


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def write(path: Path, ids: tuple[str, ...], values: torch.Tensor, column: str = "logits") -> Path:
    flat = pa.FixedSizeListArray.from_arrays(values.numpy().ravel(), values.shape[1])
    pq.write_table(pa.table({"id": list(ids), column: flat}), path)
    return path


@pytest.fixture(scope="module")
def digits() -> Data:
    return Data.open("digits")


@pytest.fixture(scope="module")
def place(finished_run: Path, digits: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run's teacher as a graph, and its logits for the pool alone and for every sample."""
    folder, model = tmp_path_factory.mktemp("boxes"), load_model(finished_run / "teacher")
    export_graph(model, folder / "t.onnx", shape=(1, 8, 8), kind="image")
    logits, tested = predict(model, digits.pool), predict(model, digits.test)
    write(folder / "pool.parquet", digits.pool.ids, logits)
    write(folder / "all.parquet", digits.pool.ids + digits.test.ids, torch.cat([logits, tested]))
    hard = torch.cat([logits, tested]).argmax(1).numpy()
    pq.write_table(pa.table({"id": list(digits.pool.ids + digits.test.ids), "label": hard}), folder / "hard.parquet")
    return folder


@pytest.fixture(scope="module")
def doors(finished_run: Path, place: Path) -> dict[str, dict[str, Any]]:
    """The reports of the same recipe with the same teacher behind three doors."""
    found = {}
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("limbeck.run.pipeline.render_html", lambda report: "page")
    for source in (f"run:{finished_run}", f"onnx:{place}/t.onnx", f"labels:{place}/all.parquet"):
        kind = source.partition(":")[0]
        found[kind] = report_of(run(plan(f"source: '{source}'"), out=place / kind))
    monkeypatch.undo()
    return found


def test_the_same_teacher_makes_the_same_student_behind_every_door(doors: dict[str, Any], place: Path) -> None:
    students = {kind: report["models"]["student"] for kind, report in doors.items()}
    assert students["labels"]["checksum"] == students["run"]["checksum"], "stored answers are the answers, bit for bit"
    weights = [load_model(place / kind / "student").state_dict() for kind in ("run", "onnx")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-4)
    means = [report["models"]["teacher"]["metrics"]["accuracy"]["mean"] for report in doors.values()]
    assert means[0] == means[1] == means[2]
    assert doors["labels"]["verdict"]["gain"] == doors["run"]["verdict"]["gain"]


def test_what_is_known_of_a_black_box(doors: dict[str, Any], place: Path) -> None:
    graph, stored = doors["onnx"]["models"]["teacher"], doors["labels"]["models"]["teacher"]
    assert graph["bytes"] == (place / "t.onnx").stat().st_size and graph["latency_ms"][0]["p50"] > 0
    assert [stored[key] for key in ("bytes", "parameters", "macs", "latency_ms", "steps")] == [None] * 5
    assert (graph["architecture"], stored["architecture"]) == ("t.onnx", "all.parquet (logits)")
    assert doors["labels"]["cost"]["teacher_forwards"] == 0
    assert doors["onnx"]["cost"]["teacher_forwards"] == doors["run"]["cost"]["teacher_forwards"] > 0
    assert any("trained elsewhere" in note for note in doors["onnx"]["verdict"]["notes"])


def test_pages_and_tables_show_what_is_missing_as_such(doors: dict[str, Any]) -> None:
    assert "all.parquet" in render_html(doors["labels"])
    assert len(report_table(doors["labels"]).rows) == 3


def test_answers_for_the_transfer_set_alone(place: Path, digits: Data) -> None:
    found = report_of(run(plan(f"source: 'labels:{place}/pool.parquet'"), out=place / "untested"))
    assert "teacher" not in found["models"] and found["verdict"]["gap_closed"] is None
    assert found["models"]["student"]["metrics"]["agreement"] is None
    assert f"no answer for {len(digits.test)} of {len(digits.test)} samples" in found["data"]["notes"][-1]


def test_labels_alone_serve_teacher_labels_only(place: Path) -> None:
    source = f"source: 'labels:{place}/hard.parquet'"
    with pytest.raises(
        ObjectiveError, match=r"soft_labels needs probs from the teacher, which gives labels\..*teacher_labels"
    ):
        rehearse(plan(source))
    found = report_of(run(plan(source, "objective=[teacher_labels]"), out=place / "hard"))
    teacher = found["models"]["teacher"]["metrics"]
    assert teacher["accuracy"]["mean"] > 0.7 and teacher["nll"] is teacher["brier"] is teacher["ece"] is None
    assert "teacher" not in found["reliability"]
    assert found["models"]["student"]["metrics"]["agreement"] is not None
    assert "hard.parquet" in render_html(found)


def test_probabilities_serve_no_term_that_needs_logits(tmp_path: Path, place: Path, digits: Data) -> None:
    logits = torch.from_numpy(np.stack(pq.read_table(place / "pool.parquet")["logits"].to_numpy(zero_copy_only=False)))
    path = write(tmp_path / "p.parquet", digits.pool.ids, logits.softmax(1), "probabilities")
    rehearse(plan(f"source: 'labels:{path}'"))
    with pytest.raises(
        ObjectiveError, match="logit_matching needs logits from the teacher, which gives labels and probs"
    ):
        rehearse(plan(f"source: 'labels:{path}'", "objective=[logit_matching]"))


def test_a_permutation_equals_a_renaming(tmp_path: Path, place: Path, digits: Data, doors: dict[str, Any]) -> None:
    table = pq.read_table(place / "all.parquet")
    logits = np.stack(table["logits"].to_numpy(zero_copy_only=False))
    order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    columns = {f"n{digit}": logits[:, digit] for digit in order}
    pq.write_table(pa.table({"id": table["id"], **columns}), tmp_path / "named.parquet")
    given = ", ".join(f"n{digit}: '{digit}'" for digit in range(10))
    found = plan(f"source: 'labels:{tmp_path}/named.parquet', classes: {{map: {{{given}}}}}")
    report = report_of(run(found, out=tmp_path / "run"))
    assert report["models"]["student"]["checksum"] == doors["labels"]["models"]["student"]["checksum"]


def parity(digits: Data) -> Data:
    """The digits as odd and even."""
    both = [digits.pool, digits.test]
    (x, y), (tx, ty) = [(one.inputs, one.labels % 2) for one in both]
    return Data.from_arrays((x, y), (tx, ty), classes=("even", "odd"))


@pytest.mark.parametrize("door", ["run", "onnx"])
def test_a_live_teacher_of_ten_digits_teaches_odd_and_even(
    door: str, finished_run: Path, place: Path, digits: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = parity(digits)
    monkeypatch.setattr("limbeck.run.plan.open_data", lambda section: data)
    source = {"run": f"run:{finished_run}", "onnx": f"onnx:{place}/t.onnx"}[door]
    named = f"source: '{source}', classes: {{names: {list(range(10))}, map: {json.dumps(SORTED)}}}"
    made = plan(named)
    teacher = made.black_box.open(data.pool, data.train)
    chances = teacher(data.pool.batch(torch.arange(20))).logits.softmax(1)
    theirs = predict(load_model(finished_run / "teacher"), data.pool, torch.arange(20)).softmax(1)
    torch.testing.assert_close(chances[:, 1], theirs[:, 1::2].sum(1))
    assert teacher.provides == {"probs", "labels"} | ({"features"} if door == "run" else set())
    found = report_of(run(made, out=tmp_path / "run"))
    assert found["models"]["teacher"]["metrics"]["accuracy"]["mean"] > 0.7
    assert (found["models"]["teacher"]["parameters"] is None) == (door == "onnx")


def test_what_a_mapped_teacher_of_a_run_has_seen(finished_run: Path) -> None:
    source = f"source: 'run:{finished_run}', classes: {{map: {json.dumps({str(n): str(n) for n in range(10)})}}}"
    box = plan(source).black_box
    assert box is not None and box.labels_seen == count_seen(finished_run / "teacher") is not None
    with pytest.raises(DataError, match="test samples, so its knowledge would leak them"):
        plan(source, "data.split_seed=1")


def test_what_a_map_drops_and_lacks_is_said(place: Path, tmp_path: Path) -> None:
    some = {str(digit): str(digit) for digit in range(8)}
    names = f"names: {list(range(10))}, map: {json.dumps(some)}"
    made = plan(f"source: 'labels:{place}/all.parquet', classes: {{{names}}}")
    notes = report_of(run(made, out=tmp_path / "run"))["data"]["notes"]
    assert notes[0] == "The teacher knows nothing that stands for 8, 9; such a class gets the probability 0 from it."
    share = float(notes[1].partition("%")[0])
    assert 10 < share < 30 and "of the teacher's answers on the transfer set (1,295 samples asked)" in notes[1]


def test_a_bundle_says_its_own_classes(finished_run: Path, digits: Data) -> None:
    graph = finished_run / "export" / "student.onnx"
    rehearse(plan(f"source: 'onnx:{graph}'"))
    with pytest.raises(DataError, match=r'knows the class "2", which this data does not have'):
        plan(f"source: 'onnx:{graph}'", "data.classes=[0, 1]")
    made = plan(f"source: 'onnx:{graph}', classes: {{map: {{0: 1, 1: 0}}}}", "data.classes=[0, 1]")
    data = made.data
    said = made.black_box.open(data.pool, data.train)(data.pool.batch(torch.arange(5)))
    mine = predict(load_model(finished_run / "student"), data.pool, torch.arange(5))
    torch.testing.assert_close(said.logits, mine[:, [1, 0]], rtol=1e-4, atol=1e-4)


def test_augmentation(place: Path) -> None:
    with pytest.raises(UserError, match=r"remove data\.augment"):
        plan(f"source: 'labels:{place}/all.parquet'", "data.augment=[shift]")
    rehearse(plan(f"source: 'onnx:{place}/t.onnx'", "data.augment=[shift]"))


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ("model: mlp, source: 'onnx:x'", "model does not go with a teacher from onnx:"),
        ("source: 'onnx:x', labels: same", "labels does not go with a teacher from onnx:"),
        ("source: 'labels:x', train: {epochs: 3}", "train does not go with a teacher from labels:"),
        ("model: mlp, classes: {map: {a: b}}", "classes does not go with a teacher from model:"),
        ("source: 'labels:x', input: {scale: 255}", "input does not go with a teacher from labels:"),
        ("source: 'labls:x'", "source expects 'run:DIR', 'file:WEIGHTS.safetensors', 'onnx:FILE'"),
        ("source: 'onnx:x', input: {scale: 100}", "teacher.input.scale"),
    ],
)
def test_keys_that_do_not_fit(teacher: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        plan(teacher)
    assert sentence in str(error.value)


def test_the_normalisation_of_a_file_is_its_own(place: Path) -> None:
    text = plan(f"source: 'onnx:{place}/t.onnx'").recipe
    assert parse_recipe(text).teacher.normalise == "none"
    with pytest.raises(UserError, match=r"teacher\.normalise expects none"):
        plan(f"source: 'onnx:{place}/t.onnx', normalise: data")


def test_missing_answers(tmp_path: Path, digits: Data) -> None:
    path = write(tmp_path / "few.parquet", digits.pool.ids[:100], torch.randn(100, 10))
    with pytest.raises(DataError, match=r'no answer for 1,\d+ of 1,295 samples, such as "digits/\d+", "digits/'):
        rehearse(plan(f"source: 'labels:{path}'"))


@pytest.mark.parametrize("source", ["onnx:t.onnx", "labels:all.parquet"])
def test_from_python(source: str, place: Path, digits: Data, tmp_path: Path, doors: dict[str, Any]) -> None:
    kind, _, name = source.partition(":")
    result = limbeck.distill(
        f"{kind}:{place / name}", lambda: MLP((1, 8, 8), 10, hidden=(4,)), digits, train=limbeck.Settings(steps=5),
        seeds=1, controls=(), export=False, progress=False, out=tmp_path / "run",
    )  # fmt: skip
    assert result.report["models"]["teacher"]["metrics"] == doors[kind]["models"]["teacher"]["metrics"]
    assert "black_box" in (result.folder / "recipe.yaml").read_text()


def test_a_run_is_not_resumed_with_other_answers(place: Path, digits: Data, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", digits.pool.ids, torch.randn(len(digits.pool), 10))
    text = f"source: 'labels:{path}'"
    run(plan(text, "student.train.steps=2", "controls=[]"), out=tmp_path / "run")
    assert run(plan(text, "student.train.steps=2", "controls=[]"), out=tmp_path / "run", resume=True)
    write(path, digits.pool.ids, torch.randn(len(digits.pool), 10))
    with pytest.raises(FolderError, match=r"The teacher \(.*\) changed since"):
        run(plan(text, "student.train.steps=2", "controls=[]"), out=tmp_path / "run", resume=True)
