"""Robustness on the page: accuracy against severity, figures by corruption, unseen data, and what it all means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limbeck.report import drawing, names, numbers, scales
from limbeck.report.drawing import MUTED, ROLE_COLOURS, RULE
from limbeck.report.facts import Fact
from limbeck.report.lines import STYLES, Line, lines_figure
from limbeck.report.slices import slice_group
from limbeck.report.tables import Cell, Column, Group, Row, Table, accuracy_cell

Report = Mapping[str, Any]

SHARE = 0.8  # of the samples, that a model is surest of
SCORES = {"msp": "highest probability", "energy": "energy"}


def section_of(report: Report) -> Report | None:
    """Return the section; None where robustness was not measured."""
    found: Report | None = report.get("robustness")
    return found


def robust_table(report: Report) -> Table | None:
    """Compare models and files on corrupted samples, by corruption, and on samples of another kind."""
    found = section_of(report)
    if found is None:
        return None
    models = found["models"]
    columns = [Column(label(report, key), one["title"], one["role"]) for key, one in models.items()]
    each = list(models.values())
    parts = [slice_group(found), *_by_family(found, each), *_unseen(found, each)]
    groups = [Group("Clean and corrupted", _main_rows(each)), *parts]
    return Table(columns, [group for group in groups if group.rows])


def label(report: Report, key: str) -> str:
    """Return what a model or a file is called: a file by its format."""
    about = section_of(report) or {"models": {}}
    one = about["models"].get(key)
    return one["name"] if one and one["role"] == "file" else names.model_label(report["models"], key)


def robust_facts(report: Report) -> list[Fact]:
    """Return how it was measured."""
    found = section_of(report)
    if found is None:
        return []
    settings = found["settings"]
    severities = ", ".join(map(str, settings["severities"]))
    asked = f"{len(found['corruptions'])}" + ("" if settings["complete"] else f" of {settings['corruptions']}")
    seeds = sorted({len(one["seeds"]) for one in found["models"].values() if one["role"] in ("student", "control")})
    facts = [
        ("Corruptions", f"{asked}, at severity {severities}"),
        ("Test samples", numbers.count(settings["samples"])),
    ]
    facts += [("Seeds", numbers.count(seeds[0]))] if len(seeds) == 1 else []
    facts += [] if settings["complete"] else [("Not complete", "go on with limbeck evaluate DIR --robust")]
    return facts


def family_verdicts(report: Report) -> list[tuple[str, Report]]:
    """Return (family, the verdict) of each family of corruptions, corrected together."""
    found = section_of(report) or {}
    return [(one["family"].capitalize(), one) for one in found.get("families", ())]


def family_gains(report: Report) -> list[tuple[str, Report]]:
    """Return (family and gain, in short, the verdict) of each family of corruptions."""
    return [
        (f"{title}: {numbers.points(one['gain'])} ({numbers.interval(one['ci95'])})", one)
        for title, one in family_verdicts(report)
    ]


def severity_figure(report: Report) -> str:
    """Draw the mean accuracy over corruptions against severity, with intervals for the student; an SVG element."""
    found = section_of(report)
    assert found is not None
    severities = found["settings"]["severities"]
    drawn = {key: one for key, one in found["models"].items() if one["role"] != "file" and one["by_severity"]}
    lines = [
        Line(label(report, key), one["role"], [(0, one["clean"]), *zip(severities, one["by_severity"], strict=True)])
        for key, one in drawn.items()
    ]
    ticks = [(0, "clean"), *((one, str(one)) for one in severities)]
    title = "Mean accuracy over corruptions against severity"
    return lines_figure(lines, ticks, "Severity", name="severity", title=title)


def coverage_figure(report: Report) -> str:
    """Draw the accuracy on clean samples of the share that a model is surest of; an SVG element."""
    found = section_of(report)
    assert found is not None
    styles = iter(STYLES * len(found["models"]))
    with drawing.themed():
        figure = drawing.canvas(5.6, 3.6)
        ax = drawing.axes(figure, 0.7, 0.95, 0.2, 0.15)
        for key, one in found["models"].items():
            if one["role"] == "file":
                continue
            style = next(styles) if one["role"] == "control" else "-"
            across, up = zip(*one["coverage"], strict=True)
            ax.plot(across, up, color=ROLE_COLOURS[one["role"]], linestyle=style, label=label(report, key))
        ax.set_xlabel("Share of samples answered, %", color=MUTED)
        ax.set_ylabel(scales.axis_label("accuracy"), color=MUTED)
        ax.grid(axis="y", color=RULE, linewidth=0.8)
        for axis in (ax.xaxis, ax.yaxis):
            scales.rate_ticks(axis, "accuracy")
        figure.legend(*ax.get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False,
                      fontsize=drawing.FONT_SIZE - 2)  # fmt: skip
        return drawing.to_svg(figure, "coverage", "Accuracy of the share of samples that a model is surest of")


def _main_rows(models: Sequence[Report]) -> list[Row]:
    rows = [
        _row("Clean accuracy", models, lambda one: one["clean"], accuracy_cell),
        _row("Corrupted accuracy", models, lambda one: one["corrupted"], accuracy_cell),
        _row("Its worst class", models, lambda one: one["worst_class"], accuracy_cell),
        _row("Corruption error (mCE)", models, lambda one: one["mce"], _ratio, "the control is 1; lower is better"),
        _row("Train less test accuracy", models, lambda one: one["over_fitting"], _points, "lower is better"),
    ]
    at = [next(a for c, a in one["coverage"] if c == SHARE) for one in models]
    rows.append(Row("Clean, surest 80 %", "", [Cell(numbers.percent(value)) for value in at], "higher is better"))
    return [row for row in rows if any(cell.text != numbers.MISSING for cell in row.cells)]


def _row(
    title: str,
    models: Sequence[Report],
    read: Callable[[Report], Report | None],
    write: Callable[[Report], Cell],
    better: str = "higher is better",
) -> Row:
    found = [read(one) for one in models]
    return Row(title, "", [Cell(numbers.MISSING) if entry is None else write(entry) for entry in found], better)


def _ratio(entry: Report) -> Cell:
    return Cell(numbers.fixed(entry["mean"], 2), numbers.interval(entry["ci95"], 1, 2))


def _points(entry: Report) -> Cell:
    return Cell(numbers.points(entry["mean"]), numbers.interval(entry["ci95"]))


def _by_family(found: Report, models: Sequence[Report]) -> list[Group]:
    """Return the mean accuracy over severities under each corruption, by family."""
    families: dict[str, list[Row]] = {}
    for name, about in found["corruptions"].items():
        each = [one["by_corruption"].get(name) for one in models]
        cells = [Cell(numbers.percent(sum(values) / len(values)) if values else numbers.MISSING) for values in each]
        families.setdefault(about["family"], []).append(Row(name.replace("_", " "), "", cells))
    return [Group(f"Accuracy by corruption: {family}", rows) for family, rows in families.items()]


def _unseen(found: Report, models: Sequence[Report]) -> list[Group]:
    groups = []
    for foreign in found["settings"]["foreign"]:
        rows = [
            Row(title, "", [accuracy_cell(one["foreign"][foreign][score][figure]) for one in models], better)
            for score, by in SCORES.items()
            for figure, title, better in (
                ("auroc", f"AUROC, by {by}", "higher is better"),
                ("fpr95", f"Accepted at 95 %, by {by}", "lower is better"),
            )
        ]
        groups.append(Group(f"Told from samples of another kind: {foreign}", rows))
    return groups
