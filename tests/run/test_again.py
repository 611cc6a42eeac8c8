from __future__ import annotations

import json
import shutil

import pytest
import yaml

from limbeck.errors import DataError, FolderError
from limbeck.run.again import export_again


def test_same_bundle_again(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    before = json.loads((tmp_path / "run" / "export" / "manifest.json").read_text())
    (tmp_path / "run" / "export" / "student.onnx").write_bytes(b"damaged")

    assert export_again(tmp_path / "run") == tmp_path / "run" / "export"

    assert json.loads((tmp_path / "run" / "export" / "manifest.json").read_text()) == before


def test_python_run_is_refused(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    (tmp_path / "run" / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "data": {"source": "python"}}))

    with pytest.raises(DataError, match="was made from Python; export it again by the limbeck.distill call"):
        export_again(tmp_path / "run")


def test_unfinished_run(tmp_path):
    with pytest.raises(FolderError, match="has no report.json"):
        export_again(tmp_path)
