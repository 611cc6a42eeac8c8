from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import limbeck


def test_everything_public_can_be_imported():
    for name in limbeck.__all__:
        assert getattr(limbeck, name) is not None

    assert set(limbeck.__all__) == set(dir(limbeck)) - {"__version__"}


def test_public_names_are_those_that_type_checkers_see():
    tree = ast.parse(Path(limbeck.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [alias.name for node in ast.walk(guarded) if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert sorted(seen) == sorted(limbeck.__all__)


def test_names_are_sorted_and_given_once():
    assert limbeck.__all__ == sorted(set(limbeck.__all__))


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'limbeck' has no attribute 'distil'"):
        limbeck.distil


def test_import_is_light():
    program = "import limbeck, sys; limbeck.UserError; assert not {'torch', 'numpy', 'PIL'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)
