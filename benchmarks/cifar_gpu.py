"""How fast does a student reach 94 % on CIFAR-10 with one GPU? `python benchmarks/cifar_gpu.py [--data DIR]`.

A wide residual teacher, trained first and kept; its answers for each of `--views` shifted and mirrored views of every
picture; then students of 10, 15, 20 and 30 epochs until the mean of the seeds is at least 94 %. Told are the seconds
from the call until the student is saved, those of asking the teacher, pictures a second and the share of peak.

Trained on the first 40,000 of the training pictures; the other 10,000 are the test, and the official test pictures,
which are at hand as JPEG, are read beside. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import limbeck
from limbeck.data.combine import take
from limbeck.data.contents import AS_FOUND
from limbeck.data.dataset import Data
from limbeck.data.parquet import read_parquet
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.models import WRN, ResNet
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.weights import load_weights, save_weights
from limbeck.models.work import multiply_adds
from limbeck.objectives import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.run.device import pick_device
from limbeck.run.jobs import FIT
from limbeck.run.reload import load_model
from limbeck.train.loop import Budget, Lesson, fit, predict
from limbeck.train.settings import Settings

RESULTS = Path(__file__).parent / "results"
SHAPE, CLASSES, TRAIN = (3, 32, 32), 10, 40_000
WANTED, EPOCHS = 0.94, (10, 15, 20, 30)
CHANGES = (Shift(4), Flip())
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bf16 operations a second without sparsity, as published


@dataclass(frozen=True)
class Found:
    """What students of some epochs reached, by seed. seconds: to the saved student; asking: of them, for knowledge."""

    epochs: int
    accuracy: list[float]
    on_jpeg: list[float]
    seconds: list[float]
    asking: list[float]

    @property
    def training(self) -> float:
        """Median seconds of the training alone."""
        return statistics.median(whole - part for whole, part in zip(self.seconds, self.asking, strict=True))


def main() -> None:
    """Train the teacher, then longer and longer students, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="folder with cifar10/, or $LIMBECK_DATA")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--teacher-epochs", type=int, default=40)
    parser.add_argument("--epochs", type=int, nargs="*", default=EPOCHS, help="of the students, tried in this order")
    parser.add_argument("--samples", type=int, default=TRAIN, help="training pictures, fewer for a trial")
    parser.add_argument("--work", type=Path, default=Path("runs/cifar_gpu"), help="where the teacher is kept")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not options.data:
        parser.error("name the folder that has cifar10/ with --data or $LIMBECK_DATA")
    device = pick_device(options.device)
    data, jpeg = opened(Path(options.data) / "cifar10", options.samples)
    teacher = taught(data, options, device)
    found = []
    for epochs in options.epochs:
        found.append(students(data, jpeg, teacher, epochs, options))
        print(found[-1], flush=True)
        if statistics.mean(found[-1].accuracy) >= WANTED:
            break
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{datetime.now(UTC).date()}-cifar-gpu.md"
    path.write_text("\n".join(page(found, data, teacher, options, device)) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


def opened(folder: Path, samples: int) -> tuple[Data, Samples]:
    """Return the data to train on and to test on, and the official test pictures; few of all in a trial."""
    pictures = read_parquet(folder / "train.parquet", AS_FOUND).train
    train, test = (pictures.inputs[rows] for rows in (slice(0, samples), slice(TRAIN, TRAIN + samples)))
    labels = pictures.labels
    data = Data.from_arrays(
        (train, labels[:samples]), (test, labels[TRAIN : TRAIN + samples]), validation=max(0.001, 20 / samples)
    )
    jpeg = read_parquet(folder / "test-jpeg.parquet", AS_FOUND).train
    return data, take(jpeg, np.arange(min(samples, len(jpeg))))


def taught(data: Data, options: argparse.Namespace, device: torch.device) -> Adapted:
    """Return the teacher, trained on ever new views unless it is kept from before."""
    folder = options.work / f"wrn-{options.teacher_epochs}-{options.samples}"
    model = Adapted(WRN(SHAPE, CLASSES, depth=16, width=8), classes=CLASSES, normalise=Normalise(*data.statistics()))
    if (folder / "model.json").is_file():
        load_weights(model.net, folder / "model.safetensors")
        return model.eval()
    settings = Settings(epochs=options.teacher_epochs, lr=0.003, weight_decay=0.05)
    lesson = Lesson(data.pool, data.train, data.validation, data.pool.labels, Views(CHANGES, seed=0, count="fresh"))
    per_epoch = settings.steps_per_epoch(len(data.train))
    budget = Budget(settings.total_steps(len(data.train)), per_epoch * options.teacher_epochs)
    fit(model, Objective([(1.0, CrossEntropy(0.1))]), lesson, settings, budget, device=device)
    save_weights(folder, model.cpu().net, {})
    return model.eval()


def student_net() -> ResNet:
    """Return a student with new weights."""
    return ResNet(SHAPE, CLASSES, depth=14, width=64)


def students(data: Data, jpeg: Samples, teacher: Adapted, epochs: int, options: argparse.Namespace) -> Found:
    """Distil once for each seed, with no answers kept from before."""
    mean, std = data.statistics()
    found = Found(epochs, [], [], [], [])
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as place:
            os.environ["LIMBECK_CACHE"] = str(Path(place) / "cache")
            began = time.time()
            result = limbeck.distill(
                teacher.net, student_net, data, seeds=1, seed=seed,
                train=Settings(epochs=epochs, batch_size=512, lr=0.004, weight_decay=0.05), augment=CHANGES,
                views=options.views, controls=(), teacher_normalise=(tuple(mean), tuple(std)), export=False,
                out=Path(place) / "run", device=options.device, progress=False,
            )  # fmt: skip
            saved = next((Path(place) / "run" / "student").rglob(f"seeds/{seed}/{FIT}"))
            found.seconds.append(saved.stat().st_mtime - began)
            found.asking.append(result.report["cost"]["seconds"]["knowledge"])
            found.accuracy.append(result.report["models"]["student"]["metrics"]["accuracy"]["mean"])
            student = load_model(Path(place) / "run" / "student", student_net())
            found.on_jpeg.append(float((predict(student, jpeg).argmax(1) == jpeg.labels).double().mean()))
    return found


def page(
    found: list[Found], data: Data, teacher: Adapted, options: argparse.Namespace, device: torch.device
) -> Iterator[str]:
    """Yield the lines of the page."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    work = multiply_adds(Adapted(student_net(), classes=CLASSES), torch.zeros(2, *SHAPE))
    peak = next((peak for name, peak in PEAK.items() if name in gpu), None)
    right = (predict(teacher, data.test).argmax(1) == data.test.labels).double().mean()
    yield from (f"# CIFAR-10 on one GPU, {datetime.now(UTC).date()}", "")
    yield f"`python benchmarks/cifar_gpu.py --views {options.views} --seeds {options.seeds}`; {gpu}; limbeck "
    yield f"{limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}. {len(data.train):,} "
    yield f"training pictures, {len(data.test):,} others to test on; the teacher is right on {float(right):.2%}."
    yield from ("", "| epochs | accuracy | on the official test as JPEG | seconds | asking | pictures/s | of peak |")
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for one in found:
        speed = one.epochs * len(data.train) / one.training
        share = f"{speed * 6 * work / peak:.1%}" if peak else "unknown"
        yield (
            f"| {one.epochs} | {several(one.accuracy)} | {several(one.on_jpeg)} | "
            f"{statistics.median(one.seconds):.1f} | {statistics.median(one.asking):.1f} | {speed:,.0f} | {share} |"
        )
    yield from (
        "",
        "Seconds: medians, from the call until the student is saved, asking the teacher included. Of peak: ",
    )
    yield "three forward passes' arithmetic for each picture, over what the GPU's maker names for bf16. Published, on "
    yield "an A100, on all 50,000 pictures and the official test: 94 % in 2.6 to 3.8 s (airbench94)."


def several(values: list[float]) -> str:
    """Return the mean and every value."""
    return f"{statistics.mean(values):.2%} ({', '.join(f'{one:.2%}' for one in values)})"


if __name__ == "__main__":
    main()
