"""How fast views are made: `python benchmarks/views.py`, pictures a second with one thread.

Turn, scale and crop are one resampling where they follow one another; the page shows them apart too, in turn with it.
Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

import limbeck
from limbeck.data.affine import Crop, Rotate, Scale
from limbeck.data.erase import Erase
from limbeck.data.light import Brightness, Contrast
from limbeck.data.mixup import Mixup, Partners
from limbeck.data.noise import Noise
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Transform, Views

RESULTS = Path(__file__).parent / "results"
ROUNDS, SECONDS = 7, 0.1
SHAPES = ((1, 28, 28), (3, 32, 32))
SIZES = (128, 512)
TOGETHER: tuple[Transform, ...] = (Rotate(), Scale(), Crop())
ALONE = (Shift(2), Flip(), *TOGETHER, Erase(), Brightness(), Contrast(), Noise(), Mixup())
CASES: tuple[tuple[str, tuple[tuple[Transform | Mixup, ...], ...]], ...] = (
    ("nothing", ((),)),
    *((type(one).__name__.lower(), ((one,),)) for one in ALONE),
    ("rotate, scale, crop: one resampling", (TOGETHER,)),
    ("rotate, scale, crop: three", tuple((one,) for one in TOGETHER)),
    ("rotate, scale, shift", ((Rotate(), Scale(), Shift(2)),)),
    ("all of them", (ALONE,)),
)  # fmt: skip


def main() -> None:
    """Measure all cases in turn and write the page."""
    torch.set_num_threads(1)
    columns = [measure(shape, size) for shape in SHAPES for size in SIZES]
    date = datetime.now(UTC).date().isoformat()
    lines = [f"# Views a second, {date}", "", _head(), ""]
    lines += ["| views | " + " | ".join(f"{s[0]} x {s[1]} x {s[2]}, batch {n}" for s in SHAPES for n in SIZES) + " |"]
    lines += ["|---|" + "---:|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name, _ in CASES]
    (RESULTS / f"{date}-views.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def measure(shape: tuple[int, ...], size: int) -> dict[str, str]:
    """Return thousands of pictures a second for each case, the median of rounds with its range."""
    samples = Samples(
        torch.randint(0, 256, (4096, *shape), dtype=torch.uint8), torch.zeros(4096).long(), tuple(map(str, range(4096)))
    )
    partners = Partners.among(torch.arange(4096), samples.keys, samples.labels)
    made = {name: [Views(one, partners=partners) for one in chain] for name, chain in CASES}
    found: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS + 1):
        for name, chain in made.items():
            found[name].append(_rate(samples, chain, size))
    return {
        name: f"{statistics.median(rates[1:]):.0f}k ({min(rates[1:]):.0f} to {max(rates[1:]):.0f})"
        for name, rates in found.items()
    }


def _rate(samples: Samples, chain: list[Views], size: int) -> float:
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        rows = torch.randint(0, len(samples), (size,))
        keys, view = samples.keys[rows], torch.ones_like(rows)
        inputs = samples.batch(rows, view=view, views=chain[0]).inputs
        for views in chain[1:]:
            inputs = views(inputs, keys, view)
        count += size
    return count / (time.perf_counter() - start) / 1000


def _head() -> str:
    versions = f"limbeck {limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}"
    return (
        f"`python benchmarks/views.py`; {platform.machine()}, one thread, seed of the views 0; {versions}. Thousands "
        f"of pictures a second from uint8 to a finished float batch, gathered at random; median of {ROUNDS} rounds in "
        f"turn of {SECONDS} s, with the range. The machine was shared with other work."
    )


if __name__ == "__main__":
    main()
