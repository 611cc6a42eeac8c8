"""Draw every corruption of a digit and a photo, corruptions.png: `LIMBECK_DATA=DIR python docs/draw_corruptions.py`."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import torch

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.robustness.corruption import Corruption
from limbeck.robustness.corruptions import CORRUPTIONS

SEVERITIES = (1, 3, 5)
ACROSS = 9


def main() -> None:
    """Write docs/corruptions.png."""
    place = Path(os.environ["LIMBECK_DATA"])
    digits = Data.open(f"idx:{place / 'mnist'}").pool
    photos = Data.open(f"parquet:{place / 'cifar10' / 'test-1k.parquet'}").pool
    rows = [(severity, samples, row) for severity in SEVERITIES for samples, row in ((digits, 7), (photos, 6))]
    blocks = len(CORRUPTIONS) // ACROSS
    figure, grid = plt.subplots(blocks * len(rows), ACROSS, figsize=(8.5, 11.6), dpi=80)
    for number, corruption in enumerate(CORRUPTIONS):
        block, column = divmod(number, ACROSS)
        for line, (severity, samples, row) in enumerate(rows):
            ax = grid[block * len(rows) + line][column]
            ax.imshow(
                _picture(samples, row, corruption, severity), cmap="grey", vmin=0, vmax=1, interpolation="nearest"
            )
            ax.axis("off")
            if line == 0:
                ax.set_title(corruption.name.replace("_", " "), fontsize=8)
            if column == 0 and samples is digits:
                ax.text(-0.15, 0, severity, transform=ax.transAxes, ha="right", va="center", fontsize=9)
    figure.tight_layout(pad=0.3)
    path = Path(__file__).parent / "corruptions.png"
    figure.savefig(path, pil_kwargs={"optimize": True})
    print(f"{path} has {path.stat().st_size // 1024} kB")


def _picture(samples: Samples, row: int, corruption: Corruption, severity: int) -> torch.Tensor:
    rows = torch.tensor([row])
    made = corruption(samples.batch(rows).inputs, severity, seed=0, index=samples.keys[rows])
    return made[0].permute(1, 2, 0)


if __name__ == "__main__":
    main()
