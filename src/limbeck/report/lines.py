"""A drawing of one figure of several models against something: a line for each, an area for the student's interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.report import drawing, scales
from limbeck.report.drawing import MUTED, ROLE_COLOURS, RULE

STYLES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Line:
    """A model: what it is called, its role, and places with rates there, as in the report (mean, ci95)."""

    name: str
    role: str
    points: Sequence[tuple[float, Any]]


def lines_figure(
    lines: Sequence[Line], ticks: Sequence[tuple[float, str]], across: str, *, name: str, title: str
) -> str:
    """Return an SVG element; ticks: places with their labels; across: what they are; name, title: see `to_svg`."""
    styles = iter(STYLES * len(lines))
    with drawing.themed():
        figure = drawing.canvas(5.6, 3.6)
        ax = drawing.axes(figure, 0.7, 0.95, 0.2, 0.15)
        for one in lines:
            _draw(ax, one, next(styles) if one.role == "control" else "-")
        ax.set_xticks([place for place, _ in ticks])
        ax.set_xticklabels([text for _, text in ticks])
        ax.set_xlabel(across, color=MUTED)
        ax.set_ylabel(scales.axis_label("accuracy"), color=MUTED)
        ax.grid(axis="y", color=RULE, linewidth=0.8)
        scales.rate_ticks(ax.yaxis, "accuracy")
        figure.legend(*ax.get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False,
                      fontsize=drawing.FONT_SIZE - 2)  # fmt: skip
        return drawing.to_svg(figure, name, title)


def _draw(ax: Any, one: Line, style: Any) -> None:
    places, entries = [place for place, _ in one.points], [entry for _, entry in one.points]
    colour, width = ROLE_COLOURS[one.role], 2 if one.role == "student" else 1.4
    means = [entry["mean"] for entry in entries]
    ax.plot(places, means, color=colour, linestyle=style, marker="o", markersize=4, linewidth=width, label=one.name)
    if one.role == "student":
        bounds = [entry["ci95"] or [entry["mean"]] * 2 for entry in entries]
        ax.fill_between(places, *zip(*bounds, strict=True), color=colour, alpha=0.15, linewidth=0)
