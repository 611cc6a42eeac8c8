"""Both domains of a run with a target: accuracy in either one, the gap between them, and a picture of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import drawing, names, numbers
from limbeck.report.drawing import ACCENT, MUTED
from limbeck.report.tables import Cell, Column, Group, Row, Table, accuracy_cell

Report = Mapping[str, Any]
DOMAINS = (("source", MUTED, "o"), ("target", ACCENT, "^"))


def domains_table(report: Report) -> Table | None:
    """Compare models in both domains; None where there is one alone."""
    found = report.get("domains")
    if not found:
        return None
    models = {key: report["models"][key] for key in found["models"]}
    columns = [Column(names.model_label(models, key), one["title"], one["role"]) for key, one in models.items()]
    told = list(found["models"].values())
    accuracy = [
        Row("In the target", "test samples", [accuracy_cell(one["metrics"]["accuracy"]) for one in models.values()]),
        Row("In the source", "its own test samples", [accuracy_cell(one["in_domain_accuracy"]) for one in told]),
    ]
    gap = [
        Row(
            "Discrepancy (MMD², unbiased)",
            "0 is alike",
            [_figure(one["discrepancy"]) for one in told],
            "lower is better",
        ),
        Row(
            "Proxy A-distance", "0 alike, 2 apart", [_figure(one["proxy_distance"]) for one in told], "lower is better"
        ),
    ]
    return Table(columns, [Group("Accuracy", accuracy), Group("Gap before the classifier", gap)])


def pictured(report: Report) -> list[str]:
    """Return the models whose features are drawn: the student, and the control that the verdict is against."""
    found = (report.get("domains") or {"models": {}})["models"]
    verdict = report["verdict"]
    wanted = ["student", *([verdict["against"]] if verdict else [])]
    return [key for key in wanted if found.get(key, {}).get("picture")]


def domain_figure(report: Report, key: str) -> str:
    """Draw a model's features of both domains on their two main axes; an SVG element."""
    points = report["domains"]["models"][key]["picture"]
    with drawing.themed():
        figure = drawing.canvas(4.6, 3.4)
        ax = drawing.axes(figure, 0.2, 0.35, 0.2, 0.15)
        for name, colour, marker in DOMAINS:
            across, up = zip(*points[name], strict=True)
            ax.scatter(across, up, s=12, marker=marker, color=colour, alpha=0.55, linewidths=0, label=name)
        ax.set_xticks([])
        ax.set_yticks([])
        figure.legend(
            *ax.get_legend_handles_labels(), loc="lower center", ncols=2, frameon=False, fontsize=drawing.FONT_SIZE - 2
        )
        who = names.model_label(report["models"], key)
        place = list(report["models"]).index(key)
        return drawing.to_svg(figure, f"domains-{place}", f"Features of {who}: source and target, two main axes")


def _figure(value: float | None) -> Cell:
    return Cell(numbers.MISSING if value is None else f"{value:.3f}")
