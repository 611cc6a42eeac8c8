"""Hinton, Vinyals and Dean's MNIST experiment (2015, section 3). `python benchmarks/hinton_mnist.py [select|measure]`.

select: every candidate setting on 55,000 training digits, judged by the errors on the other 5,000; no test digit is
read. measure: the chosen settings on all 60,000, five seeds, errors of the 10,000 test digits; writes a dated page to
benchmarks/results/. LIMBECK_DATA holds mnist/. Finished fits are kept in runs/hinton and not trained again.

Shapes: N samples, C = 10 classes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from hinton_page import Measured, write_page
from torch import Tensor

from limbeck.data.affine import Rotate, Scale
from limbeck.data.dataset import Data
from limbeck.data.views import Shift, Views
from limbeck.knowledge.recall import remember
from limbeck.models import MLP
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.weights import load_weights, save_weights
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.run.plan import expand
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.loop import Budget, Lesson, fit, predict
from limbeck.train.settings import Settings

WORK = Path("runs/hinton")
CLASSES, SHAPE = 10, (1, 28, 28)
SEEDS, SWEEP_SEEDS, JUDGING_SEEDS = (0, 1, 2, 3, 4), (0, 1), (1, 2, 3)
BIAS_HEATS, BIAS_HEAT = (1.0, 2.0, 4.0), 2.0
WITHOUT_THREE, PAIR = tuple(digit for digit in range(CLASSES) if digit != 3), (7, 8)
TEMPERATURES, UNITS = (1.0, 2.5, 4.0, 8.0, 20.0), (300, 30)


@dataclass(frozen=True)
class Fit:
    """How a net of two hidden layers is trained.

    normalise: inputs less their mean, over their deviation; shift: largest jitter in pixels; rotate: largest turn in
    degrees; scale: largest change of size; smoothing: of the labels.
    """

    units: int
    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    dropout: float = 0.0
    input_dropout: float = 0.0
    shift: int = 0
    rotate: float = 0.0
    scale: float = 0.0
    smoothing: float = 0.0
    normalise: bool = False
    temperature: float | None = None  # soft labels of the teacher at this temperature, and no other term

    def views(self, seed: int) -> Views | None:
        """Return the changed pictures that training shows, a new one each time; None for the untouched ones."""
        changes = [Rotate(self.rotate)] if self.rotate else []
        changes += [Scale(self.scale)] if self.scale else []
        changes += [Shift(self.shift)] if self.shift else []
        return Views(changes, seed=seed, count="fresh") if changes else None

    def net(self) -> MLP:
        """Return the net with new weights."""
        return MLP(SHAPE, CLASSES, hidden=(self.units, self.units), dropout=self.dropout,
                   input_dropout=self.input_dropout)  # fmt: skip


TEACHERS = {
    "shift alone": Fit(1200, 60, 0.001, 0.1, 128, dropout=0.3, shift=2),
    "shift, turn and scale": Fit(1200, 60, 0.0015, 0.05, 256, dropout=0.25, shift=2, rotate=10, scale=0.1),
    "more of both, twice as long": Fit(1200, 120, 0.0015, 0.05, 256, dropout=0.25, shift=2, rotate=12, scale=0.12),
}
ALONE = {
    "weight decay 0.01": Fit(800, 30, 0.002, 0.01, 128),
    "weight decay 0.5": Fit(800, 30, 0.001, 0.5, 128),
}
SOFT = {
    "40 epochs": Fit(800, 40, 0.002, 0.01, 256, temperature=20),
    "80 epochs": Fit(800, 80, 0.003, 0.0, 256, temperature=20),
    "50 epochs, inputs normalised": Fit(800, 50, 0.002, 0.0, 256, normalise=True, temperature=20),
}
TEACHER = TEACHERS["more of both, twice as long"]
STUDENT, TAUGHT = ALONE["weight decay 0.5"], SOFT["50 epochs, inputs normalised"]


@dataclass(frozen=True)
class Bench:
    """The digits and where fits are kept. whole: whether all 60,000 train; else 5,000 are left to judge by."""

    data: Data
    work: Path
    whole: bool

    @property
    def rows(self) -> Tensor:
        """The training rows of the pool."""
        return torch.cat([self.data.train, self.data.validation]) if self.whole else self.data.train

    def train(self, how: Fit, seed: int, teacher: Teacher | None = None, keep: Sequence[int] = ()) -> Adapted:
        """Return a trained net; keep: digits whose pictures are shown, all by default; the last epoch counts."""
        torch.manual_seed(seed)
        normalise = Normalise(*self.data.statistics()) if how.normalise else None
        model = Adapted(how.net(), classes=CLASSES, normalise=normalise)
        told = json.dumps([asdict(how), seed, list(keep), self.whole, teacher and teacher.fingerprint])
        folder = self.work / f"{abs(hash_of(told)):016x}"
        if (folder / "model.json").is_file():
            load_weights(model.net, folder / "model.safetensors")
            return model.eval()
        rows, labels = self.rows, self.data.pool.labels
        if keep:
            rows = rows[torch.isin(labels[rows], torch.tensor(keep))]
        settings = Settings(epochs=how.epochs, batch_size=how.batch_size, lr=how.lr, weight_decay=how.weight_decay)
        terms = CrossEntropy(how.smoothing) if how.temperature is None else SoftLabels(temperature=how.temperature)
        budget = Budget(settings.total_steps(len(rows)), settings.steps_per_epoch(len(rows)) * how.epochs)
        lesson = Lesson(self.data.pool, rows, rows[:0], labels, how.views(seed))
        started = time.monotonic()
        fit(model, Objective([(1.0, terms)]), lesson, settings, budget,
            teacher=teacher, seed=seed, checkpoint=folder / "checkpoint.safetensors")  # fmt: skip
        save_weights(folder, model.net, {"fit": asdict(how), "seconds": time.monotonic() - started})
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
        return model

    def speaking(self, model: Adapted) -> Teacher:
        """Return a teacher that is asked once for every digit."""
        return remember(ModuleTeacher(model), self.data.pool, None)

    def correct(self, model: Adapted, bias: Tensor | None = None) -> np.ndarray:
        """Return which of the judging digits (test, or the 5,000) are right, 0.0 or 1.0 [N]; bias: added [C]."""
        samples, rows = (self.data.test, None) if self.whole else (self.data.pool, self.data.validation)
        labels = samples.labels if rows is None else samples.labels[rows]
        logits = predict(model, samples, rows) + (0 if bias is None else bias)
        right: np.ndarray = (logits.argmax(1) == labels).double().numpy()
        return right

    @staticmethod
    def errors(right: np.ndarray) -> int:
        """Return how many of the judging digits are wrong."""
        return int((1 - right).sum())

    def bias_for(self, teacher: Adapted, keep: Sequence[int], heat: float) -> Tensor:
        """Return what to add to the logits [C] of a student that saw only some digits.

        The transfer set holds a class as often as the teacher's mean mass on it says, at temperature `heat`; where the
        student is used, every class is as likely as any other. The bias is the logarithm of the second over the first:
        no test digit and no true label goes into it.
        """
        labels = self.data.pool.labels[self.rows]
        rows = self.rows[torch.isin(labels, torch.tensor(keep))]
        mass = torch.softmax(predict(teacher, self.data.pool, rows) / heat, dim=1).mean(0)
        return torch.log((1 / CLASSES) / mass)


def hash_of(text: str) -> int:
    """Return a 64-bit number that is the same in every process."""
    from limbeck.data.hashing import hash64_all

    return int(hash64_all([text])[0])


def select(bench: Bench) -> dict[str, dict[str, float]]:
    """Return the errors on the 5,000 of every candidate, one seed; students learn from the chosen teacher.

    A teacher is chosen by what its students reach, in the mean of some seeds: its own errors say little about that.
    """
    found: dict[str, dict[str, float]] = {}
    chosen = bench.train(TEACHER, 0)
    voice = bench.speaking(chosen)
    for part, candidates, asked in (
        ("teacher", TEACHERS, None), ("student alone", ALONE, None), ("student, T = 20", SOFT, voice),
    ):  # fmt: skip
        found[part] = {
            name: bench.errors(bench.correct(bench.train(how, 0, asked))) for name, how in candidates.items()
        }
    part = f"student, T = 20, by teacher, mean of seeds {', '.join(map(str, JUDGING_SEEDS))}"
    found[part] = {}
    for name, how in list(TEACHERS.items())[1:]:  # the first one is far behind
        said = bench.speaking(bench.train(how, 0))
        errors = [bench.errors(bench.correct(bench.train(TAUGHT, seed, said))) for seed in JUDGING_SEEDS]
        found[part][name] = round(sum(errors) / len(errors), 1)
    for part, keep in (("no threes, bias", WITHOUT_THREE), ("only 7 and 8, bias", PAIR)):
        student = bench.train(TAUGHT, 0, voice, keep)
        biases = {f"mass at temperature {heat:g}": bench.bias_for(chosen, keep, heat) for heat in BIAS_HEATS}
        found[part] = {name: bench.errors(bench.correct(student, bias)) for name, bias in biases.items()}
    (bench.work / "selection.json").write_text(json.dumps(found))
    return found


def measure(bench: Bench) -> Measured:
    """Train everything and return which test digits are right, by name: [S, N]."""
    teachers = {seed: bench.train(TEACHER, seed) for seed in SEEDS}
    voices = {seed: bench.speaking(model) for seed, model in teachers.items()}

    def over(seeds: Sequence[int], make: Callable[[int], np.ndarray], name: str) -> np.ndarray:
        right = np.stack([make(seed) for seed in seeds])
        print(name, [int(n) for n in (1 - right).sum(1)], flush=True)
        return right

    def student(how: Fit, keep: Sequence[int] = (), raised: bool = False) -> Callable[[int], np.ndarray]:
        def make(seed: int) -> np.ndarray:
            model = bench.train(how, seed, voices[seed] if how.temperature else None, keep)
            return bench.correct(model, bench.bias_for(teachers[seed], keep, BIAS_HEAT) if raised else None)

        return make

    main = {
        "teacher": over(SEEDS, lambda seed: bench.correct(teachers[seed]), "teacher"),
        "student alone": over(SEEDS, student(STUDENT), "alone"),
        "student, T = 20": over(SEEDS, student(TAUGHT), "T = 20"),
        "student alone, smoothing 0.1": over(SEEDS, student(replace(STUDENT, smoothing=0.1)), "smoothing"),
    }
    partial = {
        "no threes": over(SEEDS, student(TAUGHT, WITHOUT_THREE), "no threes"),
        "no threes, bias": over(SEEDS, student(TAUGHT, WITHOUT_THREE, True), "no threes, bias"),
        "only 7 and 8": over(SEEDS, student(TAUGHT, PAIR), "only 7 and 8"),
        "only 7 and 8, bias": over(SEEDS, student(TAUGHT, PAIR, True), "only 7 and 8, bias"),
    }
    sweep = {
        (units, heat): over(
            SWEEP_SEEDS, student(replace(TAUGHT, units=units, temperature=heat, epochs=30)), f"{units} T {heat}"
        )
        for units in UNITS
        for heat in TEMPERATURES
    }
    return Measured(main, partial, sweep, bench.data.test.labels.numpy(), SEEDS, SWEEP_SEEDS)


def main() -> None:
    """Select, or measure and write the page."""
    parser = argparse.ArgumentParser(description="Hinton's MNIST experiment.")
    parser.add_argument("what", choices=["select", "measure"], nargs="?", default="measure")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("medium")  # bfloat16 products with float32 sums, where the processor has them
    data = Data.open(expand("idx:$LIMBECK_DATA/mnist"), validation=5_000 / 60_000)
    WORK.mkdir(parents=True, exist_ok=True)
    if given.what == "select":
        select(Bench(data, WORK, whole=False))
        return
    found = measure(Bench(data, WORK, whole=True))
    selection = json.loads((WORK / "selection.json").read_text()) if (WORK / "selection.json").is_file() else None
    settings = {"teacher": TEACHER, "student alone": STUDENT, "student, T = 20": TAUGHT}
    told = {name: asdict(how) for name, how in settings.items()}
    print(write_page(found, told, selection, datetime.now(UTC).date().isoformat()))


if __name__ == "__main__":
    main()
