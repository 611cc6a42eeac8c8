"""Every transform there is, for the property suites; also run as a program that prints a hash of views."""

from __future__ import annotations

import hashlib
import sys

import torch

from limbeck.data.affine import Crop, Rotate, Scale
from limbeck.data.elastic import Elastic
from limbeck.data.erase import Erase
from limbeck.data.light import Brightness, Contrast
from limbeck.data.mixup import Mixup, Partners
from limbeck.data.noise import Noise
from limbeck.data.per_sample import PerSample
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Transform, Views


def wobble(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return (x + 0.1 * torch.rand(x.shape, generator=generator)).clamp(0, 1)


ONE_BY_ONE: list[Transform] = [
    Shift(2), Flip(), Rotate(30), Scale(0.3), Crop(0.3, 1.5), Elastic(), Erase(0.4), Erase(0.4, "mean"),
    Brightness(0.5), Contrast(0.5), Noise(0.2), PerSample(wobble),
]  # fmt: skip
ALL_AT_ONCE = [
    Shift(2),
    Flip(),
    Rotate(30),
    Scale(0.3),
    Crop(0.3, 1.5),
    Elastic(),
    Erase(),
    Brightness(),
    Contrast(),
    Noise(),
]


def make_samples(count: int, channels: int, height: int, width: int) -> Samples:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)
    return Samples(pixels, torch.arange(count) % 3, tuple(f"picture {row}" for row in range(count)))


def with_mixup(samples: Samples, rows: torch.Tensor, alpha: float = 1.0, seed: int = 0) -> Views:
    partners = Partners.among(rows, samples.keys, samples.labels)
    return Views([*ALL_AT_ONCE, Mixup(alpha)], seed=seed, partners=partners)


def hash_of_views(threads: int) -> str:
    torch.set_num_threads(threads)
    samples = make_samples(37, 3, 9, 8)
    rows, digest = torch.arange(37), hashlib.sha256()
    for views in (*(Views([one]) for one in ONE_BY_ONE), with_mixup(samples, rows[:30])):
        batch = samples.batch(rows, view=rows % 5, views=views)
        digest.update(batch.inputs.numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(hash_of_views(int(sys.argv[1])))
