"""When a difference is more than chance: exact tests on counts. N: samples, the same ones on either side.

Preflight makes some twenty comparisons a run, so it asks for p below 1e-4 before it raises an alarm, and for a
difference that matters besides: with enough samples any difference is significant.
"""

from __future__ import annotations

from scipy import stats
from torch import Tensor

SURE = 1e-4
USELESS = 0.1


def clearly_better(candidate: Tensor, given: Tensor, margin: float) -> bool:
    """Whether one answer is right more often than another: by the margin (0..1) at least, and not by chance.

    candidate, given: bool [N], right or wrong on the same samples. The sign test on the samples where just one
    of them is right (McNemar 1947, exact and one-sided), p < 1e-4.
    """
    wins, losses = int((candidate & ~given).sum()), int((given & ~candidate).sum())
    if wins <= losses or (wins - losses) / len(given) < margin:
        return False
    return float(stats.binomtest(wins, wins + losses, 0.5, alternative="greater").pvalue) < SURE


def explains(after: Tensor, before: Tensor, yardstick: Tensor, margin: float) -> bool:
    """Whether a remedy shows what is wrong with a teacher: right with it more often, and then a teacher to trust.

    after, before: bool [N], right with and without the remedy; yardstick: bool [N], right by the vote of the nearest
    samples. With it more often by the margin, p < 1e-4; and either half of the mistakes go away or the teacher is
    then not worse than the yardstick by 10 points, p < 1e-4. A teacher that does not know the data at all gains by
    some remedy too, but meets neither.
    """
    if not clearly_better(after, before, margin):
        return False
    halved = 2 * int((~after).sum()) <= int((~before).sum())
    return halved or not clearly_better(yardstick, after, USELESS)


def clearly_above(count: int, total: int, rate: float) -> bool:
    """Whether `count` of `total` is above a known rate (0..1): the exact binomial test, one-sided, p < 1e-4."""
    return float(stats.binom.sf(count - 1, total, rate)) < SURE


def clearly_more(count: int, total: int, base_count: int, base_total: int, margin: float) -> bool:
    """Whether one share is above another by the margin (0..1) at least, and not by chance.

    Both shares are counted; Fisher's exact test, one-sided, p < 1e-4.
    """
    if not total or not base_total or count / total - base_count / base_total < margin:
        return False
    table = [[count, total - count], [base_count, base_total - base_count]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue) < SURE
