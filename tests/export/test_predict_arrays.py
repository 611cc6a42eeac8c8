from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.errors import DataError
from limbeck.export.bundle import write_bundle
from limbeck.export.predict import predict, read_samples
from limbeck.models.adapt import Adapted, Normalise


@pytest.fixture(scope="module")
def model() -> Adapted:
    torch.manual_seed(0)
    return Adapted(nn.Linear(3, 2), classes=2, normalise=Normalise([1.0, 2, 3], [4.0, 5, 6]))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, model: Adapted) -> Path:
    folder = tmp_path_factory.mktemp("run") / "export"
    write_bundle(
        folder,
        model=model,
        name="student",
        shape=(3,),
        kind="vector",
        classes=["no", "yes"],
        temperature=1.0,
        reading=None,
        source_hash="0",
        samples=torch.randn(4, 3),
        extra={},
    )
    return folder


def test_rows_of_tables_get_the_answers_of_torch(bundle: Path, model: Adapted, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * 5
    np.save(tmp_path / "a.npy", features)
    np.savetxt(tmp_path / "b.csv", features, delimiter=",")
    np.save(tmp_path / "one.npy", features[0])
    with torch.no_grad():
        wanted = torch.softmax(model(torch.from_numpy(features)).logits, 1).numpy()
    files = [tmp_path / "a.npy", tmp_path / "b.csv", tmp_path / "one.npy"]
    found = list(predict(bundle, files))
    assert [(one["file"], one["row"]) for one in found] == [
        *((str(file), row) for file in files[:2] for row in range(300)),
        (str(files[2]), 0),
    ]
    wanted = np.concatenate([wanted, wanted, wanted[:1]])
    assert [one["class"] for one in found] == [["no", "yes"][row.argmax()] for row in wanted]
    np.testing.assert_allclose([one["probability"] for one in found], wanted.max(1), atol=1e-5)
    script = [sys.executable, "-I", bundle / "predict.py", *files]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["class"] for one in printed] == [one["class"] for one in found]


def test_a_broken_table_is_named_and_the_others_are_read(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("\ufeff1,2,3\n\n4,5,6\n")
    (tmp_path / "header.csv").write_text("a,b,c\n1,2,3\n")
    found = list(predict(bundle, [tmp_path / "header.csv", tmp_path / "good.csv"]))
    assert [one.get("row") for one in found] == [None, 0, 1]
    assert found[0]["error"].startswith(f"{tmp_path / 'header.csv'}: cannot be read as rows of numbers")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1,2\n", r"shape \[3\], got an array of shape \[1, 2\]"),
        ("1,2,3\n4,5\n", "cannot be read as rows of numbers"),
        ("1,2,x\n", "could not convert string to float: 'x'"),
        ("1,2,3\n1,nan,3\n", "row 1 holds a number that is not finite"),
        ("", "at least one sample"),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        read_samples(path, (3,), "float32")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((2, 4)), r"got an array of shape \[2, 4\]"),
        (np.zeros((0, 3)), "at least one sample"),
        (np.float64(1), r"got an array of shape \[\]"),
        (np.array([["a", "b", "c"]]), "expected numbers"),
        (np.array([[None, 1, 2]]), "cannot be read as rows of numbers"),
    ],
)
def test_what_is_wrong_with_an_npy(tmp_path: Path, values: np.ndarray, sentence: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=sentence):
        read_samples(tmp_path / "a.npy", (3,), "float32")


def test_other_files_and_missing_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"reads \.npy or \.csv"):
        read_samples(tmp_path / "a.xlsx", (3,), "float32")
    with pytest.raises(DataError, match="no such file"):
        read_samples(tmp_path / "a.csv", (3,), "float32")
    (tmp_path / "empty.npy").touch()
    with pytest.raises(DataError, match="cannot be read"):
        read_samples(tmp_path / "empty.npy", (3,), "float32")


def test_pixels_are_whole_numbers_in_range(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(8).reshape(2, 1, 2, 2) * 36.0)
    samples = read_samples(path, (1, 2, 2), "uint8")
    assert (samples.dtype, samples.shape) == (np.uint8, (2, 1, 2, 2))
    assert read_samples(path, (1, 2, 2), "uint8").max() == 252
    for wrong in (-1, 256, 0.5):
        np.save(path, np.full((1, 1, 2, 2), wrong))
        with pytest.raises(DataError, match="whole numbers from 0 to 255"):
            read_samples(path, (1, 2, 2), "uint8")
