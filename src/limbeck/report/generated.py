"""Samples that were generated: how it went, how near they lie to real ones, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import drawing, numbers
from limbeck.report.drawing import ACCENT, CONTROL, INK, MUTED, RULE

Report = Mapping[str, Any]
SHARES = (
    ("balance", "balance of classes", ACCENT),
    ("diversity", "diversity", INK),
    ("agreement", "student beside agrees", CONTROL),
)
MOST_ROWS = 20  # classes whose pictures are shown
LEARNS = {
    "none": "none; real samples test alone",
    "labels": "labelled ones, in stages that learn labels",
    "together": "labelled ones, beside the generated",
}


def generated_facts(report: Report) -> list[tuple[str, str]]:
    """Return what is told about generated samples, as (label, text); nothing where there are none."""
    found = report.get("generated")
    if not found:
        return []
    facts = [("Samples", f"{found['samples']:,}, by {found['preset']}"), ("Real samples", LEARNS[found["real"]])]
    if found["seconds"] is not None:
        facts.append(("Made in", f"{found['seconds']:,.0f} s, {found['rounds']:,} rounds"))
    if found.get("questions") is not None:
        facts.append(("Questions to the teacher", f"{found['questions']:,}, beside the student's own"))
    if found["gauges"]:
        facts += _last(found["gauges"][-1])
    near = found["nearest"]
    made, tested = near["generated"], near["test"]
    return [
        *facts,
        ("Nearest real sample", f"median distance {made['median']:.3g}, least {made['least']:.3g}"),
        ("The same of test samples", f"median distance {tested['median']:.3g}, least {tested['least']:.3g}"),
        ("Nearer than 99 % of test samples", numbers.percent(near["nearer_than_1_percent_of_test"])),
    ]


def gauges_figure(report: Report) -> str:
    """Draw the gauges over the rounds: shares above, below the gap to the teacher's batch norms; an SVG element."""
    gauges = report["generated"]["gauges"]
    with drawing.themed():
        figure = drawing.canvas(4.6, 4.0)
        upper = drawing.axes(figure, 0.86, 2.3, 0.2, 0.15)
        lower = drawing.axes(figure, 0.86, 0.95, 0.2, 2.05)
        for name, label, colour in SHARES:
            _line(upper, gauges, name, label, colour)
        _line(lower, gauges, "statistics_gap", "gap to batch norms", INK)
        _line(lower, gauges, "entropy", "teacher's entropy", ACCENT)
        upper.set_ylim(0, None)
        lower.set_ylim(0, None)
        upper.set_ylabel("Share", color=MUTED)
        lower.set_ylabel("Gap, nats", color=MUTED)
        lower.set_xlabel("Round", color=MUTED)
        handles, labels = (
            [*one, *other]
            for one, other in zip(upper.get_legend_handles_labels(), lower.get_legend_handles_labels(), strict=True)
        )
        figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False, fontsize=drawing.FONT_SIZE - 2)
        return drawing.to_svg(figure, "generated", "Gauges of generated samples, round by round")


def pictured_classes(report: Report) -> list[tuple[str, list[str], list[str]]]:
    """Return (class, generated pictures, real pictures), base64 of PNG; nothing where samples are no pictures."""
    found = (report.get("generated") or {}).get("pictures") or {}
    return [
        (name, [one for one in both["generated"] if one], [one for one in both["real"] if one])
        for name, both in list(found.items())[:MOST_ROWS]
    ]


def _last(gauge: Mapping[str, Any]) -> list[tuple[str, str]]:
    told = [("Balance of classes", f"{gauge['balance']:.2f} of 1, {gauge['classes']} classes there")]
    told.append(("Diversity", f"values vary {numbers.percent(gauge['diversity'])} as much as real ones"))
    if gauge["agreement"] is not None:
        told.append(("Student beside", f"agrees on {numbers.percent(gauge['agreement'])} of new samples"))
    return told


def _line(ax: Any, gauges: list[Mapping[str, Any]], name: str, label: str, colour: str) -> None:
    found = {gauge["round"]: gauge[name] for gauge in gauges if gauge[name] is not None}
    if found:
        ax.plot(list(found), list(found.values()), color=colour, linewidth=1.6, label=label)
    ax.grid(axis="y", color=RULE, linewidth=0.8)
    ax.locator_params(nbins=4)
