"""Broken inputs through the real command line: one sentence, the right exit code, nothing left behind."""

from __future__ import annotations

import errno
import os
import pickle
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

Prepare = Callable[[Path, Path], None]


def nothing(place: Path, run: Path) -> None:
    pass


def text(name: str, content: str) -> Prepare:
    return lambda place, run: (place / name).write_text(content) and None


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)).save(path)


def photos(place: Path, run: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 4) -> None:
    for number in range(each):
        for name in classes:
            picture(place / "photos" / name / f"{number}.png", number)


def one_class(place: Path, run: Path) -> None:
    photos(place, run, classes=("cat",))


def two_each(place: Path, run: Path) -> None:
    photos(place, run, each=2)


def no_picture(place: Path, run: Path) -> None:
    photos(place, run)
    (place / "photos" / "owl").mkdir()


def corrupt(place: Path, run: Path) -> None:
    photos(place, run)
    whole = (place / "photos" / "cat" / "1.png").read_bytes()
    (place / "photos" / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])


def idx(pictures: int = 6, labels: int = 6, magic: int = 0x803, cut: int = 0) -> Prepare:
    def make(place: Path, run: Path) -> None:
        images = struct.pack(">IIII", magic, pictures, 4, 4) + bytes(16 * pictures)
        (place / "train-images-idx3-ubyte").write_bytes(images[: len(images) - cut])
        (place / "train-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, labels) + bytes(n % 2 for n in range(labels))
        )

    return make


def null_image(place: Path, run: Path) -> None:
    picture(place / "x.png")
    rows = [{"bytes": (place / "x.png").read_bytes(), "path": None} for _ in range(8)] + [None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": [0, 1] * 4 + [0]}), place / "t.parquet")


def pickled(place: Path, run: Path) -> None:
    (place / "weights.safetensors").write_bytes(pickle.dumps({"a": 1}))


def unfinished(place: Path, run: Path) -> None:
    shutil.copytree(run, place / "half")
    (place / "half" / "report.json").unlink()


def foreign(place: Path, run: Path) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.txt").write_text("years of work")


def damaged_card(place: Path, run: Path) -> None:
    shutil.copytree(run / "teacher", place / "teacher")
    (place / "teacher" / "model.json").write_text("{")


class Case(NamedTuple):
    """command: options alone are those of `run tiny.yaml`; says: a part of what stderr says."""

    command: str
    says: str
    prepare: Prepare = nothing


CASES = {
    # the recipe
    "unknown key": Case(
        "run bad.yaml",
        'student.modle (line 3): unknown key. Did you mean "model"?',
        text("bad.yaml", "student:\n  model: mlp\n  modle: 1"),
    ),
    "unknown nested key": Case("--set student.train.lrr=1", 'unknown key. Did you mean "lr"?'),
    "wrong type": Case("--set seeds=many", "seeds (line 2): expected a whole number, got 'many'."),
    "missing section": Case("run bad.yaml", "student: missing", text("bad.yaml", "objective: [cross_entropy]")),
    "no such recipe": Case("run tiney.yaml", 'Error: tiney.yaml: there is no such file. Did you mean "tiny.yaml"?\n'),
    "recipe is a folder": Case("run .", "Error: . is a folder; expected a YAML file.\n"),
    "recipe not YAML": Case(
        "run bad.yaml", "Error: bad.yaml: line 2: this is not YAML", text("bad.yaml", "a: [\nb: }")
    ),
    "recipe empty": Case("run bad.yaml", "expected keys such as data:", text("bad.yaml", "\n")),
    "recipe binary": Case(
        "run bad.yaml",
        "cannot be read as UTF-8",
        lambda place, run: (place / "bad.yaml").write_bytes(b"\xff\xfe\x00") and None,
    ),
    "negative rate": Case("--set student.train.lr=-1", "student.train.lr (line 5): expected more than 0, got -1."),
    "unknown model": Case("--set student.model=mpl", 'student.model.mpl (line 5): unknown key. Did you mean "mlp"?'),
    "unknown term": Case("--set objective=[soft_label]", 'unknown key. Did you mean "soft_labels"?'),
    "unknown control": Case("--set controls=[label]", "expected 'labels', 'smoothing'"),
    "two models": Case("--set 'student.model={mlp: {}, cnn: {}}'", "student.model (line 5): expected exactly one of "),
    "term without teacher": Case("--set teacher=null", "soft_labels needs a teacher, but there is no teacher section."),
    "teacher of nowhere": Case("--set 'teacher={}'", "expected model (to train it here) or source"),
    "stage from a later one": Case(
        "run bad.yaml",
        "stages.0.from: expected an earlier stage (there is none) or scratch, got 'b'",
        text(
            "bad.yaml",
            "student: {model: mlp}\nstages:\n- {name: a, from: b, objective: [cross_entropy]}\n"
            "- {name: b, objective: [cross_entropy]}",
        ),
    ),
    "key twice": Case(
        "run bad.yaml", "seeds (line 2): given twice; first on line 1.", text("bad.yaml", "seeds: 1\nseeds: 2")
    ),
    "set without =": Case("--set seeds", "--set seeds: expected key.key=value"),
    "set of no term": Case(
        "--set objective.kl.weight=1", "objective has no 'kl'; there is soft_labels, cross_entropy."
    ),
    "set no YAML": Case("--set seeds=[", "--set seeds=[: the value is not YAML."),
    # devices and folders
    "no such device": Case("--device quantum", "--device expects auto, cpu, cuda or mps, got 'quantum'."),
    "device is absent": Case("--device cuda", "There is no device 'cuda' on this machine"),
    "out exists": Case("--out thesis", "thesis exists already. Use --resume", foreign),
    "out is a file": Case("--out tiny.yaml", "tiny.yaml is a file; --out expects a folder."),
    "resume of nothing": Case("--resume", "There is no run of this recipe in runs/ to resume"),
    "resume of a foreign folder": Case("--out thesis --resume", "thesis is not a run folder", foreign),
    "resume with another recipe": Case(
        "--set student.train.lr=0.5 --set export.int8=true --out {run} --resume",
        "made by another recipe (different: student.train.lr)",
    ),
    "force on a foreign folder": Case("--out thesis --force", "so --force does not delete it", foreign),
    # data
    "no such source": Case("--set data.source=digit", 'it is "digit". Did you mean "digits"?'),
    "no such folder": Case("--set data.source=folder:photos", 'there is no folder "photos".'),
    "a path without its kind": Case("--set data.source=photos", 'write "folder:photos"', photos),
    "class without pictures": Case("--set data.source=folder:photos", 'class "owl" has no picture', no_picture),
    "corrupt picture": Case("--set data.source=folder:photos", "1 picture cannot be read: photos/cat/1.png", corrupt),
    "one class": Case("--set data.source=folder:photos", "two classes are needed at least", one_class),
    "too few to split": Case(
        "--set data.source=folder:photos", "each class needs 3 labelled training samples at least", two_each
    ),
    "validation takes all": Case("--set data.validation=1", "data.validation (line 3): expected less than 1, got 1."),
    "idx files missing": Case("--set data.source=idx:.", 'the file "train-images-idx3-ubyte"'),
    "idx truncated": Case("--set data.source=idx:.", "download the file again", idx(cut=5)),
    "idx of another magic": Case("--set data.source=idx:.", "the magic number must be 2051", idx(magic=0x801)),
    "more labels than pictures": Case("--set data.source=idx:.", "has 6 pictures, but", idx(labels=7)),
    "no parquet": Case("--set data.source=parquet:tiny.yaml", "tiny.yaml: cannot be read as a parquet file"),
    "null image": Case("--set data.source=parquet:t.parquet", "t.parquet row 8: there are no bytes in it", null_image),
    "too many labels asked": Case("--set data.labels_per_class=5000", "data.labels_per_class is 5000, but class"),
    "unknown class": Case("--set data.classes=[1,eleven]", 'digits has no class "eleven"'),
    "variable not set": Case("--set data.source=folder:$NO_SUCH_PLACE", "environment variable NO_SUCH_PLACE"),
    "size of nothing": Case("--set data.size=-3", "data.size (line 3): expected 1 or more, or a list, got -3."),
    # models
    "picture too small": Case("--set student.model=lenet5", "lenet5 expects pictures"),
    "too deep": Case("--set 'student.model={cnn: {depth: 6}}'", "of at least 64 x 64 pixels"),
    "larger than memory": Case(
        "--set student.model.mlp.hidden=[900000000000]", "mlp(hidden=[900000000000]) cannot be built"
    ),
    "normalise of another length": Case(
        "--set 'student.normalise={mean: [0.5], std: [0.5, 1]}'", "normalise expects a mean and a positive"
    ),
    "teacher's run is missing": Case("--set 'teacher={source: run:runs/gone}'", "runs/gone holds no model.json"),
    "teacher of other classes": Case(
        "--set data.classes=[1,2] --set 'teacher={source: run:{run}}'",
        "was made for samples [1, 8, 8] of the classes 0, 1, 2",
    ),
    "teacher's card is damaged": Case(
        "--set 'teacher={source: run:teacher}'", "teacher/model.json is not readable JSON", damaged_card
    ),
    "weights of another architecture": Case(
        "--set teacher.source=file:{run}/student/model.safetensors", "the model expects [32, 64]"
    ),
    "weights that are a pickle": Case(
        "--set teacher.source=file:weights.safetensors",
        "weights.safetensors is not a readable safetensors file",
        pickled,
    ),
    "weights missing": Case("--set student.source=file:gone.safetensors", "There is no weight file gone.safetensors."),
    # the other commands
    "predict without bundle": Case("predict gone x.png", "There is no folder gone"),
    "predict with a foreign folder": Case("predict thesis x.png", "thesis is not an export folder", foreign),
    "evaluate unfinished": Case(
        "evaluate half",
        "the run is not finished; go on with: limbeck run half/recipe.yaml --out half --resume",
        unfinished,
    ),
    "evaluate nothing": Case("evaluate thesis", "thesis is not an export folder", foreign),
    "evaluate on nothing": Case("evaluate {run} --data folder:gone", 'there is no folder "gone"'),
    "evaluate on other classes": Case(
        "evaluate {run} --data folder:photos", "has the class 'cat', which the model does not know", photos
    ),
    "evaluate a bundle on nothing": Case("evaluate {run}/export", "name some with --data"),
    "export unfinished": Case("export half", "half has no report.json", unfinished),
    "report of nothing": Case("report thesis", "thesis has no report.json", foreign),
    "init without folder": Case("init photos", "There is no folder photos"),
    "init on an empty folder": Case("init thesis", "thesis has 0 folders with pictures", foreign),
    "init on one class": Case("init photos", "photos has 1 folder with pictures; expected at least 2", one_class),
    "init onto a file": Case("init photos --out tiny.yaml", "tiny.yaml exists already; use --force", photos),
    "unknown command": Case("rnu tiny.yaml", "No such command 'rnu'. Did you mean 'run'?"),
    "unknown option": Case("--outt x", "No such option: --outt"),
    "argument missing": Case("predict", "Missing argument"),
}


def listing(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_user_mistake(name, call, tiny, finished_run):
    case = CASES[name]
    case.prepare(tiny.parent, finished_run)
    before, folders = listing(tiny.parent), set(tiny.parent.rglob("*"))

    command = case.command if case.command[:2] != "--" else f"run tiny.yaml {case.command}"
    answer = call(*shlex.split(command.replace("{run}", str(finished_run))))

    assert answer.code == 2
    assert answer.err.startswith("Error: ")
    assert case.says in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert listing(tiny.parent) == before
    assert set(tiny.parent.rglob("*")) == folders


def test_thirty_or_more():
    assert len(CASES) >= 60


def test_all_mistakes_of_a_recipe_at_once(call, tiny):
    answer = call("run", tiny, "--set", "seeds=0", "--set", "student.train.lr=x", "--set", "data.views=0")

    assert answer.code == 2
    assert answer.err == (
        f"Error: {tiny}: 3 mistakes\n"
        "  seeds (line 2): expected 1 or more, got 0.\n"
        "  data.views (line 3): expected 1 or more, or 'fresh', got 0.\n"
        "  student.train.lr (line 5): expected a number, got 'x'.\n"
    )


@pytest.mark.parametrize(
    ("file", "says"),
    [("gone.png", "gone.png: there is no such file"), ("tiny.yaml", "is not a picture"), (".", ". is a folder; name")],
)
def test_predict_answers_for_the_others(call, tiny, finished_run, file, says):
    picture(tiny.parent / "good.png")

    answer = call("predict", finished_run, file, "good.png")

    assert answer.code == 2
    assert answer.err.startswith(f"Error: {file}")
    assert says in answer.err
    first, second = answer.out.splitlines()
    assert says in first
    assert '"class"' in second


QUICK = ("--set", "seeds=1", "--set", "export.onnx=false", "--set", "student.train.steps=5")


class Full:
    """A disk that is full from the n-th write on."""

    def __init__(self, writes: int) -> None:
        self.left = writes
        self.sync = os.fsync

    def __call__(self, file: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.sync(file)


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("writes", [0, 3, 25])
def test_full_disk_leaves_a_run_that_goes_on(call, tiny, monkeypatch, writes):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Full(writes))
        answer = call("run", tiny, *QUICK, "--out", "out")

    assert answer.code == 1
    assert answer.out == ""
    assert "Error: The disk is full: out/" in answer.err
    assert "Traceback" not in answer.err
    assert not list(tiny.parent.rglob("*.partial"))
    assert not (tiny.parent / "out" / "report.json").exists()

    again = call("run", tiny, *QUICK, "--out", "out", "--resume")
    assert (again.code, again.out) == (0, "out/report.html\n")


def test_full_disk_leaves_no_recipe_behind(call, tiny, monkeypatch):
    photos(tiny.parent, tiny)
    monkeypatch.setattr(os, "fsync", Full(0))
    before = listing(tiny.parent)

    answer = call("init", "photos")

    assert answer.code == 1
    assert answer.err.startswith("Error: The disk is full: photos.yaml could not be written.")
    assert listing(tiny.parent) == before


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, below: str) -> None:
    """Let no folder be made at a place; works for root too."""
    make = Path.mkdir

    def mkdir(self: Path, *given: object, **named: object) -> None:
        if str(self).startswith(below):
            raise OSError(number, os.strerror(number), str(self))
        make(self, *given, **named)

    monkeypatch.setattr(Path, "mkdir", mkdir)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_folder_that_cannot_be_written(call, tiny, monkeypatch, number):
    refuse(monkeypatch, number, "locked")

    answer = call("run", tiny, *QUICK, "--out", "locked/run")

    assert answer.code == 1
    assert answer.err == (
        f"Error: locked/run cannot be written ({os.strerror(number)}); choose another folder with --out.\n"
    )
    assert listing(tiny.parent) == {"tiny.yaml": tiny.read_bytes()}


def test_folder_below_a_file(call, tiny):
    answer = call("run", tiny, *QUICK, "--out", "tiny.yaml/x")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("Error: tiny.yaml/x cannot be written (Not a directory)")
    assert [path.name for path in tiny.parent.iterdir()] == ["tiny.yaml"]


def test_file_that_cannot_be_used(call, tiny, monkeypatch):
    def refuse(self: Path, *given: object, **named: object) -> str:
        raise OSError(errno.EIO, "Input/output error", str(self))

    monkeypatch.setattr("limbeck.run.result.read_report", refuse)

    answer = call("report", "runs/x")

    assert (answer.code, answer.err) == (1, "Error: runs/x cannot be used: Input/output error.\n")


@pytest.mark.usefixtures("quick_page")
def test_file_that_cannot_be_used_in_a_run(call, tiny, monkeypatch):
    def refuse(*given: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "out/x")

    monkeypatch.setattr("limbeck.run.pipeline.write_pages", refuse)

    answer = call("run", tiny, *QUICK, "--out", "out")

    assert answer.code == 1
    says = "Error: out/x cannot be used: Input/output error. Then go on with: limbeck run out/recipe.yaml"
    assert answer.err.splitlines()[-1] == f"{says} --out out --resume"


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("rnu", 2, "Error: No such command 'rnu'. Did you mean 'run'? See limbeck --help."),
        ("predict gone x.png", 2, "Error: There is no folder gone"),
    ],
)
def test_as_a_process(tiny, command, code, says):
    program = [sys.executable, "-m", "limbeck", *command.split()]
    answer = subprocess.run(program, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})

    assert (answer.returncode, answer.stdout) == (code, "")
    assert answer.stderr.startswith(says)
    assert "Traceback" not in answer.stderr
    assert [path.name for path in tiny.parent.iterdir()] == ["tiny.yaml"]
