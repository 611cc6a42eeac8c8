"""A linear probe on stored features against the frozen backbone at every step: `python benchmarks/linear_probe.py`.

A ResNet-20 learns five classes of CIFAR-10; its backbone is then frozen and a new classifier for the other five trained
for 20 epochs: by Limbeck with `knowledge: {mode: live}`, by a plain PyTorch loop with the backbone under `no_grad`, by
Limbeck with features that have to be computed first, and with features that are there. All in one process, in turn.
Needs $LIMBECK_DATA (or --data) with cifar10/; writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import limbeck
from limbeck.data.contents import AS_FOUND
from limbeck.data.parquet import read_parquet
from limbeck.knowledge.form import Vectors
from limbeck.models.adapt import Adapted
from limbeck.models.freeze import freeze
from limbeck.recipe.load import parse_recipe
from limbeck.run.fits import Workshop, open_workshop
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.watch import Silent
from limbeck.train.loop import predict
from limbeck.train.settings import build_optimizer, learning_rate

RESULTS = Path(__file__).parent / "results"
EPOCHS, LR, TEST = 20, 0.01, 2000
BASE = """\
name: base
seeds: 1
data: {{source: "npz:{data}", classes: [0, 1, 2, 3, 4], validation: 0.02, augment: [flip], views: 2}}
student: {{model: {{resnet: {{depth: 20}}}}, train: {{epochs: {epochs}, lr: 0.003}}}}
objective: [cross_entropy]
controls: []
export: {{onnx: false}}
"""
PROBE = """\
name: probe
seeds: 1
data: {{source: "npz:{data}", classes: [5, 6, 7, 8, 9]}}
student: {{source: "run:{base}", model: {{resnet: {{depth: 20}}}}}}
stages:
  - {{name: probe, from: scratch, freeze: [backbone], objective: [cross_entropy],
     train: {{epochs: {epochs}, lr: {lr}, weight_decay: 0.0}}}}
controls: []
knowledge: {{mode: {mode}}}
export: {{onnx: false}}
"""


NOTE = (
    "Judged: at least 15 times with the filling pass counted, at least 100 times once filled, the same accuracy. "
    "Limbeck at every step is itself faster than the plain loop, so its own ratios are the smaller ones; once "
    "filled, what is left is mostly the start and the end of a stage. The filling pass rounds otherwise than the "
    "backbone at every step, since batch norm is folded into the layers before for it. The plain loop shows its "
    "samples in another order."
)


@dataclass(frozen=True)
class Timed:
    """Seconds of the stage, or loop, and the accuracy on the test samples, 0..1."""

    seconds: float
    accuracy: float


def main() -> None:
    """Measure all ways in turn and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds cifar10/; default: $LIMBECK_DATA")
    parser.add_argument("--samples", type=int, default=10_000, help="pictures of all ten classes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--base-epochs", type=int, default=3)
    options = parser.parse_args()
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds cifar10/")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["LIMBECK_CACHE"] = str(folder / "cache")
        pictures(Path(options.data), options.samples, folder)
        (folder / "base.yaml").write_text(BASE.format(data=folder / "c.npz", epochs=options.base_epochs))
        limbeck.run_recipe(folder / "base.yaml", out=folder / "base", progress=False)
        found = measured(folder, options.rounds)
        half = accuracy_in_fp16(folder)
    date = datetime.now(UTC).date().isoformat()
    lines = page(found, half, date, f"--samples {options.samples} --rounds {options.rounds}", options.samples)
    (RESULTS / f"{date}-linear-probe.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def pictures(source: Path, samples: int, folder: Path) -> None:
    """Write pictures that train and that test."""
    found = read_parquet(source / "cifar10" / "train.parquet", AS_FOUND).train
    x, y = np.asarray(found.inputs), np.asarray(found.labels)
    np.savez(folder / "c.npz", x_train=x[:samples], y_train=y[:samples], x_test=x[-2 * TEST :], y_test=y[-2 * TEST :])


def measured(folder: Path, rounds: int) -> dict[str, list[Timed]]:
    """Time every way, one after the other, some rounds of it."""
    ways: dict[str, Callable[[int], Timed]] = {
        "live": lambda number: stage(folder, "live", f"live{number}"),
        "plain": lambda number: plain(folder),
        "filling": lambda number: stage(folder, "auto", f"filling{number}", emptied=True),
        "filled": lambda number: stage(folder, "auto", f"filled{number}"),
    }
    stage(folder, "live", "warm", epochs=1)  # first calls of everything
    found: dict[str, list[Timed]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            found[name].append(way(number))
            print(f"{name}: {found[name][-1].seconds:.2f} s, {found[name][-1].accuracy:.4f}", flush=True)
    return found


def opened(folder: Path, mode: str, name: str, epochs: int = EPOCHS) -> Workshop:
    """Return the workshop of a new run."""
    text = PROBE.format(data=folder / "c.npz", base=folder / "base", mode=mode, epochs=epochs, lr=LR)
    (folder / name).mkdir()
    return open_workshop(plan_from_recipe(parse_recipe(text)), folder / name, Silent(), torch.device("cpu"))


def stage(folder: Path, mode: str, name: str, *, emptied: bool = False, epochs: int = EPOCHS) -> Timed:
    """Time the stage as a run carries it out: from the weights on disk to those of the trained model."""
    if emptied:
        shutil.rmtree(folder / "cache" / "knowledge", ignore_errors=True)
    workshop = opened(folder, mode, name, epochs)
    started = time.perf_counter()
    trained = workshop.train_stage(
        workshop.plan.stages[0], "student", 0, before=None, teacher=None, folder=folder / name / "student"
    )
    return Timed(time.perf_counter() - started, tested(trained.model, workshop.plan))


def plain(folder: Path) -> Timed:
    """Time a loop without Limbeck's: as many steps and epochs, the same optimizer and rates, validated every epoch."""
    name = f"plain{time.monotonic_ns()}"
    plan = opened(folder, "live", name).plan
    data, settings = plan.data, plan.stages[0].settings
    rows, pool = data.train, data.pool
    started = time.perf_counter()
    model = plan.model(plan.student, 0)
    freeze(model, ["backbone"], pool.batch(rows[:2]).inputs)
    head = model.net.get_submodule("head")
    optimizer = build_optimizer(settings, head)
    body = nn.Sequential(*[one for key, one in model.net.named_children() if key != "head"]).eval()
    body.to(memory_format=torch.channels_last)
    total, dice = settings.total_steps(len(rows)), torch.Generator().manual_seed(0)
    order = torch.cat([torch.randperm(len(rows), generator=dice) for _ in range(EPOCHS + 1)])
    for step in range(total):
        chosen = rows[order[step * settings.batch_size : (step + 1) * settings.batch_size]]
        loss = nn.functional.cross_entropy(head(vectors(body, model, pool.batch(chosen).inputs)), pool.labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step, total)
        optimizer.step()
        if (step + 1) % settings.steps_per_epoch(len(rows)) == 0:
            for part in torch.split(data.validation, 256):
                head(vectors(body, model, pool.batch(part).inputs))
    return Timed(time.perf_counter() - started, tested(model, plan))


@torch.no_grad()
def vectors(body: nn.Module, model: Adapted, inputs: Tensor) -> Tensor:
    """Return what the frozen backbone gives, without a graph."""
    assert model.normalise is not None
    found: Tensor = body(model.normalise(inputs).contiguous(memory_format=torch.channels_last))
    return found


def tested(model: Adapted, plan: Plan) -> float:
    """Return the accuracy on the test samples."""
    answers = predict(model, plan.data.test).argmax(1)
    return float((answers == plan.data.test.labels).double().mean())


def accuracy_in_fp16(folder: Path) -> float:
    """Return the accuracy of the same stage with features rounded to fp16."""
    exact = Vectors.columns
    try:
        Vectors.columns = lambda self, logits: (exact(self, logits)[0].half().float(),)  # type: ignore[method-assign]
        return stage(folder, "memory", "half").accuracy
    finally:
        Vectors.columns = exact  # type: ignore[method-assign]


def page(found: dict[str, list[Timed]], half: float, date: str, how: str, samples: int) -> list[str]:
    """Return the lines of the page."""
    seconds = {name: statistics.median(one.seconds for one in timed) for name, timed in found.items()}
    titles = {
        "live": "Limbeck, the frozen backbone at every step (`mode: live`)",
        "plain": "a plain PyTorch loop, the backbone under `no_grad`",
        "filling": "Limbeck, features computed first (the filling pass counted)",
        "filled": "Limbeck, features there",
    }
    versions = f"limbeck {limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}"
    lines = [
        f"# A linear probe on stored features, {date}", "",
        f"`python benchmarks/linear_probe.py {how}`; {platform.machine()}, {torch.get_num_threads()} thread(s); "
        f"{versions}.", "",
        f"ResNet-20 trained on five classes of {samples:,} CIFAR-10 pictures; its backbone frozen, a classifier for "
        f"the other five trained for {EPOCHS} epochs of batch 128. Seconds of the whole stage, from the weights on "
        f"disk to the trained model on disk (the plain loop writes nothing): medians of {len(found['live'])} round(s) "
        f"in turn in one process. Accuracy on test pictures of these five classes.", "",
        "| way | seconds | live / this | plain loop / this | accuracy |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, title in titles.items():
        ratios = (f"{seconds[one] / seconds[name]:.1f}" for one in ("live", "plain"))
        lines.append(f"| {title} | {seconds[name]:.2f} | {' | '.join(ratios)} | {found[name][0].accuracy:.4f} |")
    lines += ["", f"With features rounded to fp16 the accuracy is {half:.4f}; they are kept in fp32.", "", NOTE]
    return lines


if __name__ == "__main__":
    main()
