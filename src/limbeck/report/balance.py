"""How strongly each term pulled at the student while it was trained, and whether they pulled the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.report import drawing, names
from limbeck.report.drawing import ACCENT, CONTROL, INK, MUTED, RULE

COLOURS = (ACCENT, INK, CONTROL, MUTED)
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
NAMED = 6  # lines of a panel that there is room to name

Line = dict[int, float]


def balanced(report: Mapping[str, Any]) -> list[str]:
    """Return the students whose terms' gradients were measured; none where nothing was balanced."""
    models = report["models"]
    told = (key for key in models if models[key]["role"] in {"student", "stage"})
    return [key for key in told if gradient_lines(report, key, "norms")]


def gradient_lines(report: Mapping[str, Any], key: str, kind: str) -> dict[str, Line]:
    """Return what was measured by term (or pair of terms) and epoch, the mean of the seeds that got so far.

    kind: "norms", "cosines" or "weights".
    """
    found: dict[str, dict[int, list[float]]] = {}
    for curve in report["curves"].get(key, ()):
        for epoch, measured in zip(curve["epochs"], curve.get("gradients") or (), strict=False):
            for name, value in (measured or {}).get(kind, {}).items():
                found.setdefault(name, {}).setdefault(epoch, []).append(value)
    return {name: {epoch: sum(one) / len(one) for epoch, one in line.items()} for name, line in found.items()}


def balance_facts(report: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    """Return, by term, the fixed weights that would have pulled as strongly in the first and in the last epoch."""
    lines = gradient_lines(report, key, "weights")
    return [(name, f"{line[min(line)]:.3g} at first, {line[max(line)]:.3g} in the end") for name, line in lines.items()]


def balance_figure(report: Mapping[str, Any], key: str) -> str:
    """Draw the norm of each term's gradient (log scale) and the cosine between each two, by epoch; an SVG element."""
    norms, cosines = (gradient_lines(report, key, kind) for kind in ("norms", "cosines"))
    with drawing.themed():
        figure = drawing.canvas(4.6, 4.4)
        upper = drawing.axes(figure, 0.86, 2.85, 0.2, 0.15)
        lower = drawing.axes(figure, 0.86, 1.4, 0.2, 1.95)
        _panel(upper, {name: _above_zero(line) for name, line in norms.items()})
        _panel(lower, cosines)
        if any(_above_zero(line) for line in norms.values()):
            upper.set_yscale("log")
        upper.set_ylabel("Norm of the\ngradient", color=MUTED)
        lower.set_ylabel("Cosine", color=MUTED)
        lower.set_xlabel("Epoch", color=MUTED)
        lower.set_ylim(-1.05, 1.05)
        lower.axhline(0, color=RULE, linewidth=1, zorder=0)
        upper.tick_params(axis="x", labelbottom=False)
        _legend(figure, upper, list(norms), 0.14)
        _legend(figure, lower, list(cosines), 0.0)
        who = names.model_label(report["models"], key)
        return drawing.to_svg(figure, f"balance-{list(report['curves']).index(key)}", _title(who, norms))


def _panel(ax: Any, lines: Mapping[str, Line]) -> None:
    for number, line in enumerate(lines.values()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        marker = "o" if len(line) == 1 else None
        ax.plot(list(line), list(line.values()), color=colour, linestyle=dash, marker=marker, linewidth=1.6)
    ax.grid(axis="y", color=RULE, linewidth=0.8)
    ax.locator_params(axis="x", integer=True, nbins=6)
    if not any(lines.values()):
        ax.text(0.5, 0.5, "a single term", transform=ax.transAxes, ha="center", va="center", color=MUTED)


def _above_zero(line: Line) -> Line:
    return {epoch: value for epoch, value in line.items() if value > 0}


def _legend(figure: Any, ax: Any, named: Sequence[str], low: float) -> None:
    """Name the first lines of a panel below the drawing; low: share of its height."""
    labels = [drawing.plain(name, 40) for name in named[:NAMED]]
    figure.legend(
        ax.lines[: len(labels)], labels, loc="lower center", ncols=2,
        frameon=False, labelcolor=INK, fontsize=drawing.FONT_SIZE - 2, bbox_to_anchor=(0.5, low), handlelength=1.2,
    )  # fmt: skip


def _title(who: str, norms: Mapping[str, Line]) -> str:
    ends = ", ".join(f"{name} {line[max(line)]:.2g}" for name, line in norms.items())
    return f"Gradients of the terms of {who} by epoch; norms in the end: {ends}"
