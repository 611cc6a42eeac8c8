"""Tables for the terminal, made to fit 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

SHOWN = ("accuracy", "worst_class_accuracy", "nll", "ece")


def report_table(report: Mapping[str, Any]) -> Table:
    """Return teacher, student and controls of one run."""
    table = _table("model", "accuracy", "95 %", "params", "bytes", "steps")
    for key, model in report["models"].items():
        accuracy = model["metrics"]["accuracy"]
        table.add_row(
            escape(key),
            f"{accuracy['mean']:.1%}",
            _interval(accuracy["ci95"]),
            f"{model['parameters']:,}",
            f"{model['bytes']:,}",
            "-" if model["steps"] is None else f"{model['steps']:,}",
        )
    return table


def metrics_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the main metrics of some models."""
    table = _table("model", "accuracy", "95 %", "worst class", "nll", "ece")
    for name, metrics in found.items():
        accuracy, worst, nll, ece = (metrics[metric] for metric in SHOWN)
        table.add_row(
            escape(name), f"{accuracy['mean']:.1%}", _interval(accuracy["ci95"]),
            f"{worst['mean']:.1%}", f"{nll['mean']:.3f}", "-" if ece is None else f"{ece['mean']:.3f}",
        )  # fmt: skip
    return table


def runs_table(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return several runs side by side: student, best control, gain and verdict."""
    table = _table("run", "student", "control", "gain", "95 %", "verdict")
    for folder, report in reports.items():
        verdict, models = report["verdict"], report["models"]
        student = f"{models['student']['metrics']['accuracy']['mean']:.1%}"
        if verdict is None:
            table.add_row(escape(folder), student, "-", "-", "-", "no controls")
            continue
        against = report["stages"][-1]["controls"][verdict["against"]]
        table.add_row(
            escape(folder), student, f"{models[against]['metrics']['accuracy']['mean']:.1%}",
            f"{verdict['gain'] * 100:+.1f}", _interval(verdict["ci95"], signed=True), verdict["outcome"],
        )  # fmt: skip
    return table


def listing_table(rows: list[dict[str, str]]) -> Table:
    """Return names with their options and what they are."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("options (default)")
    table.add_column("what it is")
    for row in rows:
        table.add_row(escape(row["name"]), escape(row["options"]), escape(row["summary"]))
    return table


def findings_table(findings: list[dict[str, str]]) -> Table:
    """Return what preflight found, the worst first."""
    colours = {"fault": "bold red", "warning": "yellow", "note": "dim"}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("level", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("what was found")
    for finding in findings:
        level = finding["level"]
        table.add_row(f"[{colours[level]}]{level}[/]", escape(finding["name"]), escape(finding["sentence"]))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _interval(ci95: list[float] | None, signed: bool = False) -> str:
    if ci95 is None:
        return "-"
    sign = "+" if signed else ""
    return f"{ci95[0] * 100:{sign}.1f} to {ci95[1] * 100:{sign}.1f}"
