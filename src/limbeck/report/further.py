"""Several tasks at once: every model's accuracy in each task, and the verdict of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from limbeck.report import measures, names, numbers
from limbeck.report.facts import gain_interval
from limbeck.report.tables import Column, Group, Row, Table, accuracy_cell

Report = Mapping[str, Any]
MAIN = "main"
NAMED = 6


def tasks_table(report: Report) -> Table | None:
    """Compare models in every task, the main one first; None where there is one alone."""
    found = report.get("tasks")
    if not found:
        return None
    models = {key: one for key, one in report["models"].items() if one["role"] != "member"}
    columns = [Column(names.model_label(models, key), one["title"], one["role"]) for key, one in models.items()]
    main = Row(
        "Main task",
        "The classes of the data.",
        [accuracy_cell(one["metrics"]["accuracy"]) for one in models.values()],
        f"{numbers.count(report['data']['test'])} test samples",
    )
    return Table(columns, [Group("Accuracy", [main, *(_row(task, list(models)) for task in found)])])


def tasks_told(report: Report) -> list[tuple[str, Report, str]]:
    """Return name, verdict and gain in words of each further task that has a verdict."""
    judged = [(task["name"], task["verdict"]) for task in report.get("tasks") or () if task["verdict"]]
    return [
        (name, one, f"{measures.gain_text('accuracy', one['gain'])}, {gain_interval('accuracy', one['ci95'])}")
        for name, one in judged
    ]


def tasks_notes(report: Report) -> Iterator[str]:
    """Yield what a reader should know of the tasks: their classes, their teachers, and the weights they ended with."""
    for task in report.get("tasks") or ():
        groups = "; ".join(f"{name}: {_listed(of)}" for name, of in task["classes"].items())
        teacher = f"Its teacher is {task['teacher']}." if task["teacher"] else "It has no teacher of its own."
        yield f"{task['name']} ({groups}). {teacher}{_weights_told(task)}"


def _row(task: Mapping[str, Any], keys: list[str]) -> Row:
    cells = [accuracy_cell(task["models"].get(key, {}).get("accuracy")) for key in keys]
    return Row(
        task["name"],
        "Accuracy of the task's own head; of its own teacher under teacher.",
        cells,
        f"{numbers.count(task['test'])} test samples, {len(task['classes'])} classes",
    )


def _weights_told(task: Mapping[str, Any]) -> str:
    found = task["weights"].get("student")
    if not found:
        return ""
    return (
        f" In the end its loss was multiplied by {found[task['name']]:.3g}, that of the main task by {found[MAIN]:.3g}."
    )


def _listed(classes: list[str]) -> str:
    return ", ".join(classes[:NAMED]) + (f" and {len(classes) - NAMED} more" if len(classes) > NAMED else "")
