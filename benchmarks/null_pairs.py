"""How often does the verdict say *helped* where there is nothing? `python benchmarks/null_pairs.py [--pairs N]`.

Two students of equal quality disagree on some test samples at random, anew for each seed. Writes a dated page to
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import limbeck
from limbeck.evaluate.verdict import judge

RESULTS = Path(__file__).parent / "results"
SAMPLES, SEEDS, DISAGREEMENT = (100, 360, 10_000), (1, 2, 5), (0.005, 0.02, 0.1)


def outcomes(pairs: int, seeds: int, samples: int, disagreement: float, dice: np.random.Generator) -> dict[str, float]:
    """Return the share of each outcome among null pairs; disagreement: share of samples that only one gets right."""
    found: dict[str, int] = {}
    for _ in range(pairs):
        agreed = dice.random((seeds, samples)) < 0.9
        only_one = dice.random((seeds, samples)) < disagreement
        which = dice.random((seeds, samples)) < 0.5
        student, control = np.where(only_one, which, agreed), np.where(only_one, ~which, agreed)
        verdict = judge(student.astype(float), {"c": control.astype(float)}, validation={"c": 1.0}, teacher=None)
        found[verdict.outcome] = found.get(verdict.outcome, 0) + 1
    return {name: count / pairs for name, count in found.items()}


def main() -> None:
    """Simulate every cell and write the page."""
    parser = argparse.ArgumentParser(description="Measure false verdicts on null pairs.")
    parser.add_argument("--pairs", type=int, default=2000, help="of each cell; a fifth of it for 10,000 samples")
    pairs = parser.parse_args().pairs
    dice, today = np.random.default_rng(0), datetime.now(UTC).date().isoformat()
    lines = [
        f"# False verdicts on null pairs, {today}", "",
        f"`python benchmarks/null_pairs.py --pairs {pairs}`, seed 0; limbeck {limbeck.__version__}, "
        f"python {platform.python_version()}, numpy {np.__version__}. A cell has {pairs:,} pairs, with 10,000 test "
        f"samples {pairs // 5:,}.", "",
        "| test samples | seeds | disagreement | helped | hurt | equal | unclear |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for samples in SAMPLES:
        for seeds in SEEDS:
            for share in DISAGREEMENT:
                count = pairs // 5 if samples == SAMPLES[-1] else pairs
                found = outcomes(count, seeds, samples, share, dice)
                cells = [f"{100 * found.get(name, 0):.2f} %" for name in ("helped", "hurt", "equal", "unclear")]
                lines.append(f"| {samples:,} | {seeds} | {100 * share:g} % | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    path = RESULTS / f"{today}-null-pairs.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
