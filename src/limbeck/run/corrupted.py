"""Samples corrupted as models and files take them: pictures of 8 bits, rows of numbers, rows of a table.

Shapes: N samples, n columns of numbers, m of categories, D features.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from limbeck.data.dataset import prepared
from limbeck.data.hashing import hash64
from limbeck.data.noise import LEVELS, levels
from limbeck.data.preprocess import Preprocessing
from limbeck.data.samples import Samples
from limbeck.data.table import Table
from limbeck.robustness.corruption import Corruption
from limbeck.robustness.rows import RowCorruption

CHUNK_VALUES = 2**22  # pixels and channels that are corrupted at once


def are_pictures(samples: Samples) -> bool:
    """Whether samples are pictures of 8 bits; others are rows of numbers, whatever their shape."""
    return samples.kind == "image" and samples.inputs.dtype == torch.uint8


def corrupted(
    samples: Samples,
    corruption: Corruption | RowCorruption,
    severity: int,
    *,
    seed: int,
    learned: Preprocessing | None = None,
) -> Samples:
    """Return samples corrupted, in memory; learned: the preprocessing of a table's rows, None for other samples."""
    if isinstance(corruption, Corruption):
        return replace(samples, inputs=_pictures(samples, corruption, severity, seed), mapped=None)
    if samples.raw is not None and learned is not None:
        return prepared(
            replace(samples, raw=_table(samples, samples.raw, corruption, severity, seed, learned)), learned
        )
    return replace(samples, inputs=_vectors(samples, corruption, severity, seed), mapped=None)


def noise_pictures(like: Samples, seed: int) -> Samples:
    """Return as many pictures whose values are all random, 0..255, each equally likely."""
    seeds = like.keys ^ hash64(f"{seed}/noise pictures")
    values = math.prod(like.shape)
    made = [
        (levels(part, values) // (LEVELS // 256)).to(torch.uint8).view(-1, *like.shape)
        for part in torch.split(seeds, max(1, CHUNK_VALUES // values))
    ]
    return replace(like, inputs=torch.cat(made), mapped=None)


def _pictures(samples: Samples, corruption: Corruption, severity: int, seed: int) -> Tensor:
    rows = torch.arange(len(samples), device=samples.device)
    made = []
    for part in torch.split(rows, max(1, CHUNK_VALUES // math.prod(samples.shape))):
        pixels = samples.batch(part).inputs
        changed = corruption(pixels, severity, seed=seed, index=samples.keys.index_select(0, part))
        made.append((changed * 255).round_().to(torch.uint8))
    return torch.cat(made)


def _table(
    samples: Samples, raw: Table, corruption: RowCorruption, severity: int, seed: int, learned: Preprocessing
) -> Table:
    """Corrupt the columns as they were read; a category that becomes missing is "", and no noise moves it."""
    raw = raw.choose(learned.columns)
    count = raw.numbers.shape[1]
    values = np.concatenate([raw.numbers, np.zeros(raw.categories.shape, dtype=np.float32)], axis=1)
    deviation = torch.zeros(values.shape[1])
    deviation[:count] = torch.tensor([one.scale for one in learned.numbers])
    made = corruption(
        torch.from_numpy(values), severity, deviation=deviation, seed=seed, index=samples.keys.cpu()
    ).numpy()
    lost = np.isnan(made[:, count:])
    return Table(raw.columns, made[:, :count], np.where(lost, "", raw.categories))


def _vectors(samples: Samples, corruption: RowCorruption, severity: int, seed: int) -> Tensor:
    """Corrupt features; what becomes missing is the column's mean over these samples."""
    values = samples.inputs.to(samples.device).float().flatten(1)
    mean, deviation = values.double().mean(0).float(), values.double().std(0, unbiased=False).float()
    made = corruption(values, severity, deviation=deviation, seed=seed, index=samples.keys)
    return torch.where(made.isnan(), mean, made).view_as(samples.inputs)
