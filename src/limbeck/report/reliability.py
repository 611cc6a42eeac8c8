"""Reliability diagram: how often a model is right when it says how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.report import drawing, names, numbers, scales
from limbeck.report.drawing import MUTED, ROLE_COLOURS, RULE

FEW_ANSWERS = 5


def reliability_figure(report: Mapping[str, Any], key: str) -> str:
    """Draw accuracy against confidence per bin, and below it how many answers fall in each bin.

    key: a key of report["reliability"]. Returns an SVG element. The diagonal is perfect calibration.
    Bins of fewer than FEW_ANSWERS answers are faint hollow points off the line, since their accuracy is mostly chance.
    """
    bins = report["reliability"][key]
    colour = ROLE_COLOURS[report["models"][key]["role"]]
    with drawing.themed():
        figure = drawing.canvas(4.6, 4.0)
        upper = drawing.axes(figure, 0.76, 1.35, 0.2, 0.15)
        lower = drawing.axes(figure, 0.76, 0.55, 0.2, 2.95)
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        _points(upper, bins, colour)
        lower.bar([(b["low"] + b["high"]) / 2 for b in bins], [b["count"] for b in bins],
                  width=0.055, color=colour, linewidth=0)  # fmt: skip
        _label(upper, lower)
        name = f"reliability-{list(report['reliability']).index(key)}"
        who = names.model_label(report["models"], key)
        return drawing.to_svg(figure, name, f"Reliability of {who}: accuracy against confidence")


def _points(ax: Any, bins: Sequence[Mapping[str, Any]], colour: str) -> None:
    filled = [b for b in bins if numbers.known(b["accuracy"]) and numbers.known(b["confidence"])]
    few = [b for b in filled if b["count"] < FEW_ANSWERS]
    enough = [b for b in filled if b["count"] >= FEW_ANSWERS]
    ax.plot(*_coordinates(few), "o", color=colour, mfc="none", markersize=5, mew=1, alpha=0.45)
    ax.plot(*_coordinates(enough), "o-", color=colour, linewidth=1.5, markersize=5, mew=0)


def _coordinates(bins: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [b["confidence"] for b in bins], [b["accuracy"] for b in bins]


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
