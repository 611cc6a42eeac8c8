from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a loaded machine is no failure
settings.load_profile("untimed")
os.environ["LIMBECK_CACHE"] = "off"  # a test that wants the cache names a folder

TINY = """\
name: tiny
seeds: 2
data: {source: digits}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 6, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 3, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
"""


class Answer(NamedTuple):
    """What a command did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny finished run with everything in its folder, shared by all tests: look, do not touch."""
    import limbeck

    place = tmp_path_factory.mktemp("finished")
    (place / "tiny.yaml").write_text(TINY + "export: {int8: true}\n")
    return limbeck.run_recipe(place / "tiny.yaml", out=place / "tiny", progress=False).folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of its own."""
    place = tmp_path / "workplace"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def tiny(workplace: Path) -> Path:
    """The recipe of the finished run, in the current folder."""
    (workplace / "tiny.yaml").write_text(TINY)
    return workplace / "tiny.yaml"


@pytest.fixture
def quick_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawings of the report's page, which take longer than a tiny run."""
    monkeypatch.setattr("limbeck.run.pipeline.render_html", lambda report: "page")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the real command line in this process, as if in a pipe of 80 columns."""
    from limbeck.cli.app import main

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["limbeck", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return Answer(int(stopped.value.code or 0), out, err)

    return run
