from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from limbeck.errors import DiskError, FolderError
from limbeck.run.folder import is_run, open_folder, read_state


def plan(recipe: str = "name: one\nseeds: 2\n", data: str = "abc") -> Any:
    return SimpleNamespace(name="one", recipe=recipe, conditions=lambda: {"data": data, "student": "s"})


def make(folder: Path) -> Path:
    with open_folder(plan(), out=folder, resume=False, force=False):
        (folder / "student").mkdir()
        (folder / "student" / "weights").write_text("w")
        (folder / "report.json").write_text("{}")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_a_new_folder_gets_its_recipe_and_state(tmp_path: Path) -> None:
    with open_folder(plan(), out=tmp_path / "a" / "b", resume=False, force=False) as folder:
        assert is_run(folder)
        assert (folder / "recipe.yaml").read_text() == plan().recipe
        assert read_state(folder)["data"] == "abc"
        assert read_state(folder)["created"].endswith("+00:00")


@pytest.mark.parametrize("there", ["file", ".hidden", "folder/file"])
def test_an_existing_folder_is_refused(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    with (
        pytest.raises(FolderError, match="exists already. Use --resume .* --force .* --out"),
        open_folder(plan(), out=tmp_path, resume=False, force=False),
    ):
        pass
    with (
        pytest.raises(FolderError, match="not a run folder, so --force does not delete it"),
        open_folder(plan(), out=tmp_path, resume=False, force=True),
    ):
        pass
    with (
        pytest.raises(FolderError, match="nothing to resume"),
        open_folder(plan(), out=tmp_path, resume=True, force=False),
    ):
        pass
    assert contents(tmp_path) == {there: "mine"}


def test_a_finished_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    before = contents(make(tmp_path / "run"))
    with (
        pytest.raises(FolderError, match="exists already"),
        open_folder(plan(), out=tmp_path / "run", resume=False, force=False),
    ):
        pass
    assert contents(tmp_path / "run") == before


def test_force_replaces_a_run(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    (folder / "link").symlink_to(tmp_path)
    with open_folder(plan("name: other\n", "def"), out=folder, resume=False, force=True):
        assert sorted(contents(folder)) == ["recipe.yaml", "state.json"]
        assert (folder / "recipe.yaml").read_text() == "name: other\n"
        assert read_state(folder)["data"] == "def"
    assert tmp_path.is_dir()


def test_force_never_touches_a_folder_in_use(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    with open_folder(plan(), out=folder, resume=True, force=False):
        before = contents(folder)
        for resume, force in ((False, True), (True, False)):
            with (
                pytest.raises(FolderError, match="is in use by another limbeck process"),
                open_folder(plan(), out=folder, resume=resume, force=force),
            ):
                pass
        assert contents(folder) == before


def test_a_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    for _ in range(2):
        with pytest.raises(ValueError, match="inside"), open_folder(plan(), out=folder, resume=True, force=False):
            raise ValueError("inside")


def test_a_clearing_that_was_killed_can_be_forced_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "run")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt), open_folder(plan(), out=folder, resume=False, force=True):
            pass
    assert is_run(folder)
    assert not (folder / "report.json").exists(), "a run that is half deleted must not pass for a finished one"
    with open_folder(plan(), out=folder, resume=False, force=True):
        assert not (folder / "student").exists()


def test_resume_takes_up_a_run(tmp_path: Path) -> None:
    before = contents(make(tmp_path / "run"))
    with open_folder(plan(), out=tmp_path / "run", resume=True, force=False) as folder:
        assert contents(folder) == before


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", "recipe.yaml"], [".lock", ".state.json.partial"]])
def test_a_run_killed_in_its_first_moment_begins_anew(tmp_path: Path, left: list[str]) -> None:
    for name in left:
        (tmp_path / name).write_text(plan().recipe if name == "recipe.yaml" else "half")
    with open_folder(plan(), out=tmp_path, resume=True, force=False):
        assert (tmp_path / "recipe.yaml").read_text() == plan().recipe
        assert is_run(tmp_path)


def test_resume_names_the_keys_that_differ(tmp_path: Path) -> None:
    make(tmp_path / "run")
    other = plan("name: one\nseeds: 3\ndata: {source: x}\n")
    with (
        pytest.raises(FolderError, match=r"another recipe \(different: data, seeds\)"),
        open_folder(other, out=tmp_path / "run", resume=True, force=False),
    ):
        pass
    with (
        pytest.raises(FolderError, match=r"different: order"),
        open_folder(plan("seeds: 2\nname: one\n"), out=tmp_path / "run", resume=True, force=False),
    ):
        pass


def test_resume_refuses_changed_data(tmp_path: Path) -> None:
    make(tmp_path / "run")
    with (
        pytest.raises(FolderError, match=r"The data \(contents, weights or normalisation\) changed since"),
        open_folder(plan(data="other"), out=tmp_path / "run", resume=True, force=False),
    ):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(FolderError, match="is a file; --out expects a folder"),
        open_folder(plan(), out=tmp_path / "file", resume=False, force=True),
    ):
        pass


def test_a_folder_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(DiskError, match="cannot be written"),
        open_folder(plan(), out=tmp_path / "file" / "run", resume=False, force=False),
    ):
        pass


def test_default_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for recipe in ("name: a\n", "name: b\n", "name: a\n"):
        with open_folder(plan(recipe), out=None, resume=False, force=False) as folder:
            names.append(str(folder))
    assert names == ["runs/one", "runs/one-2", "runs/one-3"]
    with open_folder(plan("name: b\n"), out=None, resume=True, force=False) as folder:
        assert str(folder) == "runs/one-2"
    with open_folder(plan("name: a\n"), out=None, resume=True, force=False) as folder:
        assert str(folder) == "runs/one-3"
    with (
        pytest.raises(FolderError, match="no run of this recipe in runs/ to resume"),
        open_folder(plan("name: c\n"), out=None, resume=True, force=False),
    ):
        pass


def test_state_is_json(tmp_path: Path) -> None:
    assert set(json.loads((make(tmp_path / "run") / "state.json").read_text())) == {"created", "data", "student"}


def test_a_recipe_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: one  # my own words\nseeds: 2\n")
    with (
        pytest.raises(FolderError, match="exists already"),
        open_folder(plan(), out=tmp_path, resume=False, force=False),
    ):
        pass
    assert contents(tmp_path) == {"recipe.yaml": "name: one  # my own words\nseeds: 2\n"}
