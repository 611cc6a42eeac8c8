"""How long does a distillation take? `python benchmarks/speed.py --data DIR [--peer-python PATH] [--seeds 3]`.

MNIST's 60,000 training pictures, a CNN teacher, the same CNN at a third of the width as student, T 4, batch 128, ten
epochs: Limbeck, from the call until the student is saved, labelling included, against (a) the plain PyTorch loop with a
DataLoader and a live teacher, (b) torchdistill, (c) Hugging Face's Trainer and (d) an expert's loop. All in one run, in
turn; (a) to (c) run `--slow-epochs` of their epochs, whose seconds are told one by one, and are multiplied up. Writes a
dated page to benchmarks/results/. `--seeds` adds the comparison of accuracies, which takes longer than all else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from speed_case import MEAN, RATE, STD, STUDENT, TEACHER, Case, accuracy, network
from speed_loops import EXPERT, PLAIN, Timed, Ways, train

import limbeck
from limbeck.data.dataset import Data
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.arithmetic import has_matrix_units
from limbeck.objectives import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.run.jobs import FIT
from limbeck.run.surroundings import environment
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings

HERE = Path(__file__).parent
NORMALISE = ((MEAN,), (STD,))
TEACHER_EPOCHS = 2
LADDER_STEPS, LADDER_ROUNDS = 6, 7
PEERS = {"torchdistill": "(b) torchdistill", "trainer": "(c) Hugging Face Trainer"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="folder with mnist/, or $LIMBECK_DATA")
    parser.add_argument("--peer-python", type=Path, help="a Python that has torchdistill and transformers")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--slow-epochs", type=int, default=1, help="how many epochs of (a) to (c) are run")
    parser.add_argument("--rounds", type=int, default=2, help="of Limbeck and (d), in turn")
    parser.add_argument("--seeds", type=int, default=0, help="compare accuracies over this many seeds, at full length")
    parser.add_argument("--samples", type=int, help="take the first of the training pictures only, for a trial")
    parser.add_argument("--work", type=Path, default=Path("runs/speed"), help="where the teacher is kept")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("name the folder that has mnist/ with --data or $LIMBECK_DATA")
    options.work.mkdir(parents=True, exist_ok=True)
    compiled = tempfile.TemporaryDirectory()  # as on a machine where nothing was compiled yet
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = compiled.name
    case = prepared(options.work / "case.npz", Path(options.data), options.samples)
    lines = [*head(options), *times(case, options), *ladder(case)]
    lines += accuracies(case, options) if options.seeds else []
    path = options.results / f"{datetime.now(UTC).date()}-speed.md"
    options.results.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines), path, sep="\n")


def prepared(path: Path, data: Path, samples: int | None) -> Case:
    """Return the case with its teacher, which is trained for two epochs unless it is there."""
    if not path.is_file():
        found = Data.open(f"idx:{data / 'mnist'}")
        teacher = Adapted(network(TEACHER), classes=10, normalise=Normalise(*NORMALISE))
        lesson = Lesson(found.pool, torch.arange(len(found.pool)), found.validation, found.pool.labels)
        settings = Settings(epochs=TEACHER_EPOCHS, lr=RATE)
        per_epoch = settings.steps_per_epoch(len(found.pool))
        tell("training the teacher")
        fit(
            teacher, Objective([(1.0, CrossEntropy())]), lesson, settings, Budget(TEACHER_EPOCHS * per_epoch, per_epoch)
        )
        order = torch.randperm(len(found.pool), generator=torch.Generator().manual_seed(0))
        images, labels = found.pool.inputs[order], found.pool.labels[order]
        Case(images, labels, found.test.inputs, found.test.labels, teacher.net).save(path)  # type: ignore[arg-type]
    case = Case.load(path)
    return replace(case, images=case.images[:samples], labels=case.labels[:samples])


@dataclass(frozen=True)
class Ours:
    """Seconds of Limbeck's run until the student is saved, and those of the control with labels alone."""

    student: float
    control: float


def ours(case: Case, epochs: int) -> Ours:
    """Distil with Limbeck in a new folder and with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIMBECK_CACHE"] = str(Path(folder) / "cache")
        data = opened(case)
        began = time.time()
        distilled(case, data, Path(folder) / "run", epochs, 1, ("labels",))
        saved = [next((Path(folder) / "run" / role).rglob(f"seeds/0/{FIT}")) for role in ("student", "controls")]
        student, control = (path.stat().st_mtime for path in saved)
    return Ours(student - began, control - student)


def opened(case: Case) -> Data:
    """Return the case as Limbeck takes it; a thousandth of the training pictures is held out, since some must be."""
    return Data.from_arrays((case.images, case.labels), (case.test_images, case.test_labels), validation=0.001)


def distilled(
    case: Case, data: Data, folder: Path, epochs: int, seeds: int, controls: tuple[str, ...]
) -> limbeck.Result:
    """Return Limbeck's run."""
    return limbeck.distill(
        case.teacher, lambda: network(STUDENT), data, train=Settings(epochs=epochs, lr=RATE), seeds=seeds,
        controls=controls, teacher_normalise=NORMALISE, student_normalise=NORMALISE, out=folder, export=False,
        progress=False,
    )  # fmt: skip


def times(case: Case, options: argparse.Namespace) -> Iterator[str]:
    """Time everything once or more and yield the table."""
    epochs, slow = options.epochs, options.slow_epochs
    rows: list[tuple[str, float, str]] = []
    found, experts = list[Ours](), list[Timed]()
    small = replace(case, images=case.images[:640], labels=case.labels[:640])
    ours(small, 1)  # what is loaded at the first use is no part of a distillation
    loops = Loops()
    for ways in (EXPERT, PLAIN):
        loops.train(small, ways, epochs=1, run=1)
    for number in range(options.rounds + 1):
        tell(f"round {number}: Limbeck and (d)")
        found.append(ours(case, epochs))
        experts.append(loops.train(case, EXPERT, epochs=epochs, run=epochs, seed=number))
    first, *found = found
    mine = statistics.median(one.student for one in found)
    for workers in (0, 2):
        tell(f"(a) with {workers} workers")
        timed = loops.train(case, replace(PLAIN, workers=workers), epochs=epochs, run=slow)
        rows.append((f"(a) plain loop, {workers} workers", timed.whole(epochs), per_epoch(timed.epochs)))
    for tool, name in PEERS.items():
        rows += peer(tool, name, options)
    expert = statistics.median(one.whole(epochs) for one in experts)
    rows.append(("(d) expert's loop", expert, per_epoch(experts[0].epochs)))
    control = statistics.median(one.control for one in found)
    yield from ("## Whole distillations", "", f"Limbeck: {mine:.1f} s ({several([one.student for one in found])}).", "")
    yield (
        f"The first time on a machine, when the student's steps are compiled by a C++ compiler: {first.student:.1f} s. "
        f"What is compiled is kept on disk, for further seeds, controls and runs."
    )
    yield ""
    yield from ("| against | s | ratio to Limbeck | seconds of the epochs that were run |", "|---|---:|---:|---|")
    yield from (f"| {name} | {seconds:.1f} | {seconds / mine:.2f} | {told} |" for name, seconds, told in rows)
    yield from (
        f"| labels control, by Limbeck | {control:.1f} | {control / mine:.2f} | |",
        "",
        f"Labelling and student together take {mine / control:.2f} times as long as the control that has labels alone.",
        *(f"{name} is left out: --peer-python was not given." for name in PEERS.values() if not options.peer_python),
        "",
    )


class Loops:
    """Runs loops in processes of their own: one for those that keep freed memory, one for those that do not."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.processes = {kept: ProcessPoolExecutor(1, mp_context=spawn) for kept in (False, True)}

    def train(self, case: Case, ways: Ways, **options: int) -> Timed:
        """Run `speed_loops.train` there."""
        return self.processes[ways.kept].submit(train, case, ways, **options).result()


def peer(tool: str, name: str, options: argparse.Namespace) -> list[tuple[str, float, str]]:
    """Return the row of another tool; none where there is no environment for it."""
    if options.peer_python is None:
        return []
    tell(name)
    path = options.work / "case.npz"
    command = [options.peer_python, HERE / "speed_peers.py", tool, path, "--epochs", str(options.epochs)]
    done = subprocess.run(
        [*map(str, command), "--run", str(options.slow_epochs)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    seconds = said["epochs"]
    whole = options.epochs * sum(seconds) / len(seconds)
    return [(f"{name} {said['version']}", whole, per_epoch(seconds))]


def ladder(case: Case) -> Iterator[str]:
    """Yield what each way of the expert's loop gives, added one after the other, in milliseconds a step."""
    part = replace(case, images=case.images[: 128 * LADDER_STEPS], labels=case.labels[: 128 * LADDER_STEPS])
    steps: list[tuple[str, Ways]] = [("plain loop, live teacher", PLAIN)]
    for name, change in (
        ("answers stored", {"stored": True}), ("bf16", {"bf16": True}), ("channels last", {"channels_last": True}),
        ("data resident", {"resident": True}), ("optimizer fused", {"fused": True}),
        ("freed memory kept", {"kept": True}), ("compiled", {"compiled": True}),
    ):  # fmt: skip
        steps.append((f"+ {name}", replace(steps[-1][1], **change)))
    timed: dict[str, list[float]] = {name: [] for name, _ in steps}
    loops = Loops()
    first: dict[str, float] = {}
    for number in range(LADDER_ROUNDS):
        tell(f"ladder, round {number + 1} of {LADDER_ROUNDS}")
        for name, ways in steps:
            seconds = loops.train(part, ways, epochs=2, run=2).epochs
            first.setdefault(name, seconds[0])
            timed[name].append(seconds[1] / LADDER_STEPS * 1000)
    yield from ("## Factor by factor", "")
    yield "Milliseconds a step, without labelling; medians of rounds in turn. Compiling is told apart."
    yield from ("", "| | ms | factor |", "|---|---:|---:|")
    before = statistics.median(timed["plain loop, live teacher"])
    for name, values in timed.items():
        now = statistics.median(values)
        yield f"| {name} | {now:.1f} | {before / now:.2f} |"
        before = now
    yield from (
        "",
        f"Compiling took {first['+ compiled'] - first['+ freed memory kept']:.0f} s in the first round.",
        "",
    )


def accuracies(case: Case, options: argparse.Namespace) -> Iterator[str]:
    """Yield test accuracies over seeds: Limbeck's against the plain loop's in float32.

    The plain loop's teacher answers once: without augmentation it says the same at every showing.
    """
    tell("accuracies")
    with tempfile.TemporaryDirectory() as folder:
        result = distilled(case, opened(case), Path(folder) / "run", options.epochs, options.seeds, ())
        mine = result.report["models"]["student"]["metrics"]["accuracy"]["values"]
    plain = replace(PLAIN, stored=True, resident=True)
    theirs = [
        accuracy(train(case, plain, epochs=options.epochs, run=options.epochs, seed=seed).student, case)  # type: ignore[arg-type]
        for seed in range(options.seeds)
    ]
    yield from ("## Accuracy", "", f"On 10,000 test pictures, {options.seeds} seeds; the teacher: "
                f"{accuracy(case.teacher, case):.2%}.", "")  # fmt: skip
    yield from ("| | mean | seeds |", "|---|---:|---|")
    for name, values in (("Limbeck", mine), ("(a) in fp32", theirs)):
        yield f"| {name} | {statistics.mean(values):.2%} | {', '.join(f'{one:.2%}' for one in values)} |"
    yield from (
        "",
        f"Difference of the means: {100 * (statistics.mean(mine) - statistics.mean(theirs)):+.2f} points.",
        "",
    )


def head(options: argparse.Namespace) -> Iterator[str]:
    """Yield what was run, on what, with what."""
    where = environment(torch.device("cpu"))
    units = "with bf16 matrix units" if has_matrix_units(torch.device("cpu")) else "without bf16 matrix units"
    command = " ".join(["python benchmarks/speed.py", *(f"--{name} {getattr(options, name.replace('-', '_'))}"
                        for name in ("epochs", "slow-epochs", "rounds", "seeds"))])  # fmt: skip
    yield from (f"# Speed, {datetime.now(UTC).date()}", "", f"`{command}`", "")
    yield (
        f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {units}; load "
        f"average at the start {os.getloadavg()[0]:.1f}."
    )
    yield f"- Versions: limbeck {limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}."
    yield f"- Teacher widths {TEACHER}, student {STUDENT}; {options.epochs} epochs of MNIST's 60,000, batch 128, T 4."
    yield ""


def per_epoch(seconds: Sequence[float]) -> str:
    """Return the seconds of epochs as text."""
    return ", ".join(f"{one:.1f}" for one in seconds)


def several(values: Sequence[float]) -> str:
    """Return values as text."""
    return ", ".join(f"{one:.1f}" for one in values)


def tell(text: str) -> None:
    """Say what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
