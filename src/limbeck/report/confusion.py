"""Confusion matrix: which class was taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.report import drawing, names
from limbeck.report.drawing import ACCENT, INK, MUTED, ON_ACCENT

MOST_COUNTED = 20
_MOST_LABELS = 20
_HEAT = (0.22, 0.5, 0.78)


def confusion_figure(report: Mapping[str, Any], key: str) -> str:
    """Draw one matrix, rows the true class, shaded by the share of its row, diagonal included.

    key: a key of report["confusion"]. Counts are written into the cells up to MOST_COUNTED classes.
    Returns an SVG element.
    """
    matrix = report["confusion"][key]
    classes = [drawing.plain(name, 11) for name in report["data"]["classes"]]
    margin = 0.55 + 0.075 * max((len(name) for name in classes), default=0)
    with drawing.themed():
        figure = drawing.canvas(5.4 + margin - 0.6, 4.8 + margin)
        ax = drawing.axes(figure, margin, margin, 0.1, 0.1)
        if len(matrix) <= MOST_COUNTED:
            _cells(ax, matrix)
        else:
            _shades(ax, matrix)
        _label(ax, classes)
        name = f"confusion-{list(report['confusion']).index(key)}"
        who = names.model_label(report["models"], key)
        return drawing.to_svg(figure, name, f"Confusion matrix of {who}: true class by row, answer by column")


def _shares(row: Sequence[int]) -> list[float]:
    total = sum(row)
    return [value / total if total else 0.0 for value in row]


def _cells(ax: Any, matrix: Sequence[Sequence[int]]) -> None:
    from matplotlib.patches import Rectangle

    font = min(drawing.FONT_SIZE, 110 / max(len(matrix), 1))
    for y, row in enumerate(matrix):
        for x, (value, share) in enumerate(zip(row, _shares(row), strict=True)):
            if not value:
                continue
            heat = 0.08 + 0.92 * share
            ax.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, color=ACCENT, alpha=heat, linewidth=0))
            colour = ON_ACCENT if share > 0.72 else INK
            ax.text(x, y, f"{value:,}", ha="center", va="center", color=colour, fontsize=font)


def _shades(ax: Any, matrix: Sequence[Sequence[int]]) -> None:
    import numpy as np

    pixels = np.empty((len(matrix), len(matrix), 4))
    pixels[..., :3] = _HEAT
    shares = np.array([_shares(row) for row in matrix])
    pixels[..., 3] = np.where(shares > 0, 0.08 + 0.92 * shares, 0.0)
    ax.imshow(pixels, interpolation="nearest", aspect="auto")


def _label(ax: Any, classes: Sequence[str]) -> None:
    total = len(classes)
    ax.set(xlim=(-0.5, total - 0.5), ylim=(total - 0.5, -0.5))
    step = -(-total // _MOST_LABELS) or 1
    ticks = range(0, total, step)
    shown = [classes[tick] for tick in ticks]
    font = min(drawing.FONT_SIZE - 1, 160 / max(len(shown), 1))
    tilt = 90 if max((len(name) for name in shown), default=0) > 2 else 0
    ax.set_xticks(ticks)
    ax.set_xticklabels(shown, parse_math=False, fontsize=font, rotation=tilt)
    ax.set_yticks(ticks)
    ax.set_yticklabels(shown, parse_math=False, fontsize=font)
    ax.tick_params(length=0)
    ax.set_xlabel("Answer", color=MUTED)
    ax.set_ylabel("Truth", color=MUTED)
    for spine in ax.spines.values():
        spine.set_visible(True)
