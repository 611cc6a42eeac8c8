"""Does a teacher make a small student withstand more? `python benchmarks/robust_distillation.py [run|page] --data DIR`.

MNIST within 0.3 and Fashion-MNIST within 8/255 (the largest change of a pixel). A robust teacher and a natural one
teach students of a tenth of its size by ARD, RSLAD and AdaAD; the opponents are adversarial training and TRADES of the
same student, from the same start, with the same steps and search. The figure is accuracy under the worst of PGD, Square
and what PGD makes on the robust teacher, for each test sample. Every fit begins with a few steps on plain labels, alike
for all, without which training within 0.3 may stay where it starts.

`--dataset mnist` or `fashion` in two shells keeps two cores busy. Everything that is finished lies below `--work` and
is read again, a fit that was killed goes on from its checkpoint; `page` writes a dated page of what is finished. A
small look, in a folder of its own:
`--samples 2000 --test 200 --seeds 1 --epochs 12 --restarts 1 --attack-steps 20 --queries 100 --width 4`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import limbeck
from limbeck.evaluate.intervals import rate, two_way
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import Precision, has_matrix_units
from limbeck.objectives import (
    AdaptiveAdversarialDistillation,
    AdversarialCrossEntropy,
    AdversariallyRobustDistillation,
    CrossEntropy,
    RobustSoftLabels,
    Trades,
)
from limbeck.objectives.base import Term
from limbeck.objectives.objective import Objective
from limbeck.robustness.accuracy import attack_accuracy
from limbeck.robustness.attack import Logits, ask
from limbeck.robustness.named import REACH, named_attacks
from limbeck.robustness.pgd import pgd
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings

HERE = Path(__file__).parent
BATCH, RATE = 128, 0.002
WARM = 0.1  # of a fit's steps, on plain labels
PRECISION: Precision = (
    "bf16" if has_matrix_units(torch.device("cpu")) else "fp32"
)  # of training alone; attacks that judge are in fp32


@dataclass(frozen=True)
class Case:
    """A data set and its budget. epsilon, step_size: in pixels of 0..1; steps: of the search in training."""

    title: str
    source: str
    epsilon: float
    step_size: float
    steps: int


@dataclass(frozen=True)
class Look:
    """How large the experiment is. samples, test: pictures; epochs: of a fit; attack_steps, restarts, queries: of the
    attacks that judge; width: of the students."""

    samples: int
    test: int
    seeds: int
    epochs: int
    attack_steps: int
    restarts: int
    queries: int
    width: int


CASES = {
    "mnist": Case("MNIST within 0.3", "idx:{data}/mnist", 0.3, 0.075, 7),
    "fashion": Case("Fashion-MNIST within 8/255", "idx:{data}/fashion-mnist", 8 / 255, 2 / 255, 7),
}
MAKE: Mapping[str, Callable[[Case], Term]] = {
    "labels": lambda case: CrossEntropy(),
    "adversarial": lambda case: AdversarialCrossEntropy(**search(case)),
    "trades": lambda case: Trades(**search(case)),
    "ard": lambda case: AdversariallyRobustDistillation(**search(case)),
    "rslad": lambda case: RobustSoftLabels(**search(case)),
    "adaad": lambda case: AdaptiveAdversarialDistillation(**search(case)),
}
UNDISTILLED, DISTILLED = ("adversarial", "trades"), ("ard", "rslad", "adaad")
TEACHERS = {"robust": "adversarial", "natural": "labels"}


def search(case: Case) -> dict[str, float]:
    return {"epsilon": case.epsilon, "step_size": case.step_size, "steps": case.steps}


def network(width: int) -> Adapted:
    """Two strided convolutions and a hidden layer; width 16 has 167 thousand parameters."""
    net = nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(98 * width, 25 * width // 4), nn.ReLU(), nn.Linear(25 * width // 4, 10),
    )  # fmt: skip
    return Adapted(net, classes=10)


def teacher_width(width: int) -> int:
    """Return the width of a network with ten times the parameters of one of this width."""
    return round(10**0.5 * width)


class Bench:
    """One data set, all of whose fits and figures lie in a folder."""

    def __init__(self, case: Case, look: Look, data: Path, folder: Path) -> None:
        self.case, self.look, self.folder = case, look, folder
        folder.mkdir(parents=True, exist_ok=True)
        found = limbeck.Data.open(case.source.format(data=data), validation=0.01)
        rows = torch.randperm(len(found.train), generator=torch.Generator().manual_seed(0))[: look.samples]
        self.pool, self.rows = found.pool, found.train[rows]
        shown = found.test.batch(torch.arange(look.test))
        assert shown.labels is not None
        self.inputs, self.labels = shown.inputs, shown.labels

    def teacher(self, name: str) -> Adapted:
        return self.fitted(f"teacher-{name}", teacher_width(self.look.width), 1000, TEACHERS[name], None)

    def student(self, method: str, seed: int, teacher: str | None) -> Adapted:
        taught = None if teacher is None else self.teacher(teacher)
        name = f"{method}-{seed}" if teacher is None else f"{method}-{teacher}-{seed}"
        return self.fitted(name, self.look.width, seed, method, taught)

    def fitted(self, name: str, width: int, seed: int, method: str, teacher: Adapted | None) -> Adapted:
        """Return a finished fit of the folder, trained if need be: first a little on plain labels, then by a method."""
        torch.manual_seed(seed)
        model, file = network(width), self.folder / f"{name}.safetensors"
        if file.is_file():
            model.net.load_state_dict(load_file(file))
            return model.eval()
        started = time.monotonic()
        steps = self.look.epochs * len(self.rows) // BATCH
        warm = max(int(WARM * steps), 1)
        self._fit(model, Objective([(1.0, CrossEntropy())]), None, seed, warm, file.with_suffix(".warm"))
        objective = Objective([(1.0, MAKE[method](self.case))])
        asked = ModuleTeacher(teacher, self.inputs[:8]) if teacher is not None else None
        self._fit(model, objective, asked, seed, steps, file.with_suffix(".checkpoint"))
        save_file(model.net.state_dict(), file)
        note(self.folder / f"{name}.seconds", time.monotonic() - started)
        print(f"{self.case.title}: {name} trained in {time.monotonic() - started:.0f} s", flush=True)
        return model.eval()

    def _fit(
        self, model: Adapted, objective: Objective, teacher: ModuleTeacher | None, seed: int, steps: int, file: Path
    ) -> None:
        lesson = Lesson(self.pool, self.rows, self.rows[:0], self.pool.labels)
        settings = Settings(steps=steps, batch_size=BATCH, lr=RATE, precision=PRECISION, compile="never")
        fit(model, objective, lesson, settings, Budget(steps, steps), teacher=teacher, seed=seed, checkpoint=file)

    def judged(self, name: str, model: Adapted) -> dict[str, list[bool]]:
        """Return which test samples a model is right about: "clean", and after each attack on what is left."""
        file = self.folder / f"{name}.json"
        if not file.is_file():
            made, started = self.made(), time.monotonic()
            every = self._withstood(Logits(model), made)
            file.write_text(json.dumps({key: value.tolist() for key, value in every.items()}))
            note(self.folder / f"{name}.judged", time.monotonic() - started)
            rates = ", ".join(f"{key} {100 * float(value.double().mean()):.1f}" for key, value in every.items())
            print(f"{self.case.title}: {name} {rates} ({time.monotonic() - started:.0f} s)", flush=True)
        known: dict[str, list[bool]] = json.loads(file.read_text())
        return known

    def made(self) -> torch.Tensor:
        """Return what PGD makes of the test samples on the robust teacher, [restarts, N, 1, H, W]; made once."""
        file = self.folder / "made-on-the-teacher.safetensors"
        if not file.is_file():
            started, look, source = time.monotonic(), self.look, Logits(self.teacher("robust"))
            budget = {
                "epsilon": self.case.epsilon, "step_size": REACH * self.case.epsilon / look.attack_steps,
                "steps": look.attack_steps,
            }  # fmt: skip
            found = [pgd(source, self.inputs, self.labels, **budget, seed=seed) for seed in range(look.restarts)]
            save_file({"inputs": torch.stack(found)}, file)
            note(file.with_suffix(".judged"), time.monotonic() - started)
        return load_file(file)["inputs"]

    def _withstood(self, model: Logits, made: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return which samples a model is right about, bool [N]: "clean", and after each attack of those that the ones
        before it left."""
        look, found = self.look, {"clean": ask(model, self.inputs).argmax(dim=1) == self.labels}
        right = torch.stack([ask(model, one).argmax(dim=1) == self.labels for one in made]).all(dim=0)
        found["transfer"] = left = found["clean"] & right
        options = {"epsilon": self.case.epsilon, "steps": look.attack_steps, "restarts": look.restarts}
        attacks = named_attacks(["pgd", "square"], **options, queries=look.queries)
        if left.any():
            rest = attack_accuracy(model, self.inputs[left], self.labels[left], attacks=attacks, alone=False)
            found |= {name: left.masked_scatter(left, one) for name, one in rest.withstood.items()}
        return found


def note(file: Path, seconds: float) -> None:
    file.write_text(f"{seconds:.1f}")


def rows_of(seeds: int) -> Iterator[tuple[str, str | None, int]]:
    """Yield method, teacher and seed of every student, those first whose comparison matters most."""
    for seed in range(seeds):
        yield from ((method, None, seed) for method in ("labels", *UNDISTILLED))
        yield from ((method, "robust", seed) for method in DISTILLED)
    for seed in range(seeds):
        yield from ((method, "natural", seed) for method in DISTILLED)


def name_of(method: str, teacher: str | None, seed: int) -> str:
    return f"{method}-{seed}" if teacher is None else f"{method}-{teacher}-{seed}"


def carry_out(bench: Bench) -> None:
    for name in TEACHERS:
        bench.judged(f"teacher-{name}", bench.teacher(name))
    for method, teacher, seed in rows_of(bench.look.seeds):
        bench.judged(name_of(method, teacher, seed), bench.student(method, seed, teacher))


def robust(found: Mapping[str, Sequence[bool]]) -> np.ndarray:
    """Return which samples withstood everything, [N] of 0 and 1."""
    return np.array(list(found.values())).all(axis=0).astype(float)


def table(case: Case, folder: Path, seeds: int) -> Iterator[str]:
    """Yield the lines of a data set's section, of the models that are finished for every seed."""
    kinds = list(dict.fromkeys((method, teacher) for method, teacher, _ in rows_of(seeds)))
    found: dict[tuple[str, str | None], list[dict[str, list[bool]]]] = {}
    for kind in kinds:
        files = [folder / f"{name_of(*kind, seed)}.json" for seed in range(seeds)]
        if all(file.is_file() for file in files):
            found[kind] = [json.loads(file.read_text()) for file in files]
    yield from (f"## {case.title}", "", "| student | clean | worst case | 95 % |", "|---|---|---|---|")
    for name in TEACHERS:
        alone = json.loads((folder / f"teacher-{name}.json").read_text())
        clean, worst = np.mean(alone["clean"]), robust(alone).mean()
        yield f"| the {name} teacher itself | {100 * clean:.1f} | {100 * worst:.1f} | |"
    bits = {kind: np.stack([robust(one) for one in each]) for kind, each in found.items()}
    for (method, teacher), right in bits.items():
        clean, under = np.mean([one["clean"] for one in found[method, teacher]]), rate(right)
        title = method if teacher is None else f"{method}, {teacher} teacher"
        yield f"| {title} | {100 * clean:.1f} | {100 * under.mean:.1f} | {ends(under.low, under.high)} |"
    rivals = {kind: right.mean() for kind, right in bits.items() if kind[0] in UNDISTILLED}
    if not rivals:
        return
    best = max(rivals, key=lambda kind: rivals[kind])
    yield from ("", f"| student | gain over {best[0]}, points | 95 % |", "|---|---|---|")
    for (method, teacher), right in bits.items():
        if teacher is not None:
            gain = two_way(right - bits[best])
            yield f"| {method}, {teacher} teacher | {100 * gain.mean:+.1f} | {ends(gain.low, gain.high)} |"
    yield ""


def ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def write_page(work: Path, look: Look, command: str) -> Path:
    """Write the dated page of what is finished and return its path."""
    date = datetime.now(UTC).date().isoformat()
    path = HERE / "results" / f"{date}-robust-distillation.md"
    files = [file for file in work.rglob("*") if file.suffix in (".seconds", ".judged")]
    minutes = sum(float(file.read_text()) for file in files) / 60
    lines = [
        f"# Robust distillation, {date}", "", "```", command, "```", "",
        f"- {look.samples:,} training pictures, {look.test:,} test pictures, seeds 0 to {look.seeds - 1}, "
        f"{look.epochs} epochs in {PRECISION} after {WARM:.0%} as many steps on plain labels; students of "
        f"{count(look.width):,} parameters, teachers of {count(teacher_width(look.width)):,}.",
        f"- Worst case of PGD ({look.attack_steps} steps, {look.restarts} starts), the same made on the robust "
        f"teacher, and Square ({look.queries:,} queries), for each sample.",
        f"- {platform.processor() or platform.machine()}, {os.cpu_count()} cores, {minutes:.0f} minutes by the clock "
        f"in all; torch {torch.__version__}, limbeck {limbeck.__version__}.", "",
    ]  # fmt: skip
    for name, case in CASES.items():
        if all((work / name / f"teacher-{one}.json").is_file() for one in TEACHERS):
            lines += table(case, work / name, look.seeds)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def count(width: int) -> int:
    return sum(one.numel() for one in network(width).parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("run", "page"), default="run")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LIMBECK_DATA", "data")))
    parser.add_argument("--work", type=Path, default=Path("robust-distillation"))
    parser.add_argument("--dataset", choices=tuple(CASES), action="append", help="both unless given")
    parser.add_argument("--threads", type=int, default=1)
    for name, usual in {
        "samples": 20_000, "test": 1000, "seeds": 3, "epochs": 8, "attack-steps": 100, "restarts": 10, "queries": 5000,
        "width": 16,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=usual)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    look = Look(
        told.samples, told.test, told.seeds, told.epochs, told.attack_steps, told.restarts, told.queries, told.width
    )  # fmt: skip
    if told.what == "page":
        options = f"--samples {look.samples} --test {look.test} --seeds {look.seeds} --epochs {look.epochs}"
        options += f" --attack-steps {look.attack_steps} --restarts {look.restarts} --queries {look.queries}"
        options += f" --width {look.width}"
        print(write_page(told.work, look, f"python benchmarks/robust_distillation.py run {options}"))
        return
    for name in told.dataset or CASES:
        carry_out(Bench(CASES[name], look, told.data, told.work / name))


if __name__ == "__main__":
    main()
