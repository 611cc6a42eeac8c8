"""Distil on tables and compare the file that ships with its model on raw rows: `python benchmarks/tables.py`.

The tables are made from data that comes with scikit-learn: breast cancer and wine as they are, and digits made to look
like a table of mixed columns with gaps. A dated page goes to `benchmarks/results/`. A finished run folder is read, not
run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split

from limbeck.data.csv_file import read_rows
from limbeck.export.predict import predict
from limbeck.models.weights import read_card
from limbeck.recipe.load import parse_recipe
from limbeck.report import measures, numbers
from limbeck.run.folder import REPORT
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model, preprocessing_of
from limbeck.run.result import read_report

HERE = Path(__file__).parent
RECIPE = """\
name: {name}
seeds: 5
data: {{source: "csv:{source}", label: kind}}
teacher: {{model: {{mlp: {{hidden: [256, 256], dropout: 0.2}}}}, train: {{epochs: 60, batch_size: 64, lr: 0.003}}}}
student: {{model: {{mlp: {{hidden: [8]}}}}, train: {{epochs: 60, batch_size: 64, lr: 0.003}}}}
objective: [soft_labels: {{temperature: 2, weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels, smoothing, teacher_labels]
"""
ABOUT = """\
Breast cancer and wine are scikit-learn's, as they are. *Mixed* is made from its digits: 32 pixels stay numbers, 32
become texts (empty, light, dark), a tenth of all cells is emptied at random, and a tenth of the test rows get a text
that no training row has. It is no natural table; it is there to exercise gaps and unknown texts."""
COMPARED = """\
Every row of the CSV file (of test.csv where there is one) is answered by `limbeck predict`, by the bundle's own
`predict.py`, and by the PyTorch student on the rows prepared by the saved JSON."""
Row = list[str]


@dataclass(frozen=True)
class Shipped:
    """A finished run, and how far its file is from its model on every row of a CSV file (of `rows` rows)."""

    report: dict[str, Any]
    rows: int
    unknown: int
    gap: float
    same: int
    same_by_script: int


def main() -> None:
    """Make the tables, run what is not finished, write the page."""
    parser = argparse.ArgumentParser(description="Distil on tables and check what ships on raw rows.")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    places = write_tables(options.runs / "tables")
    done = {name: finish(name, place, options.runs / f"table-{name}") for name, place in places.items()}
    print(write_page(options.results, done))


def write_tables(folder: Path) -> dict[str, Path]:
    """Write the CSV files and return the source of each table: a file, or a folder with train.csv and test.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("breast-cancer", load_breast_cancer()), ("wine", load_wine())):
        rows = [[f"{value:.6g}" for value in row] for row in data.data]
        kinds = [str(data.target_names[label]) for label in data.target]
        _write(folder / f"{name}.csv", [str(one) for one in data.feature_names], rows, kinds)
    (folder / "mixed").mkdir(exist_ok=True)
    header, rows, kinds = mixed()
    parts = train_test_split(rows, kinds, test_size=0.25, random_state=0, stratify=kinds)
    draw = np.random.default_rng(1)
    for row in parts[1]:
        if draw.random() < 0.1:  # a text that no training row has
            row[int(draw.integers(32, 64))] = "scratched"
    _write(folder / "mixed" / "train.csv", header, parts[0], parts[2])
    _write(folder / "mixed" / "test.csv", header, parts[1], parts[3])
    return {
        "breast-cancer": folder / "breast-cancer.csv",
        "wine": folder / "wine.csv",
        "mixed": folder / "mixed",
    }


def mixed() -> tuple[list[str], list[Row], list[str]]:
    """Return the digits as a table: 32 columns of numbers, 32 of texts (their levels in three bins), 10 % of gaps."""
    levels, digits = load_digits(return_X_y=True)
    draw = np.random.default_rng(0)
    gaps = draw.random(levels.shape) < 0.1
    words = np.array(["empty", "light", "dark"])[np.digitize(levels, [1, 9])]
    rows = []
    for values, texts, missing in zip(levels, words, gaps, strict=True):
        told = [f"{value:g}" for value in values[::2]] + texts[1::2].tolist()
        rows.append(["" if gap else one for one, gap in zip(told, missing, strict=True)])
    header = [f"level {place}" for place in range(0, 64, 2)] + [f"shade {place}" for place in range(1, 64, 2)]
    return header, rows, [f"digit {digit}" for digit in digits]


def finish(name: str, source: Path, folder: Path) -> Shipped:
    """Return a finished run, run now where it is not, with its file compared on all rows of the table."""
    if not (folder / REPORT).is_file():
        print(f"Running {name}", file=sys.stderr)
        recipe = parse_recipe(RECIPE.format(name=f"table-{name}", source=source))
        run(plan_from_recipe(recipe), out=folder, resume=(folder / "recipe.yaml").is_file())
    file = source / "test.csv" if source.is_dir() else source
    learned = preprocessing_of(read_card(folder / "student"))
    assert learned is not None
    rows = read_rows(file, learned.columns)
    with torch.no_grad():
        logits = load_model(folder / "student")(torch.from_numpy(learned(rows))).logits
    report = read_report(folder)
    chances = (logits / report["export"]["onnx"]["temperature"]).softmax(1).numpy()
    names = [report["data"]["classes"][place] for place in chances.argmax(1)]
    found = list(predict(folder, [file]))
    script = [sys.executable, "-I", str(folder / "export" / "predict.py"), str(file)]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    known = [set(one.texts) for one in learned.categories]
    unknown = sum(text not in known[place] for row in rows.categories.tolist() for place, text in enumerate(row))
    return Shipped(
        report,
        rows=len(rows),
        unknown=unknown,
        gap=float(np.abs(chances.max(1) - [one["probability"] for one in found]).max()),
        same=sum(one["class"] == name for one, name in zip(found, names, strict=True)),
        same_by_script=sum(json.loads(one)["class"] == name for one, name in zip(printed, names, strict=True)),
    )


def write_page(results: Path, done: dict[str, Shipped]) -> Path:
    """Write the dated page and return its path."""
    first = next(iter(done.values())).report
    path = results / f"{first['created'][:10]}-tables.md"
    where = first["environment"]
    verdicts = [f"- {name}: {one.report['verdict']['sentence']}" for name, one in done.items()]
    recipe = RECIPE.format(name="NAME", source="TABLE").strip()
    lines = [
        f"# Tables, {first['created'][:10]}", "", "`python benchmarks/tables.py`", "", ABOUT, "",
        f"- Seeds: {', '.join(map(str, first['seeds']))}; split seed {first['data']['split_seed']}.",
        f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), {where['device']}; "
        f"the machine was shared, so the times are rough.",
        f"- Versions: limbeck {first['limbeck']}, python {where['python']}, torch {where['torch']}, numpy "
        f"{where['numpy']}, scikit-learn {where['scikit-learn']}, onnxruntime {where['onnxruntime']}.", "",
        "## Verdicts", "", "Accuracy in percent and gains in points, with 95 % intervals.", "",
        *_models(done), "", *verdicts, "", "## The file that ships, on raw rows", "", COMPARED, "", *_files(done), "",
        "## The recipe", "", "```yaml", recipe, "```", "",
    ]  # fmt: skip
    results.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _models(done: dict[str, Shipped]) -> Iterator[str]:
    yield from _header(
        "Table",
        "Training, test rows",
        "Columns",
        "Features",
        "Teacher",
        "Student",
        "Best control",
        "Gain",
        "Soft over hard labels",
    )
    for name, one in done.items():
        report, verdict = one.report, one.report["verdict"]
        data, models = report["data"], report["models"]
        cells = [f"{data['columns']['numbers']} + {data['columns']['categories']}", str(data["shape"][0])]
        control = f"{_accuracy(models[verdict['against']])} {verdict['against']}"
        told = [_accuracy(models["teacher"]), _accuracy(models["student"]), control]
        gains = [_gain(verdict), _gain(verdict["over_teacher_labels"])]
        yield _row(name, f"{data['train']:,}, {data['test']:,}", *cells, *told, *gains)


def _files(done: dict[str, Shipped]) -> Iterator[str]:
    yield from _header(
        "Table", "Rows", "Unknown texts", "Same class by `limbeck predict`", "by `predict.py`",
        "Largest difference of the probability", "Bytes", "ms a row, 1 thread", "Accuracy of the file, model",
    )  # fmt: skip
    for name, one in done.items():
        shipped, student = one.report["export"]["onnx"], one.report["models"]["student"]
        model = student["metrics"]["accuracy"]["values"][one.report["seeds"].index(student["best_seed"])]
        pair = f"{shipped['metrics']['accuracy']['mean']:.2%}, {model:.2%}"
        yield _row(
            name, f"{one.rows:,}", f"{one.unknown:,}", f"{one.same:,}", f"{one.same_by_script:,}", f"{one.gap:.1e}",
            f"{shipped['bytes']:,}", f"{shipped['latency_ms'][0]['p50']:.3f}", pair,
        )  # fmt: skip


def _accuracy(model: dict[str, Any]) -> str:
    metric = model["metrics"]["accuracy"]
    return f"{measures.value_text('accuracy', metric['mean'])} ({measures.interval_text('accuracy', metric['ci95'])})"


def _gain(verdict: dict[str, Any]) -> str:
    return f"{verdict['outcome']}: {numbers.points(verdict['gain'])} ({numbers.interval(verdict['ci95'])})"


def _header(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row("---", *("---:" for _ in names[1:]))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _write(path: Path, header: Sequence[str], rows: Sequence[Row], kinds: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*header, "kind"], *([*row, kind] for row, kind in zip(rows, kinds, strict=True))])


if __name__ == "__main__":
    main()
