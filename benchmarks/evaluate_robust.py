"""How long does robustness take to measure? `python benchmarks/evaluate_robust.py --data DIR`, minutes on two cores.

A small CNN that is trained for a few epochs on MNIST is asked about all 10,000 test digits under every corruption at
all five severities, and once clean. What is timed is making the corrupted digits and asking, each corruption by itself;
training is not. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

import limbeck
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.cnn import CNN
from limbeck.report.numbers import duration, percent
from limbeck.robustness.corruption import SEVERITIES, Corruption
from limbeck.robustness.corruptions import CORRUPTIONS
from limbeck.run.corrupted import corrupted
from limbeck.run.surroundings import environment
from limbeck.train.loop import predict

HERE = Path(__file__).parent
DIGITS, EPOCHS, BATCH, WIDTH = 20_000, 2, 64, 8

Timed = tuple[str, float, float, list[float]]  # corruption, seconds to make and to ask, accuracy by severity


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, time every corruption, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds mnist/; default: $LIMBECK_DATA")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds mnist/")
    data = limbeck.Data.open(f"idx:{options.data}/mnist")
    model = trained(data)
    started = time.perf_counter()
    clean = accuracy(model, data.test)
    asking = time.perf_counter() - started
    before = time.process_time()
    found = [timed(model, data.test, corruption) for corruption in CORRUPTIONS]
    used = time.process_time() - before
    date = datetime.now(UTC).date().isoformat()
    path = HERE / "results" / f"{date}-evaluate-robust.md"
    path.write_text("\n".join(page(found, clean, asking, used, date)), encoding="utf-8")
    print(path)


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


def page(found: Sequence[Timed], clean: float, asking: float, used: float, date: str) -> Iterator[str]:
    """Yield the lines of the page."""
    where = environment(torch.device("cpu"))
    making, asked = sum(one[1] for one in found), sum(one[2] for one in found)
    mean = float(np.mean([one[3] for one in found]))
    yield from (
        f"# What measuring robustness takes, {date}", "",
        f"`python benchmarks/evaluate_robust.py`; {where['processor']}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s), load {os.getloadavg()[0]:.1f}; limbeck {limbeck.__version__}, python "
        f"{platform.python_version()}, torch {torch.__version__}. Seed 0.", "",
        f"{len(found)} corruptions at {len(SEVERITIES)} severities of 10,000 MNIST test digits; a CNN of width "
        f"{WIDTH}, {EPOCHS} epochs of {DIGITS:,} digits: {percent(clean)} clean, {percent(mean)} "
        f"corrupted on average.", "",
        f"**{duration(making + asked)} in all**: {duration(making)} to make the digits, {duration(asked)} to ask; once "
        f"clean takes {duration(asking)}. Processor time of it all, on however many cores: {duration(used)}.", "",
        "| corruption | to make, s | to ask, s | accuracy at severity 1 | 2 | 3 | 4 | 5 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    )  # fmt: skip
    for name, make, ask, accuracies in found:
        yield f"| {name} | {make:.1f} | {ask:.1f} | {' | '.join(map(percent, accuracies))} |"
    yield ""


if __name__ == "__main__":
    main()
