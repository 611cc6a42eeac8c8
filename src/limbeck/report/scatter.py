"""Predicted against true values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import drawing, names
from limbeck.report.drawing import MUTED, ROLE_COLOURS, RULE


def scatter_figure(report: Mapping[str, Any], key: str, place: int) -> str:
    """Draw one value of a model: a point for each test sample, true to the right, predicted upwards.

    key: a key of report["scatter"]; place: of the value in its list. Returns an SVG element. Both axes show the same
    span, and the dashed line is a perfect prediction.
    """
    drawn = report["scatter"][key][place]
    true, predicted = ([point[side] for point in drawn["points"]] for side in (0, 1))
    low, high = min((*true, *predicted)), max((*true, *predicted))
    room = 0.04 * (high - low) or 1.0
    colour = ROLE_COLOURS[report["models"][key]["role"]]
    with drawing.themed():
        figure = drawing.canvas(4.2, 4.0)
        ax = drawing.axes(figure, 0.85, 0.6, 0.2, 0.15)
        ax.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        ax.plot(true, predicted, "o", color=colour, markersize=4, mew=0, alpha=0.5)
        ax.set_xlim(low - room, high + room)
        ax.set_ylim(low - room, high + room)
        ax.locator_params(nbins=5)
        ax.grid(color=RULE, linewidth=0.8)
        ax.set_xlabel(f"True {drawing.plain(drawn['name'], 24)}", color=MUTED, parse_math=False)
        ax.set_ylabel("Predicted", color=MUTED)
        name = f"scatter-{list(report['scatter']).index(key)}-{place}"
        who = names.model_label(report["models"], key)
        return drawing.to_svg(figure, name, f"Predicted against true {drawn['name']} by {who}")
