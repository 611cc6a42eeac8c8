"""The two drawings that compare models: accuracy with intervals, and size against accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.report import drawing, facts, measures, names, numbers, scales
from limbeck.report.drawing import ACCENT, CONTROL, INK, MUTED, ROLE_COLOURS, RULE

_ROW = 0.4
_LONGEST = 23
_MARKERS = {"teacher": "s", "member": "s", "student": "o", "control": "o", "stage": "D"}
_ROLE_NAMES = {
    "teacher": "teacher", "member": "teachers of the ensemble", "student": "student", "control": "controls",
    "stage": "earlier stages",
}  # fmt: skip


def accuracy_figure(report: Mapping[str, Any]) -> str:
    """Draw the deciding metric of every model: seeds as small dots, mean and 95 % interval on top.

    Returns an SVG element. A dashed line marks the control that the verdict is against.
    """
    primary = report["primary"]
    rows = _rows(report, primary)
    with drawing.themed():
        label_width = max([len(label) for label, *_ in rows], default=4) * 0.085 + 0.25
        figure = drawing.canvas(5.0, _ROW * max(len(rows), 1) + 0.75)
        ax = drawing.axes(figure, label_width, 0.6, 0.75, 0.1)
        _reference_line(ax, report, primary)
        for row, (_, model, metric) in enumerate(rows):
            _interval_row(ax, row, model, metric, primary)
        _accuracy_axes(ax, rows, primary)
        label = measures.measure(primary).label
        return drawing.to_svg(figure, "accuracy", f"{label} on the test data of {_listed(rows, primary)}")


_Row = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def _rows(report: Mapping[str, Any], primary: str) -> list[_Row]:
    """Return (label, model, metric) for every model whose deciding metric is known."""
    models = report["models"]
    known = [(key, model) for key, model in models.items() if numbers.known(_mean(model, primary))]
    return [(_label(names.model_label(models, key)), model, model["metrics"][primary]) for key, model in known]


def _label(name: str) -> str:
    """Shorten a model's label to the drawing; of "stage/name" the stage gives way first."""
    stage, slash, last = name.rpartition("/")
    last = drawing.plain(last)
    return f"{drawing.plain(stage, max(_LONGEST - len(last), 4))}/{last}" if slash else last


def _mean(entry: Mapping[str, Any], primary: str) -> float | None:
    metric = entry["metrics"].get(primary)
    return metric["mean"] if metric else None


def _listed(rows: Sequence[_Row], primary: str) -> str:
    return ", ".join(f"{label} {measures.value_text(primary, metric['mean'])}" for label, _, metric in rows)


def _reference_line(ax: Any, report: Mapping[str, Any], primary: str) -> None:
    key = facts.against_key(report, report["verdict"])
    mean = _mean(report["models"][key], primary) if key else None
    if numbers.known(mean):
        ax.axvline(mean, color=CONTROL, linewidth=1, linestyle=(0, (3, 3)), zorder=0)


def _interval_row(ax: Any, row: int, model: Mapping[str, Any], metric: Mapping[str, Any], primary: str) -> None:
    colour = ROLE_COLOURS[model["role"]]
    values = [v for v in metric["values"] if numbers.known(v)]
    if metric["ci95"] is not None and all(numbers.known(bound) for bound in metric["ci95"]):
        ax.plot(metric["ci95"], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
    ax.plot(values, [row + 0.26] * len(values), "o", color=colour, markersize=3, alpha=0.5, mew=0, zorder=2)
    ax.plot([metric["mean"]], [row], _MARKERS[model["role"]], color=colour, markersize=8, mew=0, zorder=3)
    text = measures.value_text(primary, metric["mean"])
    strong = "bold" if model["role"] == "student" else "normal"
    ax.annotate(text, (1, row), (8, 0), ("axes fraction", "data"), "offset points", va="center",
                color=INK, weight=strong)  # fmt: skip


def _accuracy_axes(ax: Any, rows: Sequence[_Row], primary: str) -> None:
    ax.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)))
    ax.set_yticklabels([label for label, *_ in rows], parse_math=False, fontsize=drawing.FONT_SIZE)
    for tick, (_, model, _) in zip(ax.get_yticklabels(), rows, strict=True):
        strong = model["role"] == "student"
        tick.set(color=ACCENT if strong else INK, weight="bold" if strong else "normal")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=RULE, linewidth=0.8)
    ax.set_xlabel(scales.axis_label(primary, "on the test data"), color=MUTED)
    ax.set_xlim(scales.wide_enough(ax.get_xlim(), 0.02))
    scales.rate_ticks(ax.xaxis, primary)


def size_figure(report: Mapping[str, Any]) -> str:
    """Draw every model and exported file by its size in bytes (log scale) and the deciding metric."""
    primary = report["primary"]
    groups = _size_groups(report, primary)
    with drawing.themed():
        figure = drawing.canvas(4.8, 3.4)
        ax = drawing.axes(figure, 0.65, 0.95, 0.2, 0.15)
        ax.set_xscale("log")
        for name, marker, colour, spots in groups:
            face = "none" if name == "controls" else colour
            ax.plot(*zip(*spots, strict=True), marker, color=colour, mfc=face, mew=1.5, markersize=8, label=name)
        _size_axes(ax, groups, primary)
        label = measures.measure(primary).label.lower()
        return drawing.to_svg(figure, "size", f"Size in bytes against {label} of every model and exported file")


_Group = tuple[str, str, str, list[tuple[float, float]]]


def _size_groups(report: Mapping[str, Any], primary: str) -> list[_Group]:
    """Collect (name, marker, colour, [(bytes, value)]) per role, then per exported file."""
    models = report["models"].values()
    groups: list[_Group] = [
        (_ROLE_NAMES[role], _MARKERS[role], colour, _spots([m for m in models if m["role"] == role], primary))
        for role, colour in ROLE_COLOURS.items()
    ]
    export = report["export"] or {}
    files = (("onnx", "ONNX file", "^"), ("int8", "8-bit file", "v"))
    there = [one for one in files if (export.get(one[0]) or {}).get("file")]
    groups += [(name, marker, ACCENT, _spots([export[key]], primary)) for key, name, marker in there]
    return [group for group in groups if group[3]]


def _spots(entries: Sequence[Mapping[str, Any]], primary: str) -> list[tuple[float, float]]:
    spots = [(entry["bytes"], _mean(entry, primary)) for entry in entries]
    return [(x, y) for x, y in spots if numbers.known(x) and x > 0 and numbers.known(y)]


def _size_axes(ax: Any, groups: Sequence[_Group], primary: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    sizes = [x for *_, spots in groups for x, _ in spots] or [1e3, 1e6]
    ax.set_xlim(min(sizes) / 2, max(sizes) * 2)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if max(sizes) > 30 * min(sizes) else (1.0, 3.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.size(value).replace(".0 ", " ")))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)
    ax.set_xlabel("Size of the weights or the file", color=MUTED)
    ax.set_ylabel(scales.axis_label(primary), color=MUTED)
    ax.grid(color=RULE, linewidth=0.8)
    ax.set_ylim(scales.wide_enough(ax.get_ylim(), 0.02))
    scales.rate_ticks(ax.yaxis, primary)
    if groups:
        ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=3, frameon=False, labelcolor=INK,
                  fontsize=drawing.FONT_SIZE - 1, handletextpad=0.3, columnspacing=1.2)  # fmt: skip
