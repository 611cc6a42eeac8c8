"""Are samples in two splits at once? Inputs of test samples are read here, their labels are not.

Shapes: N samples, D values of a thumbnail.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.data.hashing import row_hash
from limbeck.data.mapped import chunks
from limbeck.data.samples import Samples
from limbeck.preflight.chance import clearly_more
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject

SOME, MANY = 0.005, 0.05
NEAR_MARGIN = 0.01
QUERIES = 2000
CHUNK = 256
SIDE = 8
CLOSE = 0.3
FLAT = 1e-3


def check_duplicates(subject: Subject) -> list[Finding]:
    """Find samples of the test or validation split that are also in another one, to the last byte: `duplicates`.

    Pictures: a warning from 0.5 % of a split on, a fault from 5 %. Rows of numbers repeat by nature where they have
    few values, so a warning only where the share is 0.5 points above that of training rows with a twin among
    training rows, and not by chance (Fisher, p < 1e-4). Pictures of one colour are not counted.
    """
    data = subject.plan.data
    train = _hashes(data.pool, data.train)
    found = [
        ("test", "training", _hashes(data.test, None), train),
        ("test", "validation", _hashes(data.test, None), _hashes(data.pool, data.validation)),
        ("validation", "training", _hashes(data.pool, data.validation), train),
    ]
    within = Counter(train)
    natural = sum(within[digest] > 1 for digest in train)
    return [
        finding
        for one, other, these, those in found
        if (finding := _shared(one, other, these, set(those), data.kind, natural, len(train)))
    ]


def _shared(
    one: str, other: str, these: list[str], those: set[str], kind: str, natural: int, base: int
) -> Finding | None:
    count = sum(digest in those for digest in these)
    share = count / len(these) if these else 0.0
    if share < SOME or (kind != "image" and not clearly_more(count, len(these), natural, base, SOME)):
        return None
    sentence = f"{count:,} of {len(these):,} {one} samples are also {other} samples; split again without them."
    return Finding("fault" if kind == "image" and share >= MANY else "warning", "duplicates", sentence)


def check_near_duplicates(subject: Subject) -> list[Finding]:
    """Find test pictures that are almost training pictures: cropped a little, brighter, compressed: `near_duplicates`.

    Pictures are compared as thumbnails of 8 x 8 pixels without their mean and contrast. Near means at less than
    0.3 of the usual (median) distance of a training picture to its nearest other one: at 0.5, chance alone raised an
    alarm in 4 of 100 clean runs. A warning where the share of test pictures with a near
    one is a point above that of training pictures, and not by chance (Fisher, p < 1e-4; up to 2,000 of either are
    compared with all training pictures). Exact copies are left to `duplicates`.
    """
    data = subject.plan.data
    if data.kind != "image":
        return []
    known = set(_hashes(data.pool, data.train))
    fresh = torch.tensor([digest not in known for digest in _hashes(data.test, None, flat=True)])
    train = torch.cat([thumbnails(part) for part in chunks(data.pool.inputs, data.train)])
    test = torch.cat([thumbnails(part) for part in chunks(data.test.inputs, fresh.nonzero().squeeze(1))])
    if len(train) < 2 or len(test) == 0:
        return []
    queries = _draw(len(train))
    among = nearest(train[queries], train, queries)
    across = nearest(test[_draw(len(test))], train, None)
    limit = CLOSE * float(among.median())
    count, natural = int((across < limit).sum()), int((among < limit).sum())
    if not clearly_more(count, len(across), natural, len(among), NEAR_MARGIN):
        return []
    sentence = (
        f"{count:,} of {len(across):,} test pictures are almost a training picture, against {natural:,} of "
        f"{len(among):,} training pictures that are almost another one; split by where pictures come from."
    )
    return [Finding("warning", "near_duplicates", sentence)]


def thumbnails(pictures: Tensor) -> Tensor:
    """Return pictures [N, C, H, W] as unit vectors [N, D]: 8 x 8 pixels, mean removed; those of one colour left out."""
    small = functional.adaptive_avg_pool2d(pictures.float(), SIDE).flatten(1)
    small = small - small.mean(1, keepdim=True)
    length = small.norm(dim=1, keepdim=True)
    kept = (length > FLAT).squeeze(1)
    unit: Tensor = small[kept] / length[kept]
    return unit


def nearest(queries: Tensor, known: Tensor, own: Tensor | None) -> Tensor:
    """Return the distance [Q] of each query [Q, D] to the nearest of known [N, D].

    own: int64 [Q], the place of each query among the known, which is not counted; None where they are others.
    """
    found = []
    for part in torch.split(torch.arange(len(queries)), CHUNK):
        distances = torch.cdist(queries[part], known)
        if own is not None:
            distances[torch.arange(len(part)), own[part]] = torch.inf
        found.append(distances.min(1).values)
    return torch.cat(found)


def _draw(count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:QUERIES]


def _hashes(samples: Samples, rows: Tensor | None, *, flat: bool = False) -> list[str]:
    """Return the content hashes of rows, of all for None; flat: those of a single colour too."""
    found: list[str] = []
    for part in chunks(samples.inputs, rows):
        values = part.flatten(1)
        skips = not flat and samples.kind == "image"
        kept = part[values.amax(1) > values.amin(1)] if skips else part
        found += [row_hash(row) for row in kept.cpu().numpy()]
    return found
