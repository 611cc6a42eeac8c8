"""New samples from old ones: some rows, several sets one after the other, only some classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data import mapped
from limbeck.data.contents import Source
from limbeck.data.samples import Samples
from limbeck.data.table import join
from limbeck.errors import DataError, did_you_mean

UNLABELLED = "unlabelled/"


def take(samples: Samples, rows: NDArray[np.int64]) -> Samples:
    """Return the samples of rows (int64 [R])."""
    index = torch.from_numpy(rows)
    ids = tuple(samples.ids[row] for row in rows.tolist())
    raw = None if samples.raw is None else samples.raw.take(rows)
    mark = samples.mapped and mapped.stamp_of_rows(samples.mapped, index)
    domain = None if samples.domain is None else samples.domain[index]
    return Samples(samples.inputs_of(index), samples.labels[index], ids, raw, mark, domain)


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Join samples of one shape and type; raises DataError if shapes differ."""
    first = parts[0]
    for part in parts[1:]:
        if part.shape != first.shape or part.inputs.dtype != first.inputs.dtype:
            raise DataError(
                f"Unlabelled samples must be like the training samples, {list(first.shape)} "
                f"({first.inputs.dtype}), but they are {list(part.shape)} ({part.inputs.dtype})."
            )
    marks = [part.mapped for part in parts if part.mapped is not None]
    inputs = mapped.join([part.inputs for part in parts]) if marks else torch.cat([part.inputs for part in parts])
    labels = torch.cat([part.labels for part in parts])
    raws = [part.raw for part in parts if part.raw is not None]
    ids = tuple(name for part in parts for name in part.ids)
    domains = [part.domain if part.domain is not None else torch.zeros_like(part.labels) for part in parts]
    domain = torch.cat(domains) if any(part.domain is not None for part in parts) else None
    return Samples(inputs, labels, ids, join(raws) if raws else None, "+".join(marks) or None, domain)


def without_labels(samples: Samples, prefix: str = UNLABELLED) -> Samples:
    """Return the samples with all labels -1, and the prefix before those ids that lack it."""
    ids = tuple(name if name.startswith(prefix) else prefix + name for name in samples.ids)
    labels = withheld(samples.labels, len(samples))
    return Samples(samples.inputs, labels, ids, samples.raw, samples.mapped, samples.domain)


def withheld(like: Tensor, count: int) -> Tensor:
    """Return the labels of so many samples without one: -1 [count], or NaN [count, C] where `like` is labels [N, C]."""
    return torch.full((count, *like.shape[1:]), -1 if like.ndim == 1 else math.nan, dtype=like.dtype)


def keep_classes(source: Source, classes: Sequence[str]) -> Source:
    """Keep only the samples of these classes, label i being classes[i], and those without a label.

    Raises DataError for a class that the source does not have, or that is named twice.
    """
    if len(set(classes)) != len(classes):
        raise DataError(f"data.classes names a class twice: {list(classes)}.")
    new = torch.full((len(source.classes) + 1,), -2)
    new[-1] = -1  # what label -1 points at
    for label, name in enumerate(classes):
        if name not in source.classes:
            hint = did_you_mean(name, source.classes) or f" There are {', '.join(source.classes[:20])}."
            raise DataError(f'data.classes: {source.name} has no class "{name}".{hint}')
        new[source.classes.index(name)] = label
    validation, test = (None if part is None else _renumber(part, new) for part in (source.validation, source.test))
    train = _renumber(source.train, new)
    return replace(source, classes=tuple(classes), train=train, validation=validation, test=test)


def count_identical(these: Samples, those: Samples) -> int:
    """Count those of `these` whose inputs are, byte for byte, also in `those`."""
    return int(torch.isin(these.contents, those.contents).sum())


def _renumber(samples: Samples, new: torch.Tensor) -> Samples:
    labels = new[samples.labels]
    rows = (labels > -2).nonzero().squeeze(1)
    kept = take(samples, rows.numpy())
    return Samples(kept.inputs, labels[rows], kept.ids, kept.raw, kept.mapped, kept.domain)
