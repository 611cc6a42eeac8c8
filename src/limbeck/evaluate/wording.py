"""A verdict in plain English. Gains of accuracy and of other rates are told in percentage points."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["helped", "hurt", "equal", "unclear"]

CORRUPTED = "corruption accuracy"
ATTACKED = "attack accuracy"
RATES = ("accuracy", "map", CORRUPTED, ATTACKED)
NAMES = {
    ATTACKED: "accuracy under attack",
    CORRUPTED: "accuracy on corrupted samples",
    "map": "mean average precision",
    "mse": "mean squared error",
    "nmse": "standardised mean squared error",
}


def opening(outcome: Outcome, margin: float, metric: str, subject: str = "Distillation") -> str:
    """Return what the outcome means, up to the colon; subject: what is judged."""
    if outcome == "equal":
        return f"{subject} made no difference worth {_size(margin, metric)}"
    if outcome == "unclear":
        return f"It is unclear whether {inside(subject)} helped"
    return f"{subject} {outcome}"


def inside(subject: str) -> str:
    """Return what is judged as it stands inside of a sentence."""
    return f"{subject[0].lower()}{subject[1:]}"


def soft_opening(outcome: Outcome, margin: float, metric: str) -> str:
    """Return what the outcome means for soft knowledge over the teacher's hard labels, up to the colon."""
    if outcome == "equal":
        return f"Soft knowledge made no difference worth {_size(margin, metric)} over the teacher's hard labels"
    if outcome == "unclear":
        return "It is unclear whether soft knowledge adds to the teacher's hard labels"
    return f"Soft knowledge did {'better' if outcome == 'helped' else 'worse'} than the teacher's hard labels"


def difference(gain: float, metric: str) -> str:
    """Return how the student compares, ready to be followed by whom it is compared with."""
    size = _size(abs(gain), metric)
    if metric != "accuracy":
        if gain == 0.0:
            return f"is as good in {_named(metric)} as"
        return f"is {'better' if gain > 0.0 else 'worse'} by {size} in {_named(metric)} than"
    if gain == 0.0:
        return "is right exactly as often as"
    return f"is right {size} {'more' if gain > 0.0 else 'less'} often than"


def interval(low: float, high: float, metric: str) -> str:
    """Return the 95 % interval of a gain; losses are told as positive numbers, like the loss before them."""
    if low < 0.0 < high:
        more, less = ("more", "less") if metric == "accuracy" else ("better", "worse")
        return f"95 % interval from {_size(-low, metric)} {less} to {_size(high, metric)} {more}"
    near, far = sorted((abs(low), abs(high)))
    return f"95 % interval {_size(near, metric).removesuffix(' points')} to {_size(far, metric)}"


def scope(seeds: int, samples: int) -> str:
    """Return what the interval was computed from."""
    if seeds == 1:
        return f"over {samples:,} test samples (one seed: the interval covers test samples only)"
    return f"over {seeds} seeds and {samples:,} test samples"


def gap(share: float) -> str:
    """Return what share of the way from control to teacher the student went."""
    gap_share = f"{100.0 * share:.0f} % of the gap between that control and the teacher"
    return f"That closes {gap_share}." if share <= 1.0 else f"That is {gap_share}: the student passed it."


def advice(seeds: int, more_seeds: int | None, more_samples: int | None) -> str:
    """Return what would make an unclear verdict clear."""
    if more_seeds is not None:
        return f"At this gain about {more_seeds} more seed{'' if more_seeds == 1 else 's'} would tell."
    if more_samples is None:
        return "At this gain neither more seeds nor more test samples alone would tell: both are needed."
    samples = f"about {more_samples:,} more test sample{'' if more_samples == 1 else 's'}"
    if seeds == 1:
        return f"At this gain {samples} would tell, as far as one seed can; several seeds tell more."
    return f"The test set is too small for more seeds to tell: at this gain {samples} would."


def _named(metric: str) -> str:
    return NAMES.get(metric, metric)


def _size(value: float, metric: str) -> str:
    if metric not in RATES:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    digits = 1
    while 0.0 < value < 0.5 * 0.01 * 0.1**digits and digits < 4:
        digits += 1
    return f"{100.0 * value:.{digits}f} points"
