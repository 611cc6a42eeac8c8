"""Is a second thread worth it for a training step? `python benchmarks/threads.py`: one thread against all, in turn.

The rule that it judges is `limbeck.train.threads.SMALL_STEP`. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import multiprocessing
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

import limbeck
from limbeck.models import CNN, MLP
from limbeck.models.adapt import Adapted
from limbeck.models.work import multiply_adds
from limbeck.train.allocation import keep_freed_memory
from limbeck.train.settings import Settings, build_optimizer
from limbeck.train.threads import SMALL_STEP

RESULTS = Path(__file__).parent / "results"
ROUNDS, SECONDS = 7, 0.4
SMALL, LARGE = (1, 8, 8), (1, 28, 28)
CASES = (
    ("mlp [32]", MLP(SMALL, 10, hidden=[32]), SMALL, 64),
    ("mlp [128]", MLP(LARGE, 10, hidden=[128]), LARGE, 128),
    ("cnn width 8", CNN(SMALL, 10, width=8), SMALL, 64),
    ("mlp [800, 800], batch 16", MLP(LARGE, 10, hidden=[800, 800]), LARGE, 16),
    ("cnn width 16", CNN(SMALL, 10, width=16), SMALL, 64),
    ("cnn width 32", CNN(SMALL, 10, width=32), SMALL, 64),
    ("mlp [800, 800]", MLP(LARGE, 10, hidden=[800, 800]), LARGE, 128),
    ("cnn width 16", CNN(LARGE, 10, width=16), LARGE, 128),
)


def step_ms(model: Adapted, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Return milliseconds of a training step: forward, backward, AdamW."""
    optimizer = build_optimizer(Settings(), model)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(inputs).logits, labels).backward()
        optimizer.step()
        steps += 1
    return (time.perf_counter() - start) / steps * 1000


def ratio(name: str, net: nn.Module, shape: tuple[int, ...], batch: int, threads: int) -> tuple[str, str, str]:
    """Return the medians with one thread and with all, and one / all with its range, as text."""
    model, inputs, labels = Adapted(net, classes=10), torch.rand(batch, *shape), torch.randint(0, 10, (batch,))
    times: dict[int, list[float]] = {1: [], threads: []}
    for _ in range(ROUNDS + 1):
        for count, measured in times.items():
            torch.set_num_threads(count)
            measured.append(step_ms(model, inputs, labels))
    one, many = times[1][1:], times[threads][1:]
    ratios = [a / b for a, b in zip(one, many, strict=True)]
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    return f"{statistics.median(one):.2f}", f"{statistics.median(many):.2f}", f"{middle:.2f} ({low:.2f} to {high:.2f})"


def spin() -> None:
    """Keep a processor busy until killed."""
    while True:
        pass


def measure(busy: int, threads: int) -> list[tuple[str, str, str]]:
    """Return the ratios of every case beside this many other programs that want the processor."""
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        return [ratio(*case, threads) for case in CASES]
    finally:
        for other in others:
            other.kill()


def main() -> None:
    """Time every case on a quiet and on a busy machine and write the page."""
    keep_freed_memory()
    threads, today = torch.get_num_threads(), datetime.now(UTC).date().isoformat()
    quiet, busy = measure(0, threads), measure(threads, threads)
    lines = [
        f"# One thread against {threads} for a training step, {today}", "",
        f"`python benchmarks/threads.py`; {platform.machine()}, {threads} threads; limbeck {limbeck.__version__}, "
        f"python {platform.python_version()}, torch {torch.__version__}. Medians of {ROUNDS} rounds, ms a step. "
        f"Ratio = one thread / {threads} threads with its range: below 1 one thread is faster. Busy: beside {threads} "
        f"processes that do nothing but spin. The rule uses one thread below {SMALL_STEP:,} multiply-adds of a forward "
        f"pass.", "",
        f"| model | batch | multiply-adds | quiet: 1 | quiet: {threads} | ratio | busy: 1 | busy: {threads} | ratio |"
        " rule |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    for (name, net, shape, batch), calm, crowded in zip(CASES, quiet, busy, strict=True):
        work = multiply_adds(Adapted(net, classes=10), torch.rand(1, *shape)) * batch
        cells = [f"{name}, {shape[1]} x {shape[2]}", str(batch), f"{work:,}", *calm, *crowded]
        lines.append(f"| {' | '.join([*cells, 'one' if work < SMALL_STEP else 'all'])} |")
    path = RESULTS / f"{today}-threads.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines), path, sep="\n")


if __name__ == "__main__":
    main()
