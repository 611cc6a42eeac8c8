"""Axes of the drawings: their titles, their units, and the least span they show."""

from __future__ import annotations

from typing import Any

from limbeck.report import measures


def axis_label(metric: str, where: str = "") -> str:
    """Return an axis title: the metric, where it was measured, and its unit."""
    shown = measures.measure(metric)
    return " ".join(filter(None, (shown.label, where))) + (", %" if shown.rate else "")


def rate_ticks(axis: Any, metric: str) -> None:
    """Write an axis's fractions as percent where the metric is a rate."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5))
    if measures.measure(metric).rate:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))


def wide_enough(limits: tuple[float, float], least: float) -> tuple[float, float]:
    """Widen limits about their middle to span at least `least`, so that noise does not fill the axis."""
    low, high = limits
    middle, half = (low + high) / 2, max(high - low, least) / 2
    return middle - half, middle + half
