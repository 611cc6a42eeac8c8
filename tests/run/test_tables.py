"""The whole way of a table, from a CSV file to the file that ships."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import limbeck
from limbeck.data.combine import take
from limbeck.data.csv_file import read_rows
from limbeck.data.preprocess import Preprocessing
from limbeck.errors import DataError, ModelError, UserError
from limbeck.export.run_onnx import Session
from limbeck.recipe.load import load_recipe, parse_recipe
from limbeck.run.evaluation import evaluate
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.train.loop import predict

RECIPE = """\
name: people
seeds: 2
data: {source: "csv:people"}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 4, lr: 0.01, batch_size: 32}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 3, lr: 0.01, batch_size: 32}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels]
"""


def rows(count: int, seed: int, cities: tuple[str, ...] = ("Rome", "Oslo", "")) -> list[str]:
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        age, city, income = draw.normal(40, 10), draw.choice(cities), draw.normal(2e4, 5e3)
        kind = "yes" if (age > 40) != (city == "Rome") else "no"
        told = "" if draw.random() < 0.1 else f"{income:.2f}"
        lines.append(f"k{number},{age:.3f},{city},{told},{number % 3},{kind}")
    return lines


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["id,age,city,income,shift,class", *lines]) + "\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write(folder / "people" / "train.csv", rows(200, 0))
    write(folder / "people" / "test.csv", rows(60, 1, ("Rome", "Oslo", "", "Quito")))
    (folder / "people.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIMBECK_CACHE", "off")
        limbeck.run_recipe("people.yaml", out="run", progress=False)
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture
def data() -> limbeck.Data:
    return plan_from_recipe(load_recipe(Path("people.yaml"))).data


def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("run/report.json").read_text("utf-8"))
    return found


def test_every_model_keeps_its_preprocessing(data: limbeck.Data) -> None:
    for folder in ("teacher", "student", "controls/labels", "student/seeds/1"):
        card = json.loads(Path("run", folder, "model.json").read_text("utf-8"))
        assert Preprocessing.from_json(card["preprocessing"]) == data.preprocessing
        assert card["normalise"] is None
    manifest = json.loads(Path("run/export/manifest.json").read_text("utf-8"))
    assert Preprocessing.from_json(manifest["table"]["preprocessing"]) == data.preprocessing
    assert not list(Path("run").rglob("*.pkl"))


def test_the_file_on_raw_rows_is_the_student(data: limbeck.Data) -> None:
    assert data.preprocessing is not None
    raw = read_rows(Path("people/test.csv"), data.preprocessing.columns)
    assert (raw.categories == "Quito").any() and np.isnan(raw.numbers).any()
    session = Session(Path("run/export/student.onnx"))
    for size in (1, 2, 7):
        logits, _ = session.logits_and_probabilities(raw.feed(), batch_size=size)
        wanted = predict(load_model(Path("run/student")), data.test).numpy()
        np.testing.assert_allclose(logits, wanted, atol=1e-4)
    right = float((logits.argmax(1) == data.test.labels.numpy()).mean())
    shipped = report()["export"]["onnx"]
    assert shipped["metrics"]["accuracy"]["mean"] == pytest.approx(right)
    assert shipped["latency_ms"][0]["p50"] > 0
    assert shipped["max_abs_error"] < 1e-4


def test_the_int8_file_takes_raw_rows_too(data: limbeck.Data) -> None:
    assert data.preprocessing is not None
    limbeck.run_recipe("people.yaml", ["export={int8: true, tolerance: 0.5}"], out="small", progress=False)
    found = json.loads(Path("small/report.json").read_text("utf-8"))["export"]
    raw = read_rows(Path("people/test.csv"), data.preprocessing.columns)
    logits, _ = Session(Path("small/export/student.int8.onnx")).logits_and_probabilities(raw.feed())
    right = float((logits.argmax(1) == data.test.labels.numpy()).mean())
    assert found["int8"]["metrics"]["accuracy"]["mean"] == pytest.approx(right)
    assert found["int8"]["verdict"]["seeds"] == found["verdict"]["seeds"] == 2
    lines = list(limbeck.predict(Path("small"), [Path("people/test.csv")], int8=True))
    classes = json.loads(Path("small/export/manifest.json").read_text("utf-8"))["classes"]
    assert [line["class"] for line in lines] == [classes[place] for place in logits.argmax(1)]


def test_the_verdict_on_the_files_is_on_raw_rows() -> None:
    found = report()
    assert found["export"]["verdict"]["values"] == pytest.approx(found["verdict"]["values"])


def test_the_page_counts_columns_and_repeats_the_notes() -> None:
    found = report()
    assert found["data"]["columns"] == {"numbers": 3, "categories": 1}
    assert (
        'The column "id" was left out: its text differs in every training row, as an id does.' in found["data"]["notes"]
    )
    page = Path("run/report.md").read_text("utf-8")
    assert "- Columns: 3 of numbers, 1 of categories" in page
    assert "Columns" in Path("run/report.html").read_text("utf-8")


def test_evaluate_uses_the_saved_preprocessing(place: Path, tmp_path: Path) -> None:
    """A table of other numbers would be scaled otherwise if it were learned from."""
    same = evaluate(Path("run"))
    again = evaluate(Path("run"), "csv:people")
    assert again == same
    write(tmp_path / "few.csv", [line.replace(",1,", ",2,") for line in rows(60, 1)[:7]])
    file = evaluate(Path("run/export"), f"csv:{tmp_path / 'few.csv'}")["student.onnx"]
    run = evaluate(Path("run"), f"csv:{tmp_path / 'few.csv'}")["student"]
    assert file["accuracy"]["mean"] == run["accuracy"]["mean"]
    assert file["nll"]["mean"] != pytest.approx(report()["export"]["onnx"]["metrics"]["nll"]["mean"])
    card = json.loads(Path("run/student/model.json").read_text("utf-8"))
    learned = Preprocessing.from_json(card["preprocessing"])
    raw = read_rows(tmp_path / "few.csv", learned.columns)
    with torch.no_grad():
        logits = load_model(Path("run/student"))(torch.from_numpy(learned(raw))).logits
    kinds = [line.rsplit(",", 1)[1] for line in rows(60, 1)[:7]]
    right = [card["classes"][int(top)] == kind for top, kind in zip(logits.argmax(1), kinds, strict=True)]
    assert run["accuracy"]["mean"] == pytest.approx(np.mean(right))


@pytest.mark.parametrize(
    ("place_of", "source", "says"),
    [
        ("run", "digits", "The model takes rows of a table, such as --data csv:rows.csv, but --data is 'digits'"),
        ("run/export", "digits", "The model takes rows of a table"),
        ("run", "csv:unlabelled.csv", 'no row has a label in the column "class"'),
        ("run", "csv:short.csv", 'there is no columns "age", "income", "shift", "city"; there are x, class'),
        ("run", "csv:odd.csv", '"maybe" is not one of the classes no; yes'),
    ],
)
def test_evaluate_on_what_does_not_fit(place_of: str, source: str, says: str) -> None:
    write(Path("unlabelled.csv"), ["a,1,Rome,2,1,"])
    write(Path("odd.csv"), ["a,1,Rome,2,1,maybe"])
    Path("short.csv").write_text("x,class\n1,yes\n")
    with pytest.raises(DataError) as caught:
        evaluate(Path(place_of), source)
    assert says in str(caught.value)


def test_a_model_of_pictures_takes_no_table(finished_run: Path) -> None:
    for folder in (finished_run, finished_run / "export"):
        with pytest.raises(
            DataError, match=r"The model takes samples of shape \[1, 8, 8\], but --data is 'csv:people'"
        ):
            evaluate(folder, "csv:people")


TAKEN = {
    "run": "teacher={source: 'run:run'}",
    "mapped": "teacher={source: 'run:run', classes: {map: {'yes': 'yes', 'no': 'no'}}}",
    "file": "teacher={source: 'file:run/teacher/model.safetensors', model: {mlp: {hidden: [32]}}}",
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_teacher_of_the_same_table_is_taken(kind: str) -> None:
    plan = plan_from_recipe(load_recipe(Path("people.yaml"), [TAKEN[kind]]))
    assert (plan.teacher or plan.black_box) is not None


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize(("change", "column"), [("data.drop=[shift]", "shift"), ("data.split_seed=1", "age")])
def test_a_teacher_that_was_prepared_otherwise_is_refused_by_column(kind: str, change: str, column: str) -> None:
    with pytest.raises(ModelError, match=f'whose column "{column}" is prepared otherwise'):
        plan_from_recipe(load_recipe(Path("people.yaml"), [TAKEN[kind], change]))


def test_weights_without_a_card_and_teachers_of_something_else(tmp_path: Path, finished_run: Path) -> None:
    shutil.copy("run/teacher/model.safetensors", tmp_path)
    bare = f"teacher={{source: 'file:{tmp_path}/model.safetensors', model: {{mlp: {{hidden: [32]}}}}}}"
    with pytest.raises(ModelError, match=r"No model\.json in .* says how the rows of a table were prepared"):
        plan_from_recipe(load_recipe(Path("people.yaml"), [bare]))
    with pytest.raises(ModelError, match=r"No model\.json in .* says how"):
        plan_from_recipe(load_recipe(Path("people.yaml"), [f"teacher={{source: 'run:{finished_run}'}}"]))
    pictures = ["data={source: digits}", "teacher={source: 'run:run'}"]
    with pytest.raises(ModelError, match="was made for rows of a table, but this data is none"):
        plan_from_recipe(load_recipe(Path("people.yaml"), pictures))


def test_renamed_columns_are_other_data(data: limbeck.Data, tmp_path: Path) -> None:
    """So no control of another table comes from the cache, whose card would name the wrong columns."""
    text = Path("people/train.csv").read_text()
    for name, head in (("a", "id,age,city"), ("b", "id,aged,city")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.csv").write_text(text.replace("id,age,city", head))
    one, two = (limbeck.Data.open(f"csv:{tmp_path / name}") for name in "ab")
    assert one.pool.fingerprint == two.pool.fingerprint
    assert one.fingerprint != two.fingerprint


def test_a_python_run_on_a_table(data: limbeck.Data, tmp_path: Path) -> None:
    objective = limbeck.Objective([(1.0, limbeck.CrossEntropy())])
    result = limbeck.distill(
        None, lambda: torch.nn.Linear(data.shape[0], 2), data, objective=objective,
        epochs=1, seeds=1, out=tmp_path / "python", progress=False,
    )  # fmt: skip
    found = list(limbeck.predict(result.folder, [Path("people/test.csv")]))
    few = take(data.test, np.arange(5))
    wanted = result.student(few.inputs).logits.argmax(1)
    assert [one["class"] for one in found[:5]] == [data.classes[int(place)] for place in wanted]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{source: digits, label: y}", "label is for tables (csv:), got the source 'digits'"),
        ("{source: digits, drop: [1]}", "drop is for tables (csv:)"),
        ("{source: 'csv:x', size: 8}", "size is for pictures, got the source 'csv:x'"),
        ("{source: 'csv:x', augment: [flip]}", "augment is for pictures"),
        ("{source: 'csv:x', drop: y}", "drop (line 2): expected a list, got 'y'"),
    ],
)
def test_recipes_that_mix_tables_and_pictures(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_recipe(f"student: {{model: linear}}\ndata: {text}\nobjective: [cross_entropy]\n")
    assert says in str(caught.value)


def test_names_of_columns_may_be_numbers() -> None:
    text = "student: {model: linear}\ndata: {source: 'csv:x', label: 3, drop: [1], categorical: [2]}\n"
    section = parse_recipe(text + "objective: [cross_entropy]\n").data
    assert (section.label, section.drop, section.categorical) == ("3", ("1",), ("2",))


def test_check_says_what_it_found(call: Any) -> None:
    answer = call("check", "people.yaml", "--json")
    assert answer.code == 0
    found = {one["name"]: one["sentence"] for one in json.loads(answer.out)}
    assert found["splits"] == "180 samples train, 20 validate, 60 test."
    assert "normalisation" not in found
