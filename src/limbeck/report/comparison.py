"""Several runs on one page, each with its verdict, and with a word of warning where they cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from limbeck.evaluate.intervals import holm
from limbeck.report import drawing, facts, measures, numbers, scales
from limbeck.report.drawing import ACCENT, CONTROL, INK, MUTED, RULE
from limbeck.report.html import TEMPLATES

Report = Mapping[str, Any]

MARK = "Made by Limbeck from the report.json of each run alone."  # by which such a page is known

_SIGNIFICANT = 0.05
_ROW = 0.42


def render_comparison(reports: Mapping[str, Report]) -> str:
    """Return the whole page; reports: by the name that each run goes by, two or more.

    The page loads nothing. Verdicts that would not survive Holm's correction for the number of runs are marked.
    """
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                            trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    page = templates.get_template("comparison.html.j2").render({
        "names": list(reports),
        "mark": MARK,
        "drawing": Markup(gain_figure(reports)),  # noqa: S704  text in drawings is escaped
        "rows": [_row(name, report, p) for (name, report), p in zip(reports.items(), _corrected(reports), strict=True)],
        "differences": list(differences(reports)),
    })  # fmt: skip
    return page.encode("utf-8", "replace").decode("utf-8")


def differences(reports: Mapping[str, Report]) -> Iterator[str]:
    """Yield a sentence for everything that makes the figures of these runs hard to compare."""
    for what, read in (
        ("data", lambda report: (report["data"]["source"], tuple(report["data"]["classes"]))),
        ("test samples", lambda report: (report["data"]["test"], report["data"]["split_seed"])),
        ("labels for the student", lambda report: report["data"]["labelled"]),
        ("seeds", lambda report: tuple(report["seeds"])),
        ("deciding metrics", lambda report: report["primary"]),
    ):
        found: dict[Any, list[str]] = {}
        for name, report in reports.items():
            found.setdefault(read(report), []).append(name)
        if len(found) > 1:
            groups = "; ".join(", ".join(names) for names in found.values())
            yield f"The runs have different {what}: {groups}."


def doubts(reports: Mapping[str, Report]) -> Iterator[str]:
    """Yield a sentence for every verdict that would not survive Holm's correction for the number of runs."""
    for (name, report), p_value in zip(reports.items(), _corrected(reports), strict=True):
        if doubt := _doubt(report["verdict"], p_value):
            yield f"{name}: {report['verdict']['outcome']} {doubt}."


def gain_figure(reports: Mapping[str, Report]) -> str:
    """Draw the gain of every run over its best control with its 95 % interval; returns an SVG element."""
    judged = [(name, report["verdict"]) for name, report in reports.items() if report["verdict"]]
    primary = next(iter(reports.values()))["primary"]
    with drawing.themed():
        labels = [drawing.plain(name, 28) for name, _ in judged]
        left = max(map(len, labels), default=4) * 0.085 + 0.25
        figure = drawing.canvas(max(5.0, left + 3.4), _ROW * max(len(judged), 1) + 0.75)
        ax = drawing.axes(figure, left, 0.6, 0.9, 0.1)
        ax.axvline(0, color=CONTROL, linewidth=1, linestyle=(0, (3, 3)))
        for row, (_, verdict) in enumerate(judged):
            colour = ACCENT if verdict["outcome"] == "helped" else INK
            ax.plot(verdict["ci95"], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
            ax.plot([verdict["gain"]], [row], "o", color=colour, markersize=8, mew=0)
            ax.annotate(measures.gain_text(primary, verdict["gain"]).removesuffix(" points"), (1, row), (8, 0),
                        ("axes fraction", "data"), "offset points", va="center", color=INK)  # fmt: skip
        ax.set_ylim(max(len(judged), 1) - 0.4, -0.6)
        ax.set_yticks(range(len(judged)))
        ax.set_yticklabels(labels, parse_math=False, fontsize=drawing.FONT_SIZE)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color=RULE, linewidth=0.8)
        unit = ", points" if measures.measure(primary).rate else ""
        ax.set_xlabel(f"Gain in {measures.measure(primary).label.lower()} over the best control{unit}", color=MUTED)
        ax.set_xlim(scales.wide_enough(ax.get_xlim(), 0.02))
        scales.rate_ticks(ax.xaxis, primary)
        return drawing.to_svg(figure, "gains", "Gain of every run over its best control, with 95 % intervals")


def _corrected(reports: Mapping[str, Report]) -> list[float | None]:
    """Return the p-value of each run, corrected for the number of runs that have a verdict."""
    known = [report["verdict"]["p_value"] for report in reports.values() if report["verdict"]]
    adjusted = iter(holm(known))
    return [next(adjusted) if report["verdict"] else None for report in reports.values()]


def _row(name: str, report: Report, p_value: float | None) -> dict[str, Any]:
    primary, student, verdict = report["primary"], report["models"]["student"], report["verdict"]
    teacher = report["models"].get("teacher")
    exported = (report["export"] or {}).get("onnx") or {}
    return {
        "name": name,
        "student": _value(primary, student),
        "interval": measures.interval_text(primary, student["metrics"][primary]["ci95"]),
        "teacher": _value(primary, teacher) if teacher else numbers.MISSING,
        "against": facts.against_title(report, verdict) if verdict else numbers.MISSING,
        "verdict": verdict,
        "gain": measures.gain_text(primary, verdict["gain"]) if verdict else numbers.MISSING,
        "gain_interval": facts.gain_interval(primary, verdict["ci95"]) if verdict else "",
        "doubt": _doubt(verdict, p_value),
        "architecture": student["architecture"],
        "parameters": numbers.count(student["parameters"]),
        "size": numbers.size(exported.get("bytes")),
        "latency": _latency(exported.get("latency_ms")),
        "objective": report["stages"][-1]["objective"],
    }


def _value(primary: str, model: Report) -> str:
    metric = model["metrics"].get(primary)
    return measures.value_text(primary, metric["mean"] if metric else None)


def _doubt(verdict: Report | None, p_value: float | None) -> str:
    if verdict is None or p_value is None or verdict["outcome"] not in {"helped", "hurt"} or p_value < _SIGNIFICANT:
        return ""
    return f"may be chance among these runs (p = {numbers.significant(p_value)} after Holm's correction)"


def _latency(timings: Sequence[Report] | None) -> str:
    return f"{numbers.significant(timings[0]['p50'])} ms" if timings else numbers.MISSING
