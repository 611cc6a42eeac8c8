"""Classes apart from the others: those that nobody labelled, and those that the student's start knew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import measures, names, numbers
from limbeck.report.tables import Cell, Column, Group, Row, Table, accuracy_cell

Report = Mapping[str, Any]

HIDDEN = {"unlabelled": "Never labelled", "unseen": "Never shown", "labelled": "Labelled"}
EARLIER = {"known": "Known before", "new": "New"}
NAMED = 12


def hidden_table(report: Report) -> Table | None:
    """Compare models on classes that were never labelled and on the others; None where all were."""
    found = report.get("hidden_classes")
    return None if not found else groups_table(report, found, HIDDEN)


def hidden_limit(report: Report) -> str:
    """Return what can be known of classes without labels, in words."""
    keys = [group["key"] for group in report["hidden_classes"]["groups"]]
    shown = {
        "unlabelled": "samples of the classes never labelled were shown without a label",
        "unseen": "of those never shown there was no sample at all",
    }
    told = "; ".join(text for key, text in shown.items() if key in keys)
    gain = _gain_told(report["hidden_classes"], HIDDEN)
    return (
        f"{told.capitalize()}. What the student knows of them it can only have from the teacher's answers, and where "
        f"those are wrong so is the student; its controls have nobody to ask.{gain}"
    )


def earlier_table(report: Report) -> Table | None:
    """Compare models on classes that the student's start knew, before and after, and on new ones; None without both."""
    found = report.get("earlier_classes")
    if not found:
        return None
    table = groups_table(report, found, EARLIER)
    before, lost = found["before"], list(found["forgotten"].values())
    rows = [
        Row("Known before, at the start", "", [accuracy_cell(before if one else None) for one in lost]),
        Row("Forgotten", "", [_lost_cell(one) for one in lost], "of the known, in points; lower is better"),
    ]
    return Table(table.columns, [Group("Accuracy", [rows[0], *table.groups[0].rows, rows[1]])])


def earlier_told(report: Report) -> str:
    """Return what the figures on old and new classes are, and what is left of the old ones, in words."""
    found = report["earlier_classes"]
    lost = found["forgotten"].get("student")
    told = f" The student has forgotten {difference_told(lost)} of what its start knew." if lost else ""
    return (
        f"The start chose among the classes it knew, the others choose among all, so a little may be lost without "
        f"anything being forgotten.{told}{_gain_told(found, EARLIER)}"
    )


def groups_table(report: Report, found: Mapping[str, Any], titles: Mapping[str, str]) -> Table:
    """Return a table of accuracy, groups of classes by row and models by column; titles: what each group is called."""
    models = {key: report["models"][key] for key in found["models"]}
    columns = [Column(names.model_label(models, key), one["title"], one["role"]) for key, one in models.items()]
    rows = [
        Row(
            f"{titles[group['key']]}: {_listed(group['classes'])}",
            "Accuracy on the test samples of these classes.",
            [accuracy_cell(one[group["key"]]) for one in found["models"].values()],
            f"{numbers.count(group['test'])} test samples",
        )
        for group in found["groups"]
    ]
    return Table(columns, [Group("Accuracy", rows)])


def difference_told(metric: Mapping[str, Any]) -> str:
    """Write a difference of accuracies with its interval: "+4.2 points (95 % 3.1 to 5.3)"."""
    bounds = metric["ci95"]
    told = "" if bounds is None else f" (95 % {measures.interval_text('accuracy', bounds)})"
    return f"{measures.gain_text('accuracy', metric['mean'])}{told}"


def _lost_cell(metric: Mapping[str, Any] | None) -> Cell:
    if metric is None:
        return Cell(numbers.MISSING)
    return Cell(measures.gain_text("accuracy", metric["mean"]), measures.interval_text("accuracy", metric["ci95"]))


def _gain_told(found: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    gains = found["gain"]
    told = [f"{titles[key].lower()} {difference_told(gain)}" for key, gain in (gains or {}).items() if gain]
    return f" The student against the verdict's control, by group: {'; '.join(told)}." if told else ""


def _listed(classes: list[str]) -> str:
    return ", ".join(classes[:NAMED]) + (f" and {len(classes) - NAMED} more" if len(classes) > NAMED else "")
