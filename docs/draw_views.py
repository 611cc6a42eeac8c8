"""Draw what every transform does to a digit and a photo, views.png: `LIMBECK_DATA=DIR python docs/draw_views.py`."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("agg")
import matplotlib.pyplot as plt

from limbeck.data.affine import Crop, Rotate, Scale
from limbeck.data.dataset import Data
from limbeck.data.elastic import Elastic
from limbeck.data.erase import Erase
from limbeck.data.light import Brightness, Contrast
from limbeck.data.mixup import Mixup, Partners
from limbeck.data.noise import Noise
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Transform, Views

TRANSFORMS = (
    Shift(4), Flip(1.0), Rotate(30), Scale(0.3), Crop(0.3, 1.3), Elastic(3), Erase(0.4), Brightness(0.5), Contrast(0.8),
    Noise(0.08), Mixup(8.0),
)  # fmt: skip
VIEW, PICTURES = 3, 2000


def main() -> None:
    """Write docs/views.png."""
    place = Path(os.environ["LIMBECK_DATA"])
    digits = Data.open(f"idx:{place / 'mnist'}").pool
    photos = Data.open(f"parquet:{place / 'cifar10' / 'test-1k.parquet'}").pool
    figure, grid = plt.subplots(2, len(TRANSFORMS) + 1, figsize=(11, 2.5), dpi=100)
    for axes, samples, row in zip(grid, (digits, photos), (7, 6), strict=True):
        _draw(axes[0], samples, row, "view 0" if samples is digits else "", None)
        for ax, transform in zip(axes[1:], TRANSFORMS, strict=True):
            _draw(ax, samples, row, type(transform).__name__.lower() if samples is digits else "", transform)
    figure.tight_layout(pad=0.3)
    path = Path(__file__).parent / "views.png"
    figure.savefig(path, pil_kwargs={"optimize": True})
    print(f"{path} has {path.stat().st_size // 1024} kB")


def _draw(ax: plt.Axes, samples: Samples, row: int, title: str, transform: Transform | Mixup | None) -> None:
    rows = torch.tensor([row])
    views = None
    if transform is not None:
        every = torch.arange(min(PICTURES, len(samples)))
        partners = Partners.among(every, samples.keys, samples.labels)
        views = Views([transform], seed=2, partners=partners)
    picture = samples.batch(rows, view=torch.full_like(rows, VIEW), views=views).inputs[0]
    ax.imshow(picture.permute(1, 2, 0), cmap="grey", vmin=0, vmax=1, interpolation="nearest")
    ax.set_title(title, fontsize=9)
    ax.axis("off")


if __name__ == "__main__":
    main()
