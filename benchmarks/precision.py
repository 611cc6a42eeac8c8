"""When does bf16 pay, and channels last? `python benchmarks/precision.py`: training steps each way, in turn.

The rule that it judges is `limbeck.models.arithmetic.WORTH_BF16`; how many samples a teacher takes at once,
`limbeck.teachers.module.WORK_AT_ONCE`, is judged by the second table. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from speed_case import TEACHER, network
from torch import nn

import limbeck
import limbeck.teachers.module as module
from limbeck.models import CNN, MLP
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import WORTH_BF16, Arithmetic
from limbeck.models.folded import folded
from limbeck.models.work import multiply_adds
from limbeck.train.allocation import keep_freed_memory
from limbeck.train.settings import Settings, build_optimizer
from limbeck.train.threads import fitting_threads

RESULTS = Path(__file__).parent / "results"
ROUNDS, SECONDS = 9, 0.25
SMALL, LARGE = (1, 8, 8), (1, 28, 28)
CPU = torch.device("cpu")
CASES = (
    ("mlp [128]", MLP(LARGE, 10, hidden=[128]), LARGE, 128),
    ("mlp [800, 800], batch 16", MLP(LARGE, 10, hidden=[800, 800]), LARGE, 16),
    ("mlp [800, 800], batch 64", MLP(LARGE, 10, hidden=[800, 800]), LARGE, 64),
    ("mlp [800, 800]", MLP(LARGE, 10, hidden=[800, 800]), LARGE, 128),
    ("cnn width 8", CNN(SMALL, 10, width=8), SMALL, 64),
    ("cnn width 16", CNN(SMALL, 10, width=16), SMALL, 64),
    ("cnn width 32", CNN(SMALL, 10, width=32), SMALL, 64),
    ("cnn width 16", CNN(LARGE, 10, width=16), LARGE, 128),
)
WAYS = {
    "fp32": Arithmetic("fp32", False),
    "fp32, last": Arithmetic("fp32", True),
    "bf16": Arithmetic("bf16", False),
    "bf16, last": Arithmetic("bf16", True),
}
AT_ONCE = (16, 32, 64, 128, 256, 512, 1024)


def main() -> None:
    """Measure, print and write."""
    keep_freed_memory()
    today = datetime.now(UTC).date()
    lines = [
        f"# bf16 and channels last, {today}",
        "",
        f"`python benchmarks/precision.py`; {platform.machine()}, {torch.get_num_threads()} threads; limbeck "
        f"{limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}. Lower quartiles of "
        f"{ROUNDS} rounds in turn. The rule takes bf16 from {WORTH_BF16:,} multiply-adds of a forward pass on.",
        "",
        *steps(),
        *answers(),
    ]
    path = RESULTS / f"{today}-precision.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines), path, sep="\n")


def steps() -> Iterator[str]:
    """Yield the table of training steps, in milliseconds."""
    yield f"| model | batch | multiply-adds | {' | '.join(WAYS)} | rule |"
    yield f"|---|---:|---:|{'---:|' * len(WAYS)}---|"
    for name, net, shape, batch in CASES:
        model, inputs = Adapted(net, classes=10), torch.rand(batch, *shape)
        work = multiply_adds(model, inputs) * batch
        ways = {way: how for way, how in WAYS.items() if "last" not in way or isinstance(net, CNN)}
        with fitting_threads(work, CPU):
            took = in_turn({way: stepper(model, how, inputs) for way, how in ways.items()})
        cells = [f"{took[way] * 1000:.2f}" if way in took else "" for way in WAYS]
        rule = "bf16" if work >= WORTH_BF16 else "fp32"
        yield f"| {name}, {shape[1]} x {shape[2]} | {batch} | {work:,} | {' | '.join(cells)} | {rule} |"
    yield ""


def stepper(model: Adapted, how: Arithmetic, inputs: torch.Tensor) -> Callable[[], None]:
    """Return what takes a training step in its own layout: forward, backward, AdamW."""
    optimizer = build_optimizer(Settings(), model)
    labels = torch.arange(len(inputs)) % 10

    def run() -> None:
        with how.laid_out(model.net):
            started = time.perf_counter()
            while time.perf_counter() - started < SECONDS:
                optimizer.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(how.forward(model, inputs).logits, labels).backward()
                optimizer.step()
                run.steps += 1  # type: ignore[attr-defined]

    run.steps = 0  # type: ignore[attr-defined]
    return run


def in_turn(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return seconds a step of each way, the lower quartile of the rounds but the first."""
    timed: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS + 1):
        for way, run in ways.items():
            before, started = run.steps, time.perf_counter()  # type: ignore[attr-defined]
            run()
            timed[way].append((time.perf_counter() - started) / (run.steps - before))  # type: ignore[attr-defined]
    return {way: statistics.quantiles(values[1:], n=4)[0] for way, values in timed.items()}


@torch.inference_mode()
def answers() -> Iterator[str]:
    """Yield the table of a teacher's answers, in microseconds a sample: plain, folded, and in bf16."""
    model, inputs = Adapted(network(TEACHER), classes=10).eval(), torch.rand(AT_ONCE[-1], *LARGE)
    quick = folded(model, inputs[:8])
    ways = {"fp32": (model, WAYS["fp32"]), "fp32, folded": (quick, WAYS["fp32"])}
    ways["bf16, last, folded"] = (quick, WAYS["bf16, last"])
    work = multiply_adds(model, inputs[:2])
    chosen = min(max(module.WORK_AT_ONCE // work, module.LEAST_AT_ONCE), module.MOST_AT_ONCE)
    yield f"A teacher's answers, widths {TEACHER}, {work:,} multiply-adds, microseconds a sample; {chosen} are chosen."
    yield from ("", f"| samples at once | {' | '.join(ways)} |", "|---:|" + "---:|" * len(ways))
    for count in AT_ONCE:
        cells = [f"{1e6 * answering(*way, inputs, count):.0f}" for way in ways.values()]
        yield f"| {count} | {' | '.join(cells)} |"


def answering(model: Adapted, how: Arithmetic, inputs: torch.Tensor, count: int) -> float:
    """Return seconds a sample, the best of five."""
    with how.laid_out(model.net):
        took = []
        for _ in range(6):
            started = time.perf_counter()
            for part in inputs.split(count):
                how.forward(model, part)
            took.append((time.perf_counter() - started) / len(inputs))
    return min(took[1:])


if __name__ == "__main__":
    main()
