from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from limbeck.data.contents import ReadOptions
from limbeck.data.dataset import Data
from limbeck.data.parquet import read_parquet
from limbeck.errors import DataError

AS_FOUND = ReadOptions()


def png(level: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((3, 2), level, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, labels: list[Any], names: list[str] | None = None, **columns: list[Any]) -> Path:
    rows = [{"bytes": png(i), "path": f"{i}.png"} for i in range(len(labels))]
    table = pa.table({"image": rows, "label": labels} | columns)
    if names is not None:
        features = {"label": {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=2)
    return path


def test_a_file_with_class_names(tmp_path: Path) -> None:
    source = read_parquet(write(tmp_path / "all.parquet", [1, 0, 1], ["no", "yes"]), AS_FOUND)
    assert source.classes == ("no", "yes")
    assert source.train.labels.tolist() == [1, 0, 1]
    assert source.train.inputs[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert source.train.ids == ("train/0.png", "train/1.png", "train/2.png")
    assert source.test is None
    assert source.reading == ReadOptions(size=(3, 2), channels="grey")


def test_a_folder_with_several_files(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", [0, 1])
    write(tmp_path / "train-00001-of-00002.parquet", [2, None])
    write(tmp_path / "test.parquet", [0, 2])
    write(tmp_path / "validation.parquet", [0])
    source = read_parquet(tmp_path, AS_FOUND)
    assert source.classes == ("0", "1", "2")
    assert source.train.labels.tolist() == [0, 1, 2, -1]
    assert len(set(source.train.ids)) == 4  # paths repeat, so ids are content hashes
    assert source.train.ids[2].endswith("#2")
    assert source.test is not None
    assert source.test.ids == ("test/0.png", "test/1.png")
    assert "validation.parquet" in source.notes[0]


def test_labels_by_name(tmp_path: Path) -> None:
    words = pa.array(["dog", "cat", "dog"])
    for column in (words, words.dictionary_encode()):
        source = read_parquet(write(tmp_path / "a.parquet", [0, 0, 0], label=column), AS_FOUND)  # type: ignore[arg-type]
        assert source.classes == ("cat", "dog")
        assert source.train.labels.tolist() == [1, 0, 1]


def test_other_column_names_and_plain_bytes(tmp_path: Path) -> None:
    table = pa.table({"img": [png(1), png(2), png(1)], "labels": [0, 1, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    source = read_parquet(tmp_path / "a.parquet", AS_FOUND)
    assert source.train.inputs[:, 0, 0, 0].tolist() == [1, 2, 1]
    assert source.train.ids[2] == source.train.ids[0] + "#2"


def test_broken_rows_are_named_or_left_out(tmp_path: Path) -> None:
    rows = [
        {"bytes": png(0), "path": "0"},
        None,
        {"bytes": b"bad", "path": "2"},
        {"bytes": None, "path": "3"},
    ]
    path = write(tmp_path / "a.parquet", [0, 1, 0, 1], image=rows)
    with pytest.raises(DataError, match=r"3 pictures.*a\.parquet row 1: .*row 2: .*row 3: "):
        read_parquet(path, AS_FOUND)
    source = read_parquet(path, ReadOptions(corrupt="skip"))
    assert source.train.labels.tolist() == [0]
    assert "3 pictures left out" in source.notes[0]


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(DataError, match="no file or folder"):
        read_parquet(path, AS_FOUND)
    with pytest.raises(DataError, match=r'a file named "train\*\.parquet" is needed'):
        read_parquet(tmp_path, AS_FOUND)
    path.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read as a parquet file"):
        read_parquet(path, AS_FOUND)
    pq.write_table(pa.table({"picture": [b""], "label": [0]}), path)
    with pytest.raises(DataError, match=r'a column "image" .* there are picture, label'):
        read_parquet(path, AS_FOUND)
    pq.write_table(pa.table({"image": [1], "label": [0]}), path)
    with pytest.raises(DataError, match=r"must hold bytes .* holds int64"):
        read_parquet(path, AS_FOUND)
    with pytest.raises(DataError, match='"label" must hold whole numbers or names, but it holds double'):
        read_parquet(write(path, [0.5, 1.0]), AS_FOUND)
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\) has label 2, but the classes are 0 to 1"):
        read_parquet(write(path, [0, 2], ["a", "b"]), AS_FOUND)
    with pytest.raises(DataError, match=r"row 0 .* has label -2"):
        read_parquet(write(path, [-2, 2]), AS_FOUND)
    pq.write_table(pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}), path)
    with pytest.raises(DataError, match="there are no rows"):
        read_parquet(path, AS_FOUND)


def test_unlabelled_pictures_need_no_label_column(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1] * 5)
    pq.write_table(pa.table({"image": [png(1), png(200)]}), tmp_path / "more.parquet")
    data = Data.open(f"parquet:{tmp_path / 'train.parquet'}", unlabelled=f"parquet:{tmp_path / 'more.parquet'}")
    assert data.pool.labels.tolist()[-2:] == [-1, -1]
    assert all(name.startswith("unlabelled/train/") for name in data.pool.ids[-2:])


def test_real_files(real_data: Path) -> None:
    source = read_parquet(real_data / "usps" / "test.parquet", AS_FOUND)
    assert len(source.train) == 2007
    assert source.train.shape == (1, 16, 16)
    assert source.classes == tuple("0123456789")
    colour = read_parquet(real_data / "cifar10" / "test-1k.parquet", AS_FOUND)
    assert colour.train.shape == (3, 32, 32)
    assert colour.classes[3] == "cat"
