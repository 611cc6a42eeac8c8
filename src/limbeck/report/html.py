"""The page: one HTML file that needs nothing else, made from report.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from limbeck.evaluate.wording import inside
from limbeck.report import attacks, facts, figures, measures, names, numbers, robustness, sweep, tables
from limbeck.report.balance import balance_facts, balance_figure, balanced
from limbeck.report.class_groups import earlier_table, earlier_told, hidden_limit, hidden_table
from limbeck.report.confusion import confusion_figure
from limbeck.report.curves import curve_figure
from limbeck.report.domains import domain_figure, domains_table, pictured
from limbeck.report.further import tasks_notes, tasks_table, tasks_told
from limbeck.report.generated import gauges_figure, generated_facts, pictured_classes
from limbeck.report.reliability import reliability_figure
from limbeck.report.scatter import scatter_figure
from limbeck.report.slices import slice_notes

Report = Mapping[str, Any]
TEMPLATES = Path(__file__).parent


def render_html(report: Report) -> str:
    """Return the whole page for a report.json that has been read; the same report gives the same text.

    The page loads nothing: style and drawings are inside. Raises KeyError where the report lacks a key of
    its schema.
    """
    return _render("template.html.j2", {
        **_shared(report),
        "models": tables.models_table(report),
        "stages": [_stage(report, stage) for stage in report["stages"]],
        "sweep_lines": sweep.sweep_lines(report),
        "sweep_drawings": _sweep_drawings(report),
        "tasks": tasks_table(report),
        "tasks_notes": list(tasks_notes(report)),
        "tasks_told": tasks_told(report),
        "domains": domains_table(report),
        "domain_drawings": _drawn(report, domain_figure, pictured(report)),
        "earlier": earlier_table(report),
        "earlier_told": earlier_told(report) if report.get("earlier_classes") else "",
        **_robust(report),
        "hidden": hidden_table(report),
        "hidden_limit": hidden_limit(report) if report.get("hidden_classes") else "",
        "generated": generated_facts(report),
        "generated_pictures": pictured_classes(report),
        "gauges": Markup(gauges_figure(report)) if (report.get("generated") or {}).get("gauges") else "",  # noqa: S704
        "export_table": tables.export_table(report),
        "file_verdicts": [(*found, facts.files_judged(found[1])) for found in facts.file_verdicts(report)],
        "gate_told": facts.gate_told(report),
        "cost_table": tables.cost_table(report),
        "devices_table": tables.devices_table(report),
        "size": Markup(figures.size_figure(report)),  # noqa: S704  text in drawings is escaped
        "curves": _drawn(report, curve_figure, _own(report, "curves")),
        "balance": _drawn(report, balance_figure, balanced(report)),
        "balance_facts": [fact for key in balanced(report) for fact in balance_facts(report, key)],
        "reliability": _drawn(report, reliability_figure, _reliability_keys(report)),
        "confusion": _drawn(report, confusion_figure, list(report["confusion"])),
        "scatter": _scatter(report),
        "labels": tables.labels_table(report),
        "validated_by": measures.measure(measures.validated_by(report)).label,
        "better": _better(report),
        "layers": facts.layer_facts(report),
        "frozen": facts.frozen_facts(report),
        "lora": facts.lora_facts(report),
        "cost": facts.cost_facts(report),
        "environment": facts.environment_facts(report),
        "data": facts.data_facts(report),
    })  # fmt: skip


def _robust(report: Report) -> dict[str, Any]:
    found = robustness.section_of(report)
    drawn = [("Accuracy against severity", robustness.severity_figure)] if found and found["corruptions"] else []
    drawn += [("Accuracy against the radius of attacks", attacks.radius_figure)] if attacks.attack_table(report) else []
    drawn += [("Accuracy against coverage, clean samples", robustness.coverage_figure)] if found else []
    return {
        "robust": found,
        "robust_facts": robustness.robust_facts(report),
        "robust_table": robustness.robust_table(report),
        "robust_drawings": [(title, Markup(draw(report))) for title, draw in drawn],  # noqa: S704
        "slice_notes": slice_notes(found),
        "family_gains": robustness.family_gains(report),
        "robust_label": lambda key: robustness.label(report, key),
        "attack_table": attacks.attack_table(report),
        "attack_facts": attacks.attack_facts(report),
        "attack_warnings": attacks.attack_warnings(report),
        "attack_verdicts": attacks.attack_verdicts(report),
    }


def render_summary(report: Report) -> str:
    """Return a short HTML fragment for a notebook: the verdict, the main drawing and the metrics."""
    full = tables.models_table(report)
    table = tables.Table(full.columns, full.groups[:1])
    return _render("summary.html.j2", {**_shared(report), "models": table})


def _shared(report: Report) -> dict[str, Any]:
    verdict = report["verdict"]
    return {
        "report": report,
        "verdict": verdict,
        "subject": inside((verdict or {}).get("subject", "Distillation")),
        "verdict_facts": facts.verdict_facts(report, verdict) if verdict else [],
        "accuracy": Markup(figures.accuracy_figure(report)),  # noqa: S704  text in drawings is escaped
        "gain": lambda value: measures.gain_text(report["primary"], value),
        "gain_interval": lambda bounds: facts.gain_interval(report["primary"], bounds),
        "percent": numbers.percent,
        "metric": measures.measure(report["primary"]).label,
    }


def _render(name: str, values: Mapping[str, Any]) -> str:
    loader = FileSystemLoader(TEMPLATES)
    templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                            lstrip_blocks=True)  # fmt: skip
    page = templates.get_template(name).render(values)
    return page.encode("utf-8", "replace").decode("utf-8")


def _stage(report: Report, stage: Report) -> dict[str, Any]:
    verdict = stage["verdict"]
    primary = report["primary"]
    metric = report["models"][stage["model"]]["metrics"].get(primary)
    return {
        "name": facts.stage_title(stage),
        "value": measures.value_text(primary, metric["mean"] if metric else None),
        "verdict": verdict,
        "against": facts.stage_against(report, stage),
    }


def _drawn(report: Report, draw: Any, keys: list[str]) -> list[tuple[str, str, Markup]]:
    """Return (name, title, drawing) for each key of the report's models."""
    models = report["models"]
    titles = {key: models[key]["title"] if key in models else key for key in keys}
    return [(names.model_label(models, key), titles[key], Markup(draw(report, key))) for key in keys]  # noqa: S704


def _scatter(report: Report) -> list[tuple[str, str, Markup]]:
    """Return (name, title, drawing) for each value of each model whose values are drawn against the true ones."""
    models, found = report["models"], report.get("scatter") or {}
    return [
        (names.model_label(models, key), one["name"], Markup(scatter_figure(report, key, place)))  # noqa: S704
        for key, drawn in found.items()
        for place, one in enumerate(drawn)
    ]


def _better(report: Report) -> str:
    """Return which way of the drawing of size against the deciding metric is better."""
    metric = report["models"]["student"]["metrics"][report["primary"]]
    if report["primary"] == "accuracy":
        return "Up and to the left is better: right more often, with fewer bytes."
    return f"{'Up' if metric['higher_is_better'] else 'Down'} and to the left is better, with fewer bytes."


def _sweep_drawings(report: Report) -> list[tuple[str, Markup]]:
    """Return (key, drawing) for each swept key that has more than one value."""
    keys = report["sweep"]["keys"] if report["sweep"] else []
    return [
        (key, Markup(sweep.sweep_figure(report, key)))  # noqa: S704  text in drawings is escaped
        for key in keys
        if len({str(variant["settings"][key]) for variant in report["variants"]}) > 1
    ]


def _own(report: Report, part: str) -> list[str]:
    return [key for key in report["models"] if report[part].get(key)]


def _reliability_keys(report: Report) -> list[str]:
    """Return the teachers, the student and the control that the verdict is against (or else the first)."""
    models = report["models"]
    keys = _own(report, "reliability")
    controls = [key for key in keys if models[key]["role"] == "control"]
    against = facts.against_key(report, report["verdict"])
    chosen = against if against in controls else next(iter(controls), None)
    return [key for key in keys if models[key]["role"] in {"teacher", "student"} or key == chosen]
