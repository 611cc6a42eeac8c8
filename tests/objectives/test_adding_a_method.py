"""The how-to "Add a method" is followed to the letter, in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "howto" / "add-a-method.md").read_text(encoding="utf-8")
FILE, EXPORT, REFERENCE, EXAMPLE = re.findall(r"^```\w+[^\n]*\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
RECIPE = """\
name: mine
seeds: 1
data: {source: digits}
teacher: {model: linear, train: {steps: 4}}
student: {model: linear, train: {steps: 4}}
objective: [cosine_logits: {power: 2, weight: 3}, cross_entropy]
controls: [labels]
export: {onnx: false}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and of the tests of terms, with the file and the export line of the page."""
    place = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns("__pycache__", Path(__file__).name)
    for part in ("src/limbeck", "tests/objectives"):
        shutil.copytree(ROOT / part, place / part, ignore=ignored)
    objectives = place / "src" / "limbeck" / "objectives"
    (objectives / "cosine_logits.py").write_text(FILE)
    insert(objectives / "__init__.py", "from limbeck.objectives.binary_soft_labels", EXPORT)
    insert(objectives / "__init__.py", '    "CrossEntropy"', '    "CosineLogits",\n')
    (place / "mine.yaml").write_text(RECIPE)
    return place


def insert(path: Path, before: str, text: str) -> None:
    """Put text in front of the first line that begins like this."""
    found, there, rest = path.read_text(encoding="utf-8").partition(before)
    assert there
    path.write_text(found + text + there + rest, encoding="utf-8")


def follow(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(clone / "src"), str(clone)]), "COLUMNS": "200"}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)


def test_one_file_and_one_export_line_make_a_method_of_recipes(clone: Path) -> None:
    done = follow(clone, "limbeck", "run", "mine.yaml", "--out", "run", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    report = json.loads((clone / "run" / "report.json").read_text())
    assert "cosine_logits(power=2.0)" in str(report["stages"]) and report["verdict"] is not None
    listed = follow(clone, "limbeck", "methods")
    assert "cosine_logits" in listed.stdout and "One less the cosine" in listed.stdout
    wrong = follow(clone, "limbeck", "run", "mine.yaml", "--set", "objective.cosine_logits.power=0.5")
    assert wrong.returncode == 2 and "objective.0.cosine_logits.power" in wrong.stderr
    assert "cosine_logits" in follow(clone, "limbeck", "schema").stdout


def test_the_suite_asks_for_an_entry_and_then_holds_the_method_to_it(clone: Path) -> None:
    suite, references = (clone / "tests" / "objectives" / name for name in ("test_properties.py", "references.py"))
    asked = follow(clone, "pytest", "-q", "--import-mode=importlib", "-k", "every_term", str(suite))
    assert asked.returncode == 1 and "add an Example with a reference for CosineLogits" in asked.stdout
    insert(references, "from scipy.special", "from scipy.spatial import distance\n")
    references.write_text(references.read_text() + "\n\n" + REFERENCE)
    insert(suite, "    Example(CrossEntropy", EXAMPLE)
    held = follow(clone, "pytest", "-q", "--import-mode=importlib", "-k", "cosine or every_term", str(suite))
    assert held.returncode == 0, held.stdout
    assert int(re.findall(r"(\d+) passed", held.stdout)[0]) >= 20
