from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from limbeck.data.contents import ReadOptions
from limbeck.data.source import open_source
from limbeck.errors import DataError


def test_digits_are_those_of_scikit_learn() -> None:
    levels, digits = load_digits(return_X_y=True)
    source = open_source("digits", ReadOptions())
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.shape == (1, 8, 8)
    scaled = source.train.inputs.view(-1, 64).numpy() * (16 / 255)
    assert np.abs(scaled - levels).max() < 0.04
    assert source.train.labels.tolist() == digits.tolist()
    assert source.classes == tuple("0123456789")
    assert source.test is None
    assert source.reading == ReadOptions(size=(8, 8), channels="grey")


def test_digits_of_another_size() -> None:
    assert open_source("digits", ReadOptions(size=12)).train.shape == (1, 12, 12)


def test_unknown_sources_are_a_sentence(tmp_path: Path) -> None:
    for text, sentence in {
        "digit": 'Did you mean "digits"',
        "foldr:x": 'Did you mean "folder"',
        "": 'must be "digits"',
        "folder:": 'must be one of "digits"',
        "idx": "must be one of",
        "digits:x": "must be one of",
        str(tmp_path): f'write "folder:{tmp_path}"',
    }.items():
        with pytest.raises(DataError, match=sentence):
            open_source(text, ReadOptions())
    (tmp_path / "train.parquet").touch()
    with pytest.raises(DataError, match=f'write "parquet:{tmp_path}"'):
        open_source(str(tmp_path), ReadOptions())


def test_kinds_reach_their_readers(tmp_path: Path) -> None:
    for kind in ("idx", "folder", "parquet"):
        with pytest.raises(DataError, match="there is no f"):
            open_source(f"{kind}:{tmp_path / 'nowhere'}", ReadOptions())


def test_a_size_below_one_is_refused() -> None:
    for size in (0, (4, 0)):
        with pytest.raises(DataError, match=r"data.size must be 1 pixel or more"):
            ReadOptions(size=size)
