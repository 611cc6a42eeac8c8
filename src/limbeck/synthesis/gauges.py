"""How making samples goes, measured on the newest batch and the pool, and when it is no use to go on.

Shapes: B samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from limbeck.synthesis.batch_norm import batch_norm
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.pool import Pool

GaugeJson = dict[str, Any]
ALIKE = 0.01  # of the deviation that real samples have: less, and all samples are one


@dataclass(frozen=True)
class Gauge:
    """Figures of a round.

    seconds: since the beginning, over all sessions; classes: how many of the C classes the pool has; balance: of the
    pool, the entropy of the teacher's top classes over log C, 0..1; entropy: of the teacher's answers to the batch, the
    mean in nats; diversity: the mean deviation of a value over the batch, over that of the values of real samples;
    statistics_gap: the L2 distance to the known moments, None where none are; agreement: how often the student names
    the teacher's top class of a batch that it has not learned yet, 0..1, None without a student; parts: the terms.
    """

    round: int
    seconds: float
    classes: int
    balance: float
    entropy: float
    diversity: float
    statistics_gap: float | None
    agreement: float | None
    parts: Mapping[str, float]


@torch.no_grad()
def measure(
    guide: Guide, pool: Pool, samples: Tensor, number: int, seconds: float, parts: Mapping[str, float]
) -> Gauge:
    """Measure after a round, before the student learns from it; samples: its batch [B, ...]."""
    said = guide.ask(samples)
    found = answered(pool.frame, samples, said.logits, number, seconds, parts, top=pool.classes())
    agreement = None
    if guide.student is not None:
        agreement = float((guide.student(samples).logits.argmax(1) == said.logits.argmax(1)).double().mean())
    gap = float(batch_norm(said.heard, guide.moments)) if guide.moments else None
    return replace(found, statistics_gap=gap, agreement=agreement)


def answered(
    frame: Frame,
    samples: Tensor,
    logits: Tensor,
    number: int,
    seconds: float,
    parts: Mapping[str, float],
    *,
    top: Tensor | None = None,
) -> Gauge:
    """Measure what answers alone tell: logits [B, C] for the samples [B, ...] of a round.

    top: the teacher's top classes of the whole pool, int64; those of the samples unless given.
    """
    often = torch.bincount(logits.argmax(1) if top is None else top, minlength=logits.shape[1]).double()
    shares = often / often.sum()
    return Gauge(
        round=number,
        seconds=round(seconds, 2),
        classes=int((often > 0).sum()),
        balance=float(torch.special.entr(shares).sum() / math.log(len(shares))),
        entropy=float(torch.special.entr(logits.softmax(1)).sum(1).mean()),
        diversity=float(samples.std(0).mean() / frame.std.mean().to(samples.device)),
        statistics_gap=None,
        agreement=None,
        parts=dict(parts),
    )


def trouble(gauge: Gauge, classes: int) -> str | None:
    """Return why it is no use to go on, None while it is; classes: C."""
    if not all(math.isfinite(value) for value in (gauge.entropy, gauge.diversity, *gauge.parts.values())):
        return "the samples are no numbers any more; lower data.generated.rate"
    if gauge.diversity < ALIKE:
        return (
            f"all samples of a batch are alike (they vary {gauge.diversity:.1%} as much as real ones); raise "
            f"data.generated.weights.balance, or take another preset"
        )
    if gauge.classes <= classes // 2:
        return (
            f"the teacher sees only {gauge.classes} of {classes} classes in the samples; raise "
            f"data.generated.weights.balance, or take a preset that asks for classes: deep_inversion, cmi, fast_meta"
        )
    return None
