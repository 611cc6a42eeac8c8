"""Does data larger than memory stream? `python benchmarks/larger_than_memory.py`: a whole run on a sparse 20 GB file.

The file has 723,379 pictures of 3 x 96 x 96; a part of them is written, the rest are holes that read as 0 and take no
disk. Everything that a run does is done: statistics, the search for test samples in the training data, teacher,
student, control, evaluation, export. Anonymous resident memory (RssAnon of /proc/self/status) is looked at every 20 ms.
Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

import limbeck

RESULTS = Path(__file__).parent / "results"
SHAPE, CLASSES, WRITTEN = (3, 96, 96), 10, 2000
LIMIT = 2 * 2**30
RECIPE = """
name: larger
seeds: 1
data: {{source: "npy:{folder}", augment: [flip, shift: {{pixels: 4}}], validation: 0.002}}
teacher: {{model: {{cnn: {{width: 4, depth: 3}}}}, train: {{steps: 20, batch_size: 64}}}}
student: {{model: {{mlp: {{hidden: [16]}}}}, train: {{steps: 150, batch_size: 64}}}}
objective: [soft_labels, cross_entropy: {{weight: 0.1}}]
controls: [labels]
"""


class Watch(threading.Thread):
    """Looks at the process's anonymous resident memory until told to stop. peak: bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.running = 0, True

    def run(self) -> None:
        """Look every 20 ms."""
        while self.running:
            self.peak = max(self.peak, anonymous())
            time.sleep(0.02)


def main() -> None:
    """Make the file, run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, help="where the file is made; a folder of the system's unless given")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        rows = make(place, options.gigabytes)
        before = anonymous()
        with watching() as watch:
            started = time.perf_counter()
            report = run(place)
            seconds = time.perf_counter() - started
    finally:
        shutil.rmtree(place)
    page = write(rows, options.gigabytes, before, watch.peak, seconds, report)
    print(page)


def make(folder: Path, gigabytes: float, shape: tuple[int, ...] = SHAPE) -> int:
    """Write x_train.npy and x_test.npy, sparse, with labels; return the number of training rows."""
    rows = int(gigabytes * 1e9) // int(np.prod(shape))
    random = np.random.default_rng(0)
    for part, count in (("train", rows), ("test", min(1000, rows))):
        labels = random.integers(0, CLASSES, count)
        pixels = open_memmap(folder / f"x_{part}.npy", "w+", np.uint8, (count, *shape))
        for row in random.permutation(count)[:WRITTEN]:
            pixels[row] = random.integers(0, 256, shape) // 2 + 12 * labels[row]
        pixels.flush()
        np.save(folder / f"y_{part}.npy", labels)
    return rows


def run(folder: Path) -> dict[str, object]:
    """Carry out the recipe and return its report."""
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder))
    result = limbeck.run_recipe(folder / "recipe.yaml", out=folder / "run", progress=False)
    return dict(result.report)


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch memory while the block runs."""
    watch = Watch()
    watch.start()
    try:
        yield watch
    finally:
        watch.running = False
        watch.join()


def anonymous() -> int:
    """Return the bytes of anonymous memory that are resident (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This benchmark needs /proc/self/status with RssAnon, which Linux has.")


def write(rows: int, gigabytes: float, before: int, peak: int, seconds: float, report: dict[str, object]) -> str:
    """Write the dated page and return its text."""
    date = datetime.now(UTC).date().isoformat()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    versions = f"limbeck {limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}"
    verdict = "below" if peak < LIMIT else "ABOVE"
    lines = [
        f"# A data set larger than memory, {date}",
        "",
        f"`python benchmarks/larger_than_memory.py --gigabytes {gigabytes:g}`; {platform.machine()}, "
        f"{os.cpu_count()} cores, seed 0; {versions}. The machine was shared with other work.",
        "",
        f"- Data: {rows:,} training pictures of {' x '.join(map(str, SHAPE))}, {gigabytes:g} GB in a sparse uint8 file "
        f"of which {WRITTEN:,} pictures are written, and 1,000 test pictures.",
        "- Run: statistics and hashes of all samples, a teacher of 20 steps, student and control of 150 steps of 64 "
        "with flip and shift, evaluation, export.",
        "",
        "| | |",
        "|---|---:|",
        f"| anonymous resident memory, peak | {peak / 2**20:,.0f} MiB, {verdict} the aim of 2 GiB |",
        f"| before the run, Limbeck and PyTorch imported | {before / 2**20:,.0f} MiB |",
        f"| all resident memory, peak, with pages of the file that the system may take back | {most:,.1f} GiB |",
        f"| the whole run | {seconds:,.0f} s |",
        *(f"| {name} | {value:,.0f} s |" for name, value in _seconds(report).items()),
    ]
    (RESULTS / f"{date}-larger-than-memory.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "\n".join(lines)


def _seconds(report: dict[str, object]) -> dict[str, float]:
    cost = report["cost"]
    assert isinstance(cost, dict)
    return {name: value for name, value in cost["seconds"].items() if isinstance(value, float) and name != "total"}


if __name__ == "__main__":
    main()
