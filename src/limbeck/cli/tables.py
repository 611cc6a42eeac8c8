"""Tables for the terminal, made to fit its width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from limbeck.cli.narrow import Narrowing
from limbeck.report import measures

KEPT = "Figures of each model's kept seed, the best on validation{samples}; a run's report gives means over seeds."

LEAST_SHARE = 0.001  # of a run's time, to be shown
PRIMARIES = ("accuracy", "nmse", "mse", "map")  # the metric that decides is the first of these that is there


def report_table(report: Mapping[str, Any]) -> Narrowing:
    """Return teacher, student and controls of one run."""
    rows = []
    for name, model in report["models"].items():
        counts = ["-" if model[key] is None else f"{model[key]:,}" for key in ("parameters", "bytes", "steps")]
        rows.append([name, *_figures(report["primary"], model["metrics"]), *counts])
    columns = ("model", _short(report["primary"]), "95 %", "params", "bytes", "steps")
    return Narrowing(columns, rows, spare=("steps", "bytes", "params", "95 %"))


def sweep_table(report: Mapping[str, Any]) -> Narrowing:
    """Return the variants of a sweep, the chosen one marked."""
    rows, primary = [], report["primary"]
    for variant in report["variants"]:
        verdict = variant["verdict"]
        gain = ["-", "no controls"] if verdict is None else [_gain(primary, verdict["gain"]), verdict["outcome"]]
        chosen = "chosen" if variant["chosen"] else ""
        validation = _value(measures.validated_by(report), variant["validation_accuracy"])
        rows.append([variant["title"], *_figures(primary, variant["metrics"]), validation, *gain, chosen])
    columns = ("variant", _short(primary), "95 %", "validation", "gain", "verdict", "")
    return Narrowing(columns, rows, spare=("95 %", "validation", "gain"))


def files_table(report: Mapping[str, Any]) -> Narrowing:
    """Return the exported files of one run; ratio: of the latency with one thread to that of the float file."""
    export = report["export"]
    files = [entry for entry in (export["onnx"], export["int8"]) if entry and entry["file"]]
    base = files[0]["latency_ms"][0]["p50"]
    rows, beside = [], _beside(report["primary"])[0]
    for entry in files:
        shares = [*_figures(report["primary"], entry["metrics"]), _value(beside, entry["metrics"][beside]["mean"])]
        fast = entry["latency_ms"][0]["p50"]
        speed = [f"{entry['bytes']:,}", f"{fast:.3f}", f"{fast / base:.2f}"]
        rows.append([entry["file"].rpartition("/")[2], *shares, *speed])
    columns = ("file", _short(report["primary"]), "95 %", _short(beside), "bytes", "ms", "ratio")
    return Narrowing(columns, rows, spare=("ratio", _short(beside), "95 %", "ms"))


def profile_tables(found: Mapping[str, Any]) -> list[Narrowing]:
    """Return where the time of a run went: by phase, and by operator of each traced fit."""
    rows = [
        [one["phase"], one["group"], f"{one['seconds']:.2f}", f"{one['share']:.1%}"]
        for one in found["phases"]
        if one["share"] >= LEAST_SHARE
    ]
    tables = [Narrowing(("phase", "for", "seconds", "share"), rows, spare=("seconds",))]
    for name, operators in found["operators"].items():
        rows = [[one["operator"], f"{one['calls']:,}", f"{one['share']:.1%}"] for one in operators]
        tables.append(Narrowing((f"operator, {name}", "calls", "share"), rows, spare=("calls",)))
    return tables


def bench_table(found: Mapping[str, Any]) -> Group:
    """Return what was measured of a bundle's files, below a line that says where."""
    rows = []
    for name, file in found["files"].items():
        for timing, flow in zip(file["latency_ms"], file["throughput"], strict=True):
            times = [f"{file['load_ms']:.2f}", f"{timing['p50']:.3f}", f"{timing['p95']:.3f}"]
            rows.append([name, str(timing["threads"]), f"{file['bytes']:,}", *times, f"{flow['per_second']:,.0f}"])
    columns = ("file", "threads", "bytes", "load ms", "ms, p50", "ms, p95", "a second")
    device = found["device"]
    place = f"{device['processor'] or device['machine']}, {device['cores']} cores, ONNX Runtime {device['onnxruntime']}"
    return Group(escape(place), Narrowing(columns, rows, spare=("load ms", "bytes", "ms, p95", "a second")))


def metrics_table(found: Mapping[str, Mapping[str, Any]]) -> Group:
    """Return the main metrics of some models, below a line that says whose they are."""
    primary = next(name for name in PRIMARIES if all(metrics.get(name) for metrics in found.values()))
    beside = _beside(primary)
    rows = [
        [name, *_figures(primary, metrics), *(_plain(one, metrics[one] and metrics[one]["mean"]) for one in beside)]
        for name, metrics in found.items()
    ]
    columns = ("model", _short(primary), "95 %", *map(_short, beside))
    table = Narrowing(columns, rows, spare=(*map(_short, reversed(beside)), "95 %"))
    return Group(KEPT.format(samples=_samples(found)), table)


def runs_table(reports: Mapping[str, Mapping[str, Any]]) -> Narrowing:
    """Return several runs side by side: student, best control, gain and verdict."""
    rows = []
    for folder, report in reports.items():
        verdict, models, primary = report["verdict"], report["models"], report["primary"]
        student = _figures(primary, models["student"]["metrics"])[0]
        if verdict is None:
            rows.append([folder, student, "-", "-", "-", "no controls"])
            continue
        against = report["stages"][-1]["controls"][verdict["against"]]
        control = _figures(primary, models[against]["metrics"])[0]
        gain = [_gain(primary, verdict["gain"]), _interval(verdict["ci95"], primary, signed=True)]
        rows.append([folder, student, control, *gain, verdict["outcome"]])
    columns = ("run", "student", "control", "gain", "95 %", "verdict")
    return Narrowing(columns, rows, spare=("control", "student", "95 %", "gain"))


def listing_table(rows: list[dict[str, str]]) -> Table:
    """Return names with their options and what they are."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("options (default)", overflow="fold")
    table.add_column("what it is", overflow="fold")
    for row in rows:
        table.add_row(escape(row["name"]), escape(row["options"]), escape(row["summary"]))
    return table


def stores_table(stores: Sequence[Mapping[str, Any]]) -> Narrowing:
    """Return the knowledge stores of this machine."""
    rows = []
    for one in stores:
        counts = [str(one["classes"]), one["kept"], f"{one['rows']:,}", f"{one['bytes']:,}"]
        rows.append([one["name"], one["teacher"], *counts, ", ".join(one["augment"]) or "-", one["last_use"][:10]])
    columns = ("store", "teacher", "classes", "kept", "rows", "bytes", "views by", "last use")
    return Narrowing(columns, rows, spare=("kept", "classes", "views by", "last use"))


def verified_table(found: Mapping[str, tuple[Mapping[str, Any], bool]]) -> Narrowing:
    """Return what was found in knowledge stores."""
    rows = []
    for folder, (one, sound) in found.items():
        counts = ["-" if one[key] is None else f"{one[key]:,}" for key in ("rows", "repeated", "missing", "wrong")]
        rows.append([folder.rpartition("/")[2], *counts, f"{len(one['broken']):,}", "sound" if sound else "NOT SOUND"])
    columns = ("store", "rows", "repeated", "missing", "wrong", "broken files", "")
    return Narrowing(columns, rows, spare=("repeated",))


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


def _samples(found: Mapping[str, Mapping[str, Any]]) -> str:
    counts = {metrics["samples"] for metrics in found.values() if "samples" in metrics}
    return f", on {counts.pop():,} test samples" if len(counts) == 1 else ""


def _short(metric: str) -> str:
    """Return a metric's name for the head of a column."""
    return {"worst_class_accuracy": "worst class", "map": "mAP"}.get(metric, metric.replace("_", " "))


def _beside(primary: str) -> tuple[str, ...]:
    """Return the metrics that are shown beside the one that decides."""
    return {"accuracy": ("worst_class_accuracy", "nll", "ece"), "map": ("auroc", "f1", "exact_match")}.get(
        primary, ("mae", "r2")
    )


def _figures(primary: str, metrics: Mapping[str, Any]) -> list[str]:
    """Return the mean and the interval of the metric that decides."""
    return [_value(primary, metrics[primary]["mean"]), _interval(metrics[primary]["ci95"], primary)]


def _value(metric: str, value: float) -> str:
    return f"{value:.1%}" if measures.measure(metric).rate else measures.value_text(metric, value)


def _plain(metric: str, value: float | None) -> str:
    """Return a figure beside the main one: calibration errors as plain numbers, as the loss beside them."""
    if value is None:
        return "-"
    return f"{value:.3f}" if metric in ("nll", "ece") else _value(metric, value)


def _gain(metric: str, gain: float) -> str:
    return f"{gain * 100:+.1f}" if measures.measure(metric).rate else measures.gain_text(metric, gain)


def _interval(ci95: Sequence[float] | None, metric: str = "accuracy", signed: bool = False) -> str:
    if ci95 is None:
        return "-"
    sign = "+" if signed else ""
    if not measures.measure(metric).rate:
        return " to ".join((measures.gain_text if signed else measures.value_text)(metric, bound) for bound in ci95)
    return f"{ci95[0] * 100:{sign}.1f} to {ci95[1] * 100:{sign}.1f}"
