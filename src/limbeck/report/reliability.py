"""Reliability diagram: how often a model is right when it says how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import drawing, numbers, scales
from limbeck.report.drawing import MUTED, ROLE_COLOURS, RULE


def reliability_figure(report: Mapping[str, Any], key: str) -> str:
    """Draw accuracy against confidence per bin, and below it how many answers fall in each bin.

    key: a key of report["reliability"]. Returns an SVG element. The diagonal is perfect calibration.
    """
    model = report["models"][key]
    bins = report["reliability"][key]
    colour = ROLE_COLOURS[model["role"]]
    with drawing.themed():
        figure = drawing.canvas(4.6, 4.0)
        upper = drawing.axes(figure, 0.65, 1.35, 0.2, 0.15)
        lower = drawing.axes(figure, 0.65, 0.55, 0.2, 2.95)
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        filled = [b for b in bins if numbers.known(b["accuracy"]) and numbers.known(b["confidence"])]
        x, y = [b["confidence"] for b in filled], [b["accuracy"] for b in filled]
        upper.plot(x, y, "o-", color=colour, linewidth=1.5, markersize=5, mew=0)
        lower.bar([(b["low"] + b["high"]) / 2 for b in bins], [b["count"] for b in bins],
                  width=0.055, color=colour, linewidth=0)  # fmt: skip
        _label(upper, lower)
        name = f"reliability-{list(report['reliability']).index(key)}"
        return drawing.to_svg(figure, name, f"Reliability of {model['name']}: accuracy against confidence")


def _label(upper: Any, lower: Any) -> None:
    for ax in (upper, lower):
        ax.set_xlim(-0.02, 1.02)
        ax.grid(axis="y", color=RULE, linewidth=0.8)
        scales.rate_ticks(ax.xaxis, "accuracy")
    upper.set_ylim(-0.03, 1.03)
    scales.rate_ticks(upper.yaxis, "accuracy")
    upper.tick_params(axis="x", labelbottom=False)
    lower.locator_params(axis="y", nbins=2)
    upper.set_ylabel("Accuracy, %", color=MUTED)
    lower.set_ylabel("Answers", color=MUTED)
    lower.set_xlabel("Confidence, %", color=MUTED)
