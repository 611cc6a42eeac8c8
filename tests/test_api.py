"""The Python door: own modules, own data, own terms, the same run as the command line's."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import limbeck
from limbeck.cli.app import main as command_line  # noqa: F401  the fixture `call` runs it
from limbeck.data.pictures import decode
from limbeck.export.predict import predict


class Pair(nn.Module):
    """Twelve lines of a user: logits and features as a tuple."""

    def __init__(self, classes: int = 3, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(width), nn.ReLU())
        self.head = nn.Linear(width, classes)
        self(torch.zeros(2, 6))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x.flatten(1))
        return self.head(features), features


class Named(Pair):
    """The same, as a dict."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        logits, features = super().forward(x)
        return {"features": features, "logits": logits}


@pytest.fixture(scope="module")
def vectors() -> limbeck.Data:
    random = np.random.default_rng(0)
    labels = np.arange(240) % 3
    inputs = random.normal(size=(240, 6)).astype(np.float32)
    inputs[np.arange(240), labels] += 2
    return limbeck.Data.from_arrays((inputs[:180], labels[:180]), (inputs[180:], labels[180:]), classes=("a", "b", "c"))


@pytest.fixture(scope="module")
def teacher(vectors: limbeck.Data) -> nn.Module:
    torch.manual_seed(0)
    net = Pair(width=32)
    batch = vectors.pool.batch(vectors.train)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(batch.inputs)[0], batch.labels).backward()
        optimizer.step()
    return net


QUICK = {"epochs": 1, "seeds": 1, "progress": False, "export": False}


@pytest.fixture(autouse=True)
def _quick(quick_page: None, workplace: Path) -> None:
    """Draw no page and write to a folder of the test's own."""


@pytest.mark.parametrize("student", [Pair, Named, lambda: nn.Linear(6, 3)])
def test_what_a_module_may_return(teacher, vectors, student):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    teacher.train()

    result = limbeck.distill(teacher, student, vectors, **QUICK)

    assert result.folder == Path("runs/distill")
    assert result.verdict["outcome"] in ("helped", "hurt", "equal", "unclear")
    assert result.student(torch.zeros(4, 6)).logits.shape == (4, 3)
    assert not result.student.training
    assert teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_vectors_end_to_end(teacher, vectors):
    result = limbeck.distill(teacher, Pair, vectors, epochs=2, seeds=2, progress=False, out="here")

    again = limbeck.load("here", student=Pair())
    inputs = vectors.test.inputs
    assert torch.equal(again.student(inputs).logits, result.student(inputs).logits)
    with pytest.raises(limbeck.UserError, match=r"limbeck.load\('here', student=Pair\(\.\.\.\)\)"):
        limbeck.load("here").student
    np.save("rows.npy", inputs.numpy())
    lines = list(predict(Path("here"), [Path("rows.npy")]))
    wanted = torch.softmax(result.student(inputs).logits / result.report["models"]["student"]["temperature"], 1)
    assert [line["class"] for line in lines] == ["abc"[column] for column in wanted.argmax(1).tolist()]
    assert [line["probability"] for line in lines] == pytest.approx(wanted.max(1).values.tolist(), abs=1e-4)
    assert result.verdict["sentence"] in unescape(result._repr_html_())
    assert result.report["data"]["source"]
    assert "0x" not in Path("here/recipe.yaml").read_text()


def test_recipe_and_its_run_give_the_same_student(tiny):
    result = limbeck.run_recipe(tiny, ["seeds=1", "export.onnx=false", "controls=[]"], out="r", progress=False)

    inputs = torch.rand(9, 1, 8, 8)
    assert torch.equal(limbeck.load("r").student(inputs).logits, result.student(inputs).logits)


def test_factory_and_instance(teacher, vectors):
    fresh = limbeck.distill(teacher, Pair, vectors, epochs=1, seeds=2, progress=False, export=False)
    given = Pair()
    start = {name: value.clone() for name, value in given.state_dict().items()}
    same = limbeck.distill(teacher, given, vectors, epochs=1, seeds=2, progress=False, export=False)

    note = "Every seed starts from the same given weights"
    assert not any(note in one for one in fresh.verdict["notes"])
    assert any(note in one for one in same.verdict["notes"])
    assert all(torch.equal(value, start[name]) for name, value in given.state_dict().items())


def test_teacher_may_be_a_run(finished_run):
    data = limbeck.Data.open("digits")

    small = limbeck.distill(
        f"run:{finished_run}", lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, **QUICK
    )

    trained = limbeck.load(finished_run).report["models"]["teacher"]
    assert small.report["models"]["teacher"]["checksum"] == trained["checksum"]
    assert small.report["models"]["teacher"]["metrics"] == trained["metrics"]


def test_no_teacher(vectors):
    objective = limbeck.Objective([(1.0, limbeck.CrossEntropy())])

    result = limbeck.distill(None, Pair, vectors, objective=objective, **QUICK)

    assert "teacher" not in result.report["models"]
    assert result.verdict["outcome"] != "helped"  # it is its own control


class Confidence(limbeck.Term):
    """A user's own term: the teacher's top probability times the student's squared logits."""

    needs = frozenset({"logits"})

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = scale
        self.calls = 0

    def forward(self, student: limbeck.Outputs, teacher: limbeck.Knowledge, batch: limbeck.Batch) -> Tensor:
        self.calls += 1
        return self.scale * (teacher.logits.softmax(1).amax(1) * student.logits.pow(2).sum(1)).mean()


def test_term_of_ones_own(teacher, vectors):
    objective = limbeck.Objective([(1.0, limbeck.CrossEntropy()), (0.5, Confidence())])

    result = limbeck.distill(teacher, Pair, vectors, objective=objective, **QUICK)

    lines = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line["parts"]["confidence"] > 0 for line in lines if line["model"] == "student")
    assert "0.5 confidence(scale=0.1)" in result.report["stages"][0]["objective"]


def test_resume_and_force(teacher, vectors):
    first = limbeck.distill(teacher, Pair, vectors, out="x", **QUICK)
    with pytest.raises(limbeck.UserError, match="x exists already"):
        limbeck.distill(teacher, Pair, vectors, out="x", **QUICK)

    assert limbeck.distill(teacher, Pair, vectors, out="x", resume=True, **QUICK).report == first.report
    with pytest.raises(limbeck.UserError, match="made by another recipe .different: student.train.epochs"):
        limbeck.distill(teacher, Pair, vectors, out="x", resume=True, **{**QUICK, "epochs": 2})
    with pytest.raises(limbeck.UserError, match="made by another recipe .different: teacher.sha256"):
        limbeck.distill(Pair(width=32), Pair, vectors, out="x", resume=True, **QUICK)
    limbeck.distill(teacher, Pair, vectors, out="x", force=True, **{**QUICK, "epochs": 2})


def test_resume_with_another_instance(teacher, vectors):
    limbeck.distill(teacher, Pair(), vectors, out="x", **QUICK)

    with pytest.raises(limbeck.UserError, match="made by another recipe .different: student.sha256"):
        limbeck.distill(teacher, Pair(), vectors, out="x", resume=True, **QUICK)


def bad(**given: object) -> dict[str, object]:
    return {"teacher": Pair(), "student": Pair, **given}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (bad(student=3), "student expects a module or a factory without arguments, got int."),
        (bad(student=lambda: 3), "The student's factory returned int; expected a torch.nn.Module."),
        (bad(student=nn.Linear), "student expects a factory without arguments, but calling it failed"),
        (bad(student=lambda: nn.Linear(5, 3)), r"The student cannot take this data, a batch of shape \[4, 6\]"),
        (
            bad(student=lambda: nn.Linear(6, 4)),
            r"logits of shape \[4, 4\]; expected \[batch, 3\] because the data has 3",
        ),
        (bad(student=lambda: nn.Conv2d(6, 3, 1)), "The student cannot take this data"),
        (bad(teacher=Pair), "teacher expects a trained module or the folder of a run, got type."),
        (bad(teacher=Pair(classes=4)), "0 of which could be logits .batch, 3."),
        (bad(teacher="runs/gone"), "runs/gone holds no model.json"),
        (bad(teacher=None), "soft_labels needs probs from the teacher, which gives nothing"),
        (bad(teacher_normalise="imagenet"), "normalisation expects 'data', 'none' or .mean, std., got 'imagenet'"),
        (bad(student_normalise=([0.0], [0.0])), "normalise expects a mean and a positive standard deviation"),
        (bad(controls=("label",)), "controls expects labels, .*, got 'label'. Did you mean \"labels\""),
        (bad(seeds=0), "seeds expects 1 or more, got 0."),
        (bad(epochs=0), "distill: 1 mistake\n  epochs: expected 1 or more, got 0."),
        (bad(train=limbeck.Settings(optimizer="adamww")), "got 'adamww'. Did you mean \"adamw\""),
        (bad(labels_per_class=10**6), "data.labels_per_class is 1000000, but class"),
        (bad(views=0, augment=[limbeck.Flip()]), 'data.views must be "fresh" or a number from 1'),
        (bad(device="quantum"), "--device expects auto, cpu"),
    ],
)
def test_mistakes_leave_nothing_behind(vectors, given, says):
    with pytest.raises(limbeck.UserError, match=says):
        limbeck.distill(data=vectors, progress=False, **given)

    assert list(Path().iterdir()) == []


def test_augmentation_of_pictures_on_vectors(teacher, vectors):
    with pytest.raises(limbeck.UserError, match="shift works on pictures"):
        limbeck.distill(teacher, Pair, vectors, augment=[limbeck.Shift()], **QUICK)

    assert list(Path().iterdir()) == []


def test_convolutions_on_vectors(vectors):
    from limbeck.models import CNN

    with pytest.raises(limbeck.UserError, match="cnn with depth 2 expects pictures"):
        limbeck.distill(None, lambda: CNN((6,), 3), vectors, **QUICK)


MODES = ("RGB", "L", "CMYK", "P", "RGBA", "LA", "1", "I;16")


def awkward(folder: Path, count: int = 300) -> list[Path]:
    """Write pictures of two classes in every mode, size and orientation; the last is broken."""
    random = np.random.default_rng(0)
    for number in range(count):
        name, mode = ("dark", "light")[number % 2], MODES[number // 2 % len(MODES)]
        size = tuple(random.integers(9, 40, 2))
        level = 60 if name == "dark" else 190
        pixels = np.clip(random.normal(level, 40, (*size, 3)), 0, 255).astype(np.uint8)
        image = Image.fromarray(pixels)
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        if mode in ("RGBA", "LA"):
            image.putalpha(Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)))
        (folder / name).mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        suffix = "jpg" if mode in ("RGB", "L", "CMYK") else "png"
        image.save(folder / name / f"{number:02d}.{suffix}", exif=exif)
    (folder / "dark" / "broken.jpg").write_bytes((folder / "dark" / "00.jpg").read_bytes()[:120])
    return sorted(path for path in folder.rglob("*.*") if path.stem != "broken")


class Blurry(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(4 * width, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return self.head(features), features


@pytest.mark.parametrize("resize", ["squash", "pad"])
def test_own_model_and_awkward_pictures(call, resize):
    """Distil, export and predict give what torch gives for the same files."""
    files = awkward(Path("photos"))
    reading = limbeck.ReadOptions(size=(16, 12), corrupt="skip", resize=resize, background="black")
    data = limbeck.Data.open("folder:photos", options=reading)
    train = limbeck.Settings(epochs=3, batch_size=16, lr=0.01)

    result = limbeck.distill(Blurry(8), Blurry, data, train=train, seeds=1, augment=[limbeck.Flip()], progress=False)

    assert "broken.jpg" in " ".join(result.report["data"]["notes"])
    answer = call("predict", result.folder, *files)
    assert (answer.code, answer.err) == (0, "")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    pixels = [decode(file, size=(16, 12), channels="rgb", resize=resize, background="black") for file in files]
    inputs = torch.from_numpy(np.stack(pixels)).float() / 255
    with torch.no_grad():
        logits = result.student(inputs).logits
    wanted = torch.softmax(logits / result.report["models"]["student"]["temperature"], 1)
    assert len(lines) == len(files) == 300
    assert [line["class"] for line in lines] == [data.classes[column] for column in wanted.argmax(1).tolist()]
    assert [line["probability"] for line in lines] == pytest.approx(wanted.max(1).values.tolist(), abs=1e-4)


def test_an_int8_file_is_asked_for(vectors: limbeck.Data, teacher: nn.Module, workplace: Path) -> None:
    result = limbeck.distill(
        teacher, lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), vectors, epochs=1, seeds=1,
        controls=(), int8=True, tolerance=0.5, out="run", progress=False,
    )  # fmt: skip
    assert result.report["export"]["int8"]["file"] == "export/student.int8.onnx"
    assert "int8: true" in result.report["recipe"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"int8": True, "export": False}, "int8=True needs export=True"),
        ({"int8": True, "tolerance": 1.5}, r"tolerance expects a loss of accuracy in 0\.\.1, got 1\.5"),
    ],
)
def test_mistakes_about_int8_are_told(vectors: limbeck.Data, given: dict[str, object], sentence: str) -> None:
    with pytest.raises(limbeck.UserError, match=sentence):
        limbeck.distill(None, Pair, vectors, **given)  # type: ignore[arg-type]
