"""Arrays in mapped files: the same samples, splits, figures and batches as in memory, without loading them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.combine import concatenate, keep_classes, take, without_labels
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.dataset import Data
from limbeck.data.mapped import chunks, join, regroup
from limbeck.data.moments import mean_and_std
from limbeck.data.npy import read_npy
from limbeck.data.samples import Samples
from limbeck.data.source import open_source
from limbeck.data.views import Shift, Views
from limbeck.errors import DataError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (120, 3, 6, 5), dtype=np.uint8)
LABELS = RANDOM.integers(0, 4, 120)


def save(folder: Path, **arrays: np.ndarray) -> Path:
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path, x_train=PIXELS[:100], y_train=LABELS[:100], x_test=PIXELS[100:], y_test=LABELS[100:])


def in_memory(samples: Samples) -> Samples:
    return Samples(samples.inputs.clone(), samples.labels, samples.ids)


def test_a_folder_of_arrays_is_read_as_it_is(folder: Path) -> None:
    found = open_source(f"npy:{folder}", ReadOptions())
    assert found.test is not None
    assert np.array_equal(found.train.inputs, PIXELS[:100])
    assert np.array_equal(found.test.labels, LABELS[100:])
    assert found.train.ids[17] == "train/17"
    assert found.train.mapped is not None and found.train.mapped.startswith("x_train.npy/")
    assert found.classes == ("0", "1", "2", "3")


def test_channels_last_and_grey_pictures_are_turned_without_copying(tmp_path: Path) -> None:
    last, grey = PIXELS.transpose(0, 2, 3, 1), PIXELS[:, 0]
    save(tmp_path, x=last, y=LABELS, x_val=last[:30], y_val=LABELS[:30, None])
    found = read_npy(tmp_path, ReadOptions())
    assert np.array_equal(found.train.inputs, PIXELS)
    assert found.validation is not None and len(found.validation) == 30
    assert np.array_equal(read_npy(save(tmp_path, x=grey, x_val=grey[:30]), ReadOptions()).train.inputs[:, 0], grey)


def test_batches_statistics_and_splits_are_those_in_memory(folder: Path) -> None:
    data = Data.open(f"npy:{folder}")
    pool, loaded = data.pool, in_memory(data.pool)
    rows = torch.tensor([5, 99, 0, 5])
    views = Views([Shift(1)])
    for view in (None, rows):
        assert torch.equal(
            pool.batch(rows, view=view, views=views).inputs, loaded.batch(rows, view=view, views=views).inputs
        )
    for mine, theirs in zip(mean_and_std(pool, data.train), mean_and_std(loaded, data.train), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(pool.contents, loaded.contents)
    assert pool.inputs.data_ptr() == pool.inputs_of(torch.arange(100)).data_ptr()


def test_a_split_that_regroups_rows_stays_in_a_file(folder: Path) -> None:
    for name in ("x_test", "y_test"):
        (folder / f"{name}.npy").unlink()
    data = Data.open(f"npy:{folder}", test=0.3)
    for part in (data.pool, data.test):
        assert part.mapped is not None
        rows = [int(name.removeprefix("train/")) for name in part.ids]
        assert np.array_equal(part.inputs, PIXELS[rows])
    assert data.pool.mapped != data.test.mapped


def test_fewer_classes_unlabelled_samples_and_joined_parts(folder: Path) -> None:
    found = open_source(f"npy:{folder}", ReadOptions())
    assert isinstance(found, Source) and found.test is not None
    kept = keep_classes(found, ["3", "1"])
    assert np.array_equal(kept.train.inputs, PIXELS[:100][np.isin(LABELS[:100], [1, 3])])
    both = concatenate([found.train, without_labels(found.test)])
    assert np.array_equal(both.inputs, PIXELS)
    assert both.mapped is not None
    assert len(take(found.train, np.empty(0, dtype=np.int64))) == 0


def test_the_fingerprint_follows_the_file_and_the_rows(folder: Path) -> None:
    first = open_source(f"npy:{folder}", ReadOptions()).train
    again = open_source(f"npy:{folder}", ReadOptions()).train
    assert first.fingerprint == again.fingerprint
    assert take(first, np.array([3, 1])).fingerprint != take(first, np.array([1, 3])).fingerprint
    save(folder, x_train=PIXELS[:100][::-1])
    assert open_source(f"npy:{folder}", ReadOptions()).train.fingerprint != first.fingerprint


def test_a_mapped_file_is_never_changed(folder: Path) -> None:
    samples = open_source(f"npy:{folder}", ReadOptions()).train
    samples.inputs[0] = 7
    assert np.array_equal(np.load(folder / "x_train.npy"), PIXELS[:100])


@pytest.mark.parametrize("rows", [[3, 4, 5], [9, 0, 9], [7]])
def test_regrouped_rows_and_chunks_are_the_rows(rows: list[int]) -> None:
    inputs, chosen = torch.from_numpy(PIXELS.copy()), torch.tensor(rows)
    assert torch.equal(regroup(inputs, chosen), inputs[chosen])
    assert torch.equal(torch.cat(list(chunks(inputs, chosen))), inputs[chosen])
    assert torch.equal(join([inputs[:4], inputs[4:]]), inputs)


def test_float_moments_are_those_of_numpy(tmp_path: Path) -> None:
    values = RANDOM.normal(3, 2, (50, 7)).astype(np.float32)
    data = read_npy(save(tmp_path, x=values, y=LABELS[:50]), ReadOptions()).train
    mean, std = mean_and_std(data, torch.arange(50))
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, values.std(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, r"x_train\.npy and y_train\.npy are needed, or x\.npy and y\.npy; there are none"),
        ({"x": PIXELS}, r"x\.npy needs y\.npy beside it"),
        ({"x": PIXELS, "y": LABELS[:5]}, r"x\.npy has 120 rows, but y\.npy has 5"),
        ({"x": PIXELS.astype(np.float64), "y": LABELS}, r"expected uint8 pictures .* but it holds float64"),
        ({"x": np.full((120, 2), np.nan, np.float32), "y": LABELS}, "row 0 has a value that is NaN"),
        ({"x": PIXELS, "y": LABELS, "x_test": PIXELS[:, :1], "y_test": LABELS}, "must be like the train samples"),
        ({"x": np.array([[None]]), "y": LABELS}, "Python objects, which are not loaded"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "inputs are empty"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_npy(save(tmp_path, **arrays), ReadOptions())


def test_other_mistakes_get_a_sentence(folder: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        read_npy(folder / "nowhere", ReadOptions())
    with pytest.raises(DataError, match="not resized"):
        read_npy(folder, ReadOptions(size=9))
    (folder / "x_train.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"cannot be read as an \.npy file"):
        read_npy(folder, ReadOptions())


PROGRAM = """
import sys
sys.path.insert(0, "benchmarks")
from pathlib import Path
import larger_than_memory as larger
place = Path(sys.argv[1])
larger.make(place, 0.3, (3, 32, 32))
import torch
before = larger.anonymous()
with larger.watching() as watch:
    from limbeck.data.dataset import Data
    data = Data.open(f"npy:{place}")
    data.statistics(), data.fingerprint
    for rows in torch.split(data.train, 256):
        data.pool.batch(rows)
print(watch.peak - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is in /proc/self/status, which Linux has")
def test_a_file_of_300_mb_is_gone_through_in_a_third_of_that(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200 * 2**20
