"""How long does robustness take to measure? `python benchmarks/evaluate_robust.py --data DIR`, minutes on two cores.

A small CNN that is trained for a few epochs on MNIST is asked about all 10,000 test digits under every corruption at
all five severities, under FGSM, PGD and margin PGD of 20 steps, and about 1,000 of them under Square with 200 queries.
What is timed is making the changed digits and asking, each corruption and attack by itself; training is not. Writes a
dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

import limbeck
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.cnn import CNN
from limbeck.report.numbers import duration, percent
from limbeck.robustness.accuracy import attack_accuracy
from limbeck.robustness.attack import Logits
from limbeck.robustness.corruption import SEVERITIES, Corruption
from limbeck.robustness.corruptions import CORRUPTIONS
from limbeck.robustness.named import named_attacks
from limbeck.run.attacks import MOST, QUERIES, STEPS
from limbeck.run.corrupted import corrupted
from limbeck.run.surroundings import environment
from limbeck.train.loop import predict

HERE = Path(__file__).parent
DIGITS, EPOCHS, BATCH, WIDTH = 20_000, 2, 64, 8
ATTACKS, EPSILON = ("fgsm", "pgd", "margin", "square"), 0.1

Found = TypeVar("Found")
Timed = tuple[str, float, float, list[float]]  # corruption, seconds to make and to ask, accuracy by severity


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock on the wall, and of the processor on however many cores."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Attacked:
    """An attack on some digits: how many, their clean accuracy and that under attack, and what it took."""

    name: str
    digits: int
    clean: float
    accuracy: float
    spent: Spent


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, time every corruption, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds mnist/; default: $LIMBECK_DATA")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds mnist/")
    data = limbeck.Data.open(f"idx:{options.data}/mnist")
    model = trained(data)
    clean, asking = measured(lambda: accuracy(model, data.test))
    found, corrupting = measured(lambda: [timed(model, data.test, corruption) for corruption in CORRUPTIONS])
    attacks = [attacked(model, data.test, name) for name in ATTACKS]
    date = datetime.now(UTC).date().isoformat()
    path = HERE / "results" / f"{date}-evaluate-robust.md"
    path.write_text("\n".join(page(found, attacks, clean, asking, corrupting, date)), encoding="utf-8")
    print(path)


def measured(work: Callable[[], Found]) -> tuple[Found, Spent]:
    """Return what some work gives, and what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, Spent(time.perf_counter() - wall, time.process_time() - processor)


def trained(data: Data) -> Adapted:
    """Return a small CNN after two epochs, each on 20,000 digits."""
    torch.manual_seed(0)
    mean, std = data.statistics()
    model = Adapted(CNN(data.shape, 10, width=WIDTH), classes=10, normalise=Normalise(mean.tolist(), std.tolist()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    for _ in range(EPOCHS):
        for rows in torch.split(data.train[torch.randperm(len(data.train))[:DIGITS]], BATCH):
            batch = data.pool.batch(rows)
            loss = torch.nn.functional.cross_entropy(model(batch.inputs).logits, batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@torch.inference_mode()
def accuracy(model: Adapted, samples: Samples) -> float:
    """Return the share of samples that is right."""
    return float(np.mean(predict(model, samples).argmax(1).numpy() == samples.labels.numpy()))


def timed(model: Adapted, samples: Samples, corruption: Corruption) -> Timed:
    """Return the time of one corruption at all severities, and the accuracies."""
    making = asking = 0.0
    found = []
    for severity in SEVERITIES:
        started = time.perf_counter()
        made = corrupted(samples, corruption, severity, seed=0)
        between = time.perf_counter()
        found.append(accuracy(model, made))
        making, asking = making + between - started, asking + time.perf_counter() - between
    return corruption.name, making, asking, found


def attacked(model: Adapted, samples: Samples, name: str) -> Attacked:
    """Attack as `limbeck evaluate --robust --attacks` does, the first of the digits where that tries a part."""
    batch = samples.batch(torch.arange(MOST.get(name, len(samples))))
    assert batch.labels is not None
    attacks = named_attacks([name], epsilon=EPSILON, steps=STEPS, queries=QUERIES)
    inputs, labels = batch.inputs, batch.labels
    found, spent = measured(lambda: attack_accuracy(Logits(model), inputs, labels, attacks=attacks))
    return Attacked(name, len(labels), found.accuracies["clean"], found.accuracies["worst"], spent)


def page(
    found: Sequence[Timed], attacks: Sequence[Attacked], clean: float, asking: Spent, corrupting: Spent, date: str
) -> Iterator[str]:
    """Yield the lines of the page."""
    where = environment(torch.device("cpu"))
    making, asked = sum(one[1] for one in found), sum(one[2] for one in found)
    mean = float(np.mean([one[3] for one in found]))
    every = [asking, corrupting, *(one.spent for one in attacks)]
    wall, processor = sum(one.wall for one in every), sum(one.processor for one in every)
    yield from (
        f"# What measuring robustness takes, {date}", "",
        f"`python benchmarks/evaluate_robust.py`; {where['processor']}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s), load {os.getloadavg()[0]:.1f}; limbeck {limbeck.__version__}, python "
        f"{platform.python_version()}, torch {torch.__version__}. Seed 0.", "",
        f"{len(found)} corruptions at {len(SEVERITIES)} severities of 10,000 MNIST test digits; a CNN of width "
        f"{WIDTH}, {EPOCHS} epochs of {DIGITS:,} digits: {percent(clean)} clean, {percent(mean)} "
        f"corrupted on average.", "",
        f"**{duration(wall)} in all, {duration(processor)} of processor time on however many cores.** Where other "
        "programs run beside it, as the load says, the time by the clock is theirs too; that of the processor is about "
        "what one core takes alone.", "",
        "| part | digits | by the clock | processor | accuracy |",
        "|---|---:|---:|---:|---:|",
        f"| clean | 10,000 | {duration(asking.wall)} | {duration(asking.processor)} | {percent(clean)} |",
        f"| corruptions: {duration(making)} to make the digits, {duration(asked)} to ask | 10,000, "
        f"{len(found) * len(SEVERITIES)} times | {duration(corrupting.wall)} | {duration(corrupting.processor)} | "
        f"{percent(mean)} |",
    )  # fmt: skip
    for one in attacks:
        yield (
            f"| {one.name}, within {EPSILON} | {one.digits:,} | {duration(one.spent.wall)} | "
            f"{duration(one.spent.processor)} | {percent(one.accuracy)} of {percent(one.clean)} |"
        )
    yield from (
        "", f"PGD and margin PGD take {STEPS} steps and go no further with a digit that is broken; Square asks "
        f"{QUERIES} times at most.", "",
        "| corruption | to make, s | to ask, s | accuracy at severity 1 | 2 | 3 | 4 | 5 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    )  # fmt: skip
    for name, make, ask, accuracies in found:
        yield f"| {name} | {make:.1f} | {ask:.1f} | {' | '.join(map(percent, accuracies))} |"
    yield ""


if __name__ == "__main__":
    main()
