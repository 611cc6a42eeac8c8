"""What do helpers save? `python benchmarks/beside.py`: the same run with and without them, in turn.

Digits, an MLP student and three controls, four seeds; from 500 to 20,000 steps for a helper, which shows from where
on helpers are worth beginning (`limbeck.run.beside.WORTH_STEPS`). Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

import limbeck
from limbeck.run import beside

RESULTS = Path(__file__).parent / "results"
RECIPE = """\
name: beside
seeds: {seeds}
data: {{source: digits, augment: [shift: {{pixels: 1}}], views: 4}}
teacher: {{model: {{cnn: {{width: 8}}}}, train: {{epochs: 2}}}}
student: {{model: {{mlp: {{hidden: [32]}}}}, train: {{steps: {steps}, batch_size: 64}}}}
objective: [soft_labels: {{weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels, smoothing, teacher_labels]
export: {{onnx: false}}
"""
SEEDS, FITS, ROUNDS = 4, 4, 3
STEPS = (62, 250, 625, 1250, 2500)


def main() -> None:
    """Measure and write the page."""
    today, halves = datetime.now(UTC).date(), SEEDS // 2
    lines = [
        f"# Seeds side by side, {today}", "",
        f"`python benchmarks/beside.py`; {platform.machine()}, {torch.get_num_threads()} threads; limbeck "
        f"{limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}. Seconds of whole runs, "
        f"medians of {ROUNDS} rounds in turn; {SEEDS} seeds, {FITS} fits each. Helpers begin from "
        f"{beside.WORTH_STEPS:,} steps for each on.", "",
        "| steps of a fit | steps for a helper | without | with | ratio |", "|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for steps in STEPS:
        times: dict[int, list[float]] = {10**9: [], 1: []}
        for _ in range(ROUNDS):
            for worth, found in times.items():
                beside.WORTH_STEPS = worth
                found.append(seconds(steps))
        alone, helped = (statistics.median(found) for found in times.values())
        ratios = [b / a for a, b in zip(*times.values(), strict=True)]
        lines.append(
            f"| {steps:,} | {steps * FITS * halves:,} | {alone:.1f} | {helped:.1f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
        print(lines[-1], flush=True)
    path = RESULTS / f"{today}-beside.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def seconds(steps: int) -> float:
    """Return what a run takes, with an empty cache."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["LIMBECK_CACHE"] = str(Path(place) / "cache")
        recipe = Path(place) / "r.yaml"
        recipe.write_text(RECIPE.format(steps=steps, seeds=SEEDS))
        began = time.perf_counter()
        limbeck.run_recipe(recipe, out=Path(place) / "run", progress=False)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
