"""A teacher of an earlier run must not have been trained on this run's test samples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.data.dataset import Data
from limbeck.errors import DataError
from limbeck.recipe.load import parse_recipe
from limbeck.run.plan import plan_from_recipe
from limbeck.teachers.seen import (
    SEEN,
    check_unseen,
    contents,
    copy_seen,
    count_leaked,
    count_repeated,
    count_seen,
    save_seen,
    save_seen_by_students,
)

RECIPE = """
data: {{source: digits, split_seed: {seed}}}
teacher: {{source: "run:{run}"}}
student: {{model: linear}}
objective: [soft_labels]
"""


def open_plan(run: Path, seed: int) -> Any:
    return plan_from_recipe(parse_recipe(RECIPE.format(run=run, seed=seed)))


def test_a_run_with_another_split_is_refused(finished_run: Path, tmp_path: Path) -> None:
    assert (finished_run / "teacher" / SEEN).is_file()
    open_plan(finished_run, 0)
    with pytest.raises(DataError, match=r"was trained on \d+ of this run's 359 test samples"):
        open_plan(finished_run, 1)
    shutil.copytree(finished_run, tmp_path / "old")
    (tmp_path / "old" / "teacher" / SEEN).unlink()
    open_plan(tmp_path / "old", 1)  # a run that kept no record cannot tell


def test_only_the_rows_that_were_shown_count(tmp_path: Path) -> None:
    one, other = Data.open("digits"), Data.open("digits", split_seed=1)
    known = torch.isin(contents(one.pool), contents(other.test))
    save_seen(tmp_path, one, torch.nonzero(~known).flatten())
    check_unseen(tmp_path, other)
    save_seen(tmp_path, one, torch.nonzero(known).flatten()[:3])
    with pytest.raises(DataError, match="trained on 3 of this run's"):
        check_unseen(tmp_path, other)


def test_the_same_samples_from_another_place_are_the_same(tmp_path: Path) -> None:
    data = Data.open("digits")
    save_seen(tmp_path, data, data.train)
    x, y = data.pool.inputs, data.pool.labels
    other = Data.from_arrays(train=(x[::2], y[::2]), test=(x[1::2], y[1::2]))
    with pytest.raises(DataError, match="of this run's"):
        check_unseen(tmp_path, other)


def test_a_repeat_within_the_data_is_no_leak(tmp_path: Path) -> None:
    x = torch.rand(60, 3)
    data = Data.from_arrays(train=(x, torch.arange(60) % 2), test=(x[:7], torch.arange(7) % 2))
    save_seen(tmp_path, data, data.train)
    check_unseen(tmp_path, data)


def test_a_record_is_copied_where_there_is_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    data = Data.open("digits")
    save_seen(tmp_path, data, torch.arange(5))
    assert (count_seen(tmp_path), count_seen(tmp_path / "b")) == (5, None)
    copy_seen(tmp_path, tmp_path / "a")
    assert (tmp_path / "a" / SEEN).read_bytes() == (tmp_path / SEEN).read_bytes()
    copy_seen(tmp_path / "b", tmp_path / "a")
    assert (tmp_path / "a" / SEEN).is_file()


def test_a_student_has_seen_what_its_start_has(tmp_path: Path) -> None:
    data = Data.open("digits")
    for name in ("first", "second", "anew", "unknown"):
        (tmp_path / name).mkdir()
    first, second = tmp_path / "first", tmp_path / "second"
    save_seen_by_students({first: None}, data, data.train[:10])
    starts = {second: first, tmp_path / "anew": None}
    save_seen_by_students(starts, data, data.train[5:20])
    counts = [count_repeated(folder, data.pool) for folder in (first, second, tmp_path / "anew")]
    assert counts == [10, 20, 15]
    assert count_seen(first) is None, "samples are no labels"
    assert count_leaked(first, data) == 0 and count_leaked(tmp_path / "unknown", data) is None
