"""Training curves: loss and what fits are validated by, epoch by epoch, one small drawing for each model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from limbeck.report import drawing, measures, names, numbers, scales
from limbeck.report.drawing import MUTED, ROLE_COLOURS, RULE

Curve = Mapping[str, Any]

LEAST = {"r2": -0.5}  # what a drawing begins at; the first epochs of a regression lie far below


def curve_figure(report: Mapping[str, Any], key: str) -> str:
    """Draw one model's curves: every seed faint, the mean of the seeds on top.

    key: a key of report["curves"]. The accuracy axis is the same for all models of the report.
    Returns an SVG element.
    """
    model = report["models"][key]
    curves = report["curves"][key]
    colour = ROLE_COLOURS[model["role"]]
    seeds = "1 seed" if len(curves) == 1 else f"{len(curves)} seeds"
    with drawing.themed():
        figure = drawing.canvas(4.6, 3.7)
        upper = drawing.axes(figure, 0.86, 2.15, 0.2, 0.15)
        lower = drawing.axes(figure, 0.86, 0.5, 0.2, 1.95)
        _panel(upper, curves, "loss", colour)
        _panel(lower, curves, "accuracy", colour)
        upper.set_ylabel("Loss", color=MUTED)
        validated_by = measures.validated_by(report)
        lower.set_ylabel(_validation_label(validated_by), color=MUTED)
        lower.set_xlabel("Epoch", color=MUTED)
        lower.set_ylim(*_accuracy_limits(report["curves"].values(), LEAST.get(validated_by, 0.0)))
        scales.rate_ticks(upper.yaxis, "loss")
        scales.rate_ticks(lower.yaxis, validated_by)
        _epoch_axes(upper, lower, curves)
        name = f"curve-{list(report['curves']).index(key)}"
        who = names.model_label(report["models"], key)
        return drawing.to_svg(figure, name, f"Training of {who}: loss and validation {_name(validated_by)}, {seeds}")


def _name(metric: str) -> str:
    label = measures.measure(metric).label
    return label.lower() if label[1:].islower() or " " in label else label


def _validation_label(metric: str) -> str:
    return f"Validation\n{_name(metric)}" + (", %" if measures.measure(metric).rate else "")


def _panel(ax: Any, curves: Sequence[Curve], quantity: str, colour: str) -> None:
    lines = [_finite(curve, quantity) for curve in curves]
    for line in lines:
        _line(ax, line, color=colour, linewidth=1 if len(lines) > 1 else 2, alpha=0.35 if len(lines) > 1 else 1)
    if len(lines) > 1:
        _line(ax, _mean(lines), color=colour, linewidth=2, alpha=1)
    ax.grid(axis="y", color=RULE, linewidth=0.8)
    ax.locator_params(nbins=4)
    if not any(lines):
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=MUTED)


def _line(ax: Any, line: Mapping[int, float], color: str, linewidth: float, alpha: float) -> None:
    marker = "o" if len(line) == 1 else "-"
    ax.plot(list(line), list(line.values()), marker, color=color, linewidth=linewidth, alpha=alpha)


def _finite(curve: Curve, quantity: str) -> dict[int, float]:
    pairs = zip(curve["epochs"], curve[quantity], strict=True)
    return {epoch: value for epoch, value in pairs if numbers.known(value)}


def _mean(lines: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Average the seeds at every epoch that all of them reached."""
    shared = [epoch for epoch in lines[0] if all(epoch in line for line in lines)]
    return {epoch: sum(line[epoch] for line in lines) / len(lines) for epoch in shared}


def _accuracy_limits(models: Iterable[Sequence[Curve]], least: float) -> tuple[float, float]:
    values = [v for curves in models for curve in curves for v in curve["accuracy"] if numbers.known(v)]
    low = min(values, default=0.0)
    return max(least, low - 0.05), min(1.02, max(values, default=1.0) + 0.05)


def _epoch_axes(upper: Any, lower: Any, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import MaxNLocator

    last = max((epoch for curve in curves for epoch in curve["epochs"]), default=1)
    for ax in (upper, lower):
        ax.set_xlim(0.5 if last == 1 else 1, max(last, 1.5))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    upper.tick_params(axis="x", labelbottom=False)
