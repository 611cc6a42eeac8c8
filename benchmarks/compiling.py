"""When does compiling a fit's steps pay? `python benchmarks/compiling.py`: training steps plain and compiled, in turn.

The rule that it judges is `limbeck.train.compiled.WORTH_COMPILING`. "First" is the first compiling on a machine, with
an empty cache; "again" is that of a further fit of the same network. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from speed_case import STUDENT, network
from torch import Tensor, nn

import limbeck
from limbeck.models import CNN, MLP, WRN, Attention, LeNet5, ResNet
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import choose
from limbeck.models.work import multiply_adds
from limbeck.train.allocation import keep_freed_memory
from limbeck.train.compiled import WORTH_COMPILING, compiled, wants_compiling
from limbeck.train.settings import Settings, build_optimizer
from limbeck.train.threads import fitting_threads

RESULTS = Path(__file__).parent / "results"
ROUNDS, STEPS = 15, 4
GREY, COLOUR = (1, 28, 28), (3, 32, 32)
CPU = torch.device("cpu")
LONG = 10**9  # steps, so that the rule decides by the network alone
CASES: tuple[tuple[str, Callable[[], nn.Module], tuple[int, ...]], ...] = (
    ("the student of speed.py", lambda: network(STUDENT), GREY),
    ("lenet5", lambda: LeNet5(GREY, 10), GREY),
    ("cnn width 32", lambda: CNN(GREY, 10, width=32), GREY),
    ("mlp [800, 800]", lambda: MLP(GREY, 10, hidden=[800, 800]), GREY),
    ("resnet depth 8", lambda: ResNet(COLOUR, 10, depth=8), COLOUR),
    ("resnet depth 20", lambda: ResNet(COLOUR, 10, depth=20), COLOUR),
    ("wrn depth 16", lambda: WRN(COLOUR, 10, depth=16), COLOUR),
    ("attention", lambda: Attention(GREY[1:], 10), GREY[1:]),
)


def main() -> None:
    """Measure, print and write."""
    today = datetime.now(UTC).date()
    keep_freed_memory()
    lines = [
        f"# Compiled steps, {today}",
        "",
        f"`python benchmarks/compiling.py`; {platform.machine()}, {torch.get_num_threads()} threads, load average at "
        f"the start {os.getloadavg()[0]:.1f}; limbeck {limbeck.__version__}, python {platform.python_version()}, torch "
        f"{torch.__version__}. Milliseconds a step of 128 samples (forward, backward, AdamW), medians of {ROUNDS} "
        f"rounds of {STEPS} in turn; seconds of compiling. The rule compiles the networks that say so, in fits of "
        f"at least {WORTH_COMPILING:,} multiply-adds of forward passes.",
        "",
        "| model | plain | compiled | factor | first, s | again, s | first time pays after steps | "
        "in multiply-adds | rule |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for case in CASES:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
            lines += row(*case)
            print(lines[-1], flush=True)
    path = RESULTS / f"{today}-compiling.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(path)


def row(name: str, make: Callable[[], nn.Module], shape: tuple[int, ...]) -> Iterator[str]:
    """Yield the line of a network."""
    torch.manual_seed(0)
    model, inputs = Adapted(make(), classes=10).eval(), torch.rand(128, *shape)
    work = multiply_adds(model, inputs[:2]) * len(inputs)
    how = choose("auto", model, inputs[:2], work)
    rule = "compiles" if wants_compiling("auto", model, CPU, work, LONG) else ""
    with fitting_threads(work, CPU), how.laid_out(model.net):
        took = []
        for _ in range(2):
            started = time.perf_counter()
            fast = compiled(model.train(), how, inputs, insist=True)
            took.append(time.perf_counter() - started)
        assert fast is not None
        optimizer = build_optimizer(Settings(), model)

        def step(module: Callable[..., object]) -> None:
            optimizer.zero_grad(set_to_none=True)
            logits: Tensor = how.forward(module, inputs).logits  # type: ignore[arg-type]
            nn.functional.cross_entropy(logits, torch.arange(128) % 10).backward()
            optimizer.step()

        plain, quick = in_turn(lambda: step(model), lambda: step(fast))
    gain = plain - quick
    steps = f"{took[0] / gain:,.0f} | {took[0] / gain * work:.1e}" if gain > 0.02 * plain else "never | "
    yield (
        f"| {name} | {1000 * plain:.2f} | {1000 * quick:.2f} | {plain / quick:.2f} | {took[0]:.1f} | {took[1]:.1f} | "
        f"{steps} | {rule} |"
    )


def in_turn(*ways: Callable[[], None]) -> list[float]:
    """Return seconds of a call of each way."""
    timed: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS + 1):
        for way, values in zip(ways, timed, strict=True):
            started = time.perf_counter()
            for _ in range(STEPS):
                way()
            values.append((time.perf_counter() - started) / STEPS)
    return [statistics.median(values[1:]) for values in timed]


if __name__ == "__main__":
    main()
