"""Plant faults and see whether preflight finds and names them: `python benchmarks/preflight_faults.py`.

Every fault of `planted.py` with every seed, and clean cases for false alarms (a fault or a warning). The result is a
dated page in `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import torch
from planted import FAULTS, Fault, sound

from limbeck import Finding
from limbeck.run.surroundings import environment

HERE = Path(__file__).parent
VERSIONS = ("python", "limbeck", "torch", "numpy", "scikit-learn")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases and write the page."""
    parser = argparse.ArgumentParser(description="Plant faults and see whether preflight finds them.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--first", type=int, default=100, help="the first seed; thresholds were chosen on those below 100"
    )
    parser.add_argument("--clean", type=int, default=100, help="how many clean cases")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    started, first = time.monotonic(), options.first
    found = {fault: [alarms_of(fault, seed) for seed in range(first, first + options.seeds)] for fault in FAULTS}
    clean = {seed: alarms(sound(seed).check()) for seed in range(first, first + options.clean)}
    page = "\n".join(_page(found, clean, options.seeds, time.monotonic() - started)) + "\n"
    path = options.results / f"{date.today().isoformat()}-preflight.md"
    path.write_text(page, encoding="utf-8")
    print(path)


def alarms_of(fault: Fault, seed: int) -> list[str]:
    """Return the names of the alarms for one fault and seed."""
    names = alarms(fault.plant(sound(seed, fault.kind)).check())
    print(fault.plant.__name__, seed, *names, file=sys.stderr)
    return names


def alarms(findings: Sequence[Finding]) -> list[str]:
    """Return the names of faults and warnings, each once."""
    return list(dict.fromkeys(finding.name for finding in findings if finding.level != "note"))


def _page(
    found: dict[Fault, list[list[str]]], clean: dict[int, list[str]], seeds: int, seconds: float
) -> Iterator[str]:
    hits = {fault: sum(bool(set(fault.names) & set(names)) for names in runs) for fault, runs in found.items()}
    total, where = len(found) * seeds, environment(torch.device("cpu"))
    raised = {seed: names for seed, names in clean.items() if names}
    yield f"# Preflight against planted faults, {date.today().isoformat()}\n"
    yield f"```\npython benchmarks/preflight_faults.py --seeds {seeds} --first {min(clean)} --clean {len(clean)}\n```\n"
    yield "- Data: digits (8 x 8) for even seeds, drawn colour pictures (3 x 12 x 12) for odd ones, drawn bars (8 x 8)"
    yield "  for the teacher of other data; teachers: small convolutional networks trained here."
    first, last = min(clean), max(clean)
    yield f"- Seeds: {first} to {first + seeds - 1} for every fault, {first} to {last} for clean runs; they draw data,"
    yield "  split, student and settings, out of ten sets of pictures and teachers. Thresholds were chosen on"
    yield "  seeds below 100."
    yield "- `refused`: no plan can be made, and the error's sentence names the trouble before preflight begins."
    yield f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), CPU;"
    yield f"  {seconds:.0f} s in all."
    yield f"- Versions: {', '.join(f'{name} {where[name]}' for name in VERSIONS)}.\n"
    yield f"**Found and named: {sum(hits.values())} of {total} ({sum(hits.values()) / total:.1%}).**\n"
    yield f"**Alarms in clean runs: {len(raised)} of {len(clean)}.**\n"
    yield from (f"- clean seed {seed}: {', '.join(names)}" for seed, names in raised.items())
    yield from [""] if raised else []
    yield "| planted | found | named as | other alarms (of all seeds) |"
    yield "| --- | ---: | --- | --- |"
    for fault, runs in found.items():
        others = Counter(name for names in runs for name in names if name not in fault.names)
        told = ", ".join(f"{name} {count}" for name, count in others.items()) or "none"
        name = fault.plant.__name__.replace("_", " ")
        yield f"| {name} | {hits[fault]}/{seeds} | {' or '.join(fault.names)} | {told} |"


if __name__ == "__main__":
    main()
