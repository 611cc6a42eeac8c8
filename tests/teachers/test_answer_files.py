from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

from limbeck.errors import DataError
from limbeck.teachers.answers import Answers, read_answers

NAMES = ("ant", "bee", "cow")
CHANCES = [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]
LOGITS = [[3.0, -1.0, 0.5], [0.0, 2.0, 1.0]]


def read(folder: Path, columns: dict[str, Any], *, csv: bool = False, names: Any = NAMES) -> Answers:
    path = folder / ("a.csv" if csv else "a.parquet")
    (pyarrow.csv.write_csv if csv else pq.write_table)(pa.table(columns), path)
    return read_answers(path, names)


def by_class(rows: list[list[float]]) -> dict[str, list[float]]:
    return dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))


@pytest.mark.parametrize("csv", [False, True])
@pytest.mark.parametrize("key", ["id", "sample"])
def test_a_column_for_each_class(tmp_path: Path, csv: bool, key: str) -> None:
    found = read(tmp_path, {key: ["x", "y"], **by_class(CHANCES)}, csv=csv)
    assert (found.ids, found.says, found.classes) == (("x", "y"), "probs", NAMES)
    torch.testing.assert_close(found.scores.exp(), torch.tensor(CHANCES))
    found = read(tmp_path, {key: ["x", "y"], **by_class(LOGITS)}, csv=csv)
    assert found.says == "logits" and torch.equal(found.scores, torch.tensor(LOGITS))


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [("logits", CHANCES, "logits"), ("probabilities", CHANCES, "probs"), ("scores", CHANCES, "probs"),
     ("scores", LOGITS, "logits"), ("logits", LOGITS, "logits")],
)  # fmt: skip
def test_a_list_of_numbers(tmp_path: Path, column: str, values: list[list[float]], says: str) -> None:
    found = read(tmp_path, {"id": [1, 2], column: values})
    assert (found.ids, found.says, found.classes) == (("1", "2"), says, None)
    scores = found.scores.exp() if says == "probs" else found.scores
    torch.testing.assert_close(scores, torch.tensor(values))


def test_top_k_spreads_the_rest_evenly(tmp_path: Path) -> None:
    found = read(
        tmp_path, {"id": ["x", "y"], "labels": [["cow"], ["bee", "ant"]], "probabilities": [[0.8], [0.7, 0.2]]}
    )
    assert found.says == "probs" and found.classes == NAMES
    torch.testing.assert_close(found.scores.exp(), torch.tensor([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]]))


@pytest.mark.parametrize("csv", [False, True])
@pytest.mark.parametrize("labels", [["cow", "ant"], [2, 0], ["2", "0"]])
def test_labels_alone(tmp_path: Path, csv: bool, labels: list[Any]) -> None:
    found = read(tmp_path, {"id": ["x", "y"], "label": labels}, csv=csv)
    assert found.says == "labels" and found.labels.tolist() == [2, 0]


def test_a_number_that_is_a_name_is_the_name(tmp_path: Path) -> None:
    assert read(tmp_path, {"id": ["x"], "label": ["1"]}, names=("3", "2", "1")).labels.tolist() == [2]


def test_half_precision_is_read(tmp_path: Path) -> None:
    columns = {name: pa.array(np.array(v, np.float16)) for name, v in by_class(LOGITS).items()}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["x", "y"], **columns}), path)
    assert torch.equal(read_answers(path, NAMES).scores, torch.tensor(LOGITS))


def test_numeric_ids_of_a_csv_keep_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,ant,bee,cow\n007,0.5,0.25,0.25\n7,0,0,1\n")
    assert read_answers(tmp_path / "a.csv", NAMES).ids == ("007", "7")


def test_predictions_of_a_run_are_the_mean_over_its_seeds(tmp_path: Path) -> None:
    columns = {"model": ["student"] * 4, "seed": [0, 0, 1, 1], "sample": ["x", "y", "x", "y"], "label": [0, 2, 0, 2],
               "scores": [*CHANCES, *CHANCES[::-1]]}  # fmt: skip
    found = read(tmp_path, columns)
    assert found.ids == ("x", "y") and found.says == "probs", "the label is the truth, not the teacher's"
    torch.testing.assert_close(found.scores.exp(), torch.tensor(CHANCES).mean(0).expand(2, 3))
    with pytest.raises(DataError, match="one model, found student, teacher"):
        read(tmp_path, {**columns, "model": ["student"] * 2 + ["teacher"] * 2})


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"name": ["x"], "ant": [1.0]}, 'a column "id" (or "sample") is needed, but there are name, ant'),
        ({"id": ["x", "x"], **by_class(LOGITS)}, 'the id "x" occurs more than once'),
        (
            {"id": ["x"], "ant": [1.0], "bee": [float("nan")]},
            'answer for "x" holds a value that is not a finite number',
        ),
        ({"id": ["x"], "ant": [1.0], "bee": ["no"]}, 'the column "bee" should hold the numbers of one class'),
        ({"id": ["x"], "label": ["co"]}, 'the label \'co\' of "x" is no class: ant, bee, cow. Did you mean "cow"?'),
        ({"id": ["x"], "label": [3]}, "the label 3 of"),
        ({"id": ["x"], "label": pa.array([None], pa.string())}, "the label None of"),
        ({"id": ["x"], "probabilities": [[0.7, 0.7]]}, "expected in 0..1, each row with the sum 1; call them logits"),
        ({"id": ["x", "y"], "logits": [[1.0, 2.0], [1.0]]}, "one length, but there are [1, 2]"),
        ({"id": ["x", "y"], "logits": [[1.0, 2.0], None]}, "one length, but there are [0, 2]"),
        ({"id": ["x"], "logits": [[1.0, None]]}, "not a finite number"),
        ({"id": ["x"], "logits": [[1.0]]}, "two classes at least"),
        ({"id": ["x"], "scores": [["a", "b"]]}, "lists of numbers"),
        ({"id": ["x"]}, "a column for each class is expected"),
        ({"id": pa.array([], pa.string()), "ant": pa.array([], pa.float32())}, "there are no rows"),
        ({"id": ["x"], "labels": [["cow"]], "probabilities": [[0.5, 0.5]]}, "has 1 labels and 2 probabilities"),
        ({"id": ["x"], "labels": [["cow", "cow"]], "probabilities": [[0.5, 0.5]]}, "names a class twice"),
        ({"id": ["x"], "labels": [["cow"]], "probabilities": [[1.5]]}, "in 0..1 with a sum of at most 1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, columns)
    assert sentence in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DataError, match=r"cannot be read as parquet \(or as CSV"):
        read_answers(tmp_path / "a.parquet", NAMES)
    with pytest.raises(DataError, match="there is no file"):
        read_answers(tmp_path / "b.parquet", NAMES)
    with pytest.raises(DataError, match="also expects teacher.classes.names"):
        read(tmp_path, {"id": ["x"], "label": ["cow"]}, names=None)
