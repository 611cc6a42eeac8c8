"""The points of a sweep: a drawing for each swept key, and the rows of their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.report import drawing, facts, measures, numbers, scales
from limbeck.report.drawing import ACCENT, CONTROL, INK, MUTED, RULE

Variant = Mapping[str, Any]

_MOST_LINES = 6
_ROW = 0.065  # height of a line's name, as a share of the axis
_WIDE_RANGE = 8  # largest over smallest value, from which on an axis is logarithmic


@dataclass(frozen=True)
class Line:
    """One variant in words: what was set, its figures and its verdict (the outcome alone too), as text."""

    title: str
    value: str
    interval: str
    validation: str
    gain: str
    gain_interval: str
    verdict: Mapping[str, Any] | None
    chosen: bool


def sweep_lines(report: Mapping[str, Any]) -> list[Line]:
    """Return the variants of a report as lines of a table; none where nothing was swept."""
    validated_by = measures.validated_by(report)
    return [_line(report["primary"], validated_by, variant) for variant in report["variants"]]


def sweep_figure(report: Mapping[str, Any], key: str) -> str:
    """Draw the deciding metric against one swept key, a line for each setting of the other keys.

    Returns an SVG element. The line of the chosen variant is strong and has its 95 % intervals; the dashed line is the
    control that the verdict is against. With more than 6 settings of the other keys only the chosen line is drawn.
    """
    primary, chosen = report["primary"], _chosen(report)
    values = list(dict.fromkeys(_text(variant["settings"][key]) for variant in report["variants"]))
    places = _places([variant["settings"][key] for variant in report["variants"]])
    lines = _lines(report["variants"], key, chosen)
    with drawing.themed():
        figure = drawing.canvas(4.7, 3.2)
        ax = drawing.axes(figure, 0.75, 0.6, 1.25, 0.15)
        for others, variants in lines.items():
            strong = others == _others(chosen, key)
            _draw(ax, [(places[_text(v["settings"][key])], v) for v in variants], primary, strong)
        _value_axis(ax, key, values, places)
        ax.set_ylabel(scales.axis_label(primary, "on test"), color=MUTED)
        ax.grid(axis="y", color=RULE, linewidth=0.8)
        ax.set_ylim(scales.wide_enough(_limits(report["variants"], primary), 0.02))
        scales.rate_ticks(ax.yaxis, primary)
        _name_lines(ax, {o: v[-1]["metrics"][primary]["mean"] for o, v in lines.items()}, _others(chosen, key))
        name = f"sweep-{report['sweep']['keys'].index(key)}"
        return drawing.to_svg(figure, name, f"{measures.measure(primary).label} of the student against {key}")


def _line(primary: str, validated_by: str, variant: Variant) -> Line:
    verdict, metric = variant["verdict"], variant["metrics"][primary]
    return Line(
        title=variant["title"],
        value=measures.value_text(primary, metric["mean"]),
        interval=measures.interval_text(primary, metric["ci95"]),
        validation=measures.value_text(validated_by, variant["validation_accuracy"]),
        gain=measures.gain_text(primary, verdict["gain"]) if verdict else numbers.MISSING,
        gain_interval=facts.gain_interval(primary, verdict["ci95"]) if verdict else numbers.MISSING,
        verdict=verdict,
        chosen=variant["chosen"],
    )


def _limits(variants: Sequence[Variant], primary: str) -> tuple[float, float]:
    """Return the same span for all drawings of a sweep, so that slopes can be compared."""
    metrics = [variant["metrics"][primary] for variant in variants]
    controls = [one for variant in variants for one in variant["controls"].values()]
    values = [metric["mean"] for metric in (*metrics, *controls)]
    values += [bound for metric in metrics for bound in metric["ci95"] or ()]
    known = [value for value in values if numbers.known(value)]
    room = 0.05 * (max(known) - min(known))
    return min(known) - room, max(known) + room


def _chosen(report: Mapping[str, Any]) -> Variant:
    found: Variant = next(variant for variant in report["variants"] if variant["chosen"])
    return found


def _text(value: object) -> str:
    return str(value)


def _others(variant: Variant, key: str) -> str:
    """Return the settings of all keys but one, in a line that fits beside a drawing."""
    ends = variant["title"].split(", ")
    paths = list(variant["settings"])
    if len(paths) != len(ends):
        return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in variant["settings"].items())
    return ", ".join(end for path, end in zip(paths, ends, strict=True) if path != key)


def _lines(variants: Sequence[Variant], key: str, chosen: Variant) -> dict[str, list[Variant]]:
    lines: dict[str, list[Variant]] = {}
    for variant in variants:
        lines.setdefault(_others(variant, key), []).append(variant)
    own = _others(chosen, key)
    return lines if len(lines) <= _MOST_LINES else {own: lines[own]}


def _places(values: Sequence[object]) -> dict[str, float]:
    """Return where each value is on the axis: itself for numbers, its order for anything else."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {_text(value): float(str(value)) for value in values}
    return {text: float(place) for place, text in enumerate(dict.fromkeys(map(_text, values)))}


def _draw(ax: Any, points: Sequence[tuple[float, Variant]], primary: str, strong: bool) -> None:
    points = sorted(points, key=lambda point: point[0])
    x = [place for place, _ in points]
    means = [variant["metrics"][primary]["mean"] for _, variant in points]
    colour = ACCENT if strong else MUTED
    ax.plot(x, means, "-o", color=colour, linewidth=2.2 if strong else 1, markersize=6 if strong else 3, mew=0,
            zorder=3 if strong else 2)  # fmt: skip
    if not strong:
        return
    for place, variant in points:
        bounds = variant["metrics"][primary]["ci95"]
        if bounds is not None and all(numbers.known(bound) for bound in bounds):
            ax.plot([place, place], bounds, color=colour, linewidth=1.4, zorder=2)
    verdicts = [variant["verdict"] for _, variant in points]
    if all(verdicts):
        best = [variant["controls"][variant["verdict"]["against"]]["mean"] for _, variant in points]
        ax.plot(x, best, color=CONTROL, linewidth=1.2, linestyle=(0, (3, 3)), zorder=1)


def _name_lines(ax: Any, ends: Mapping[str, float], chosen: str) -> None:
    """Write the name of each line right of its end, moved down where it would lie on the one above."""
    low, high = ax.get_ylim()
    above = 1 + _ROW
    for others, end in sorted(ends.items(), key=lambda pair: -pair[1]):
        above = min((end - low) / (high - low), above - _ROW)
        strong = others == chosen
        ax.annotate(drawing.plain(others, 20), (1.02, above), xycoords="axes fraction", va="center",
                    color=ACCENT if strong else MUTED, fontsize=drawing.FONT_SIZE - 1.5)  # fmt: skip


def _value_axis(ax: Any, key: str, texts: Sequence[str], places: Mapping[str, float]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    spots = list(places.values())
    if min(spots) > 0 and max(spots) >= _WIDE_RANGE * min(spots):
        ax.set_xscale("log")
    ax.set_xticks([places[text] for text in texts])
    ax.set_xticklabels([drawing.plain(text, 12) for text in texts], parse_math=False)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.08)
    ax.set_xlabel(drawing.plain(key.rpartition(".")[2], 30), color=INK)
