"""Tables for the terminal, made to fit its width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from limbeck.cli.narrow import Narrowing

KEPT = "Figures of each model's kept seed, the best on validation{samples}; a run's report gives means over seeds."

LEAST_SHARE = 0.001  # of a run's time, to be shown


def report_table(report: Mapping[str, Any]) -> Narrowing:
    """Return teacher, student and controls of one run."""
    rows = []
    for name, model in report["models"].items():
        accuracy = model["metrics"]["accuracy"]
        counts = ["-" if model[key] is None else f"{model[key]:,}" for key in ("parameters", "bytes", "steps")]
        rows.append([name, f"{accuracy['mean']:.1%}", _interval(accuracy["ci95"]), *counts])
    columns = ("model", "accuracy", "95 %", "params", "bytes", "steps")
    return Narrowing(columns, rows, spare=("steps", "bytes", "params", "95 %"))


def sweep_table(report: Mapping[str, Any]) -> Narrowing:
    """Return the variants of a sweep, the chosen one marked."""
    rows = []
    for variant in report["variants"]:
        verdict, accuracy = variant["verdict"], variant["metrics"]["accuracy"]
        gain = ["-", "no controls"] if verdict is None else [f"{verdict['gain'] * 100:+.1f}", verdict["outcome"]]
        chosen = "chosen" if variant["chosen"] else ""
        figures = [f"{accuracy['mean']:.1%}", _interval(accuracy["ci95"]), f"{variant['validation_accuracy']:.1%}"]
        rows.append([variant["title"], *figures, *gain, chosen])
    columns = ("variant", "accuracy", "95 %", "validation", "gain", "verdict", "")
    return Narrowing(columns, rows, spare=("95 %", "validation", "gain"))


def files_table(report: Mapping[str, Any]) -> Narrowing:
    """Return the exported files of one run; ratio: of the latency with one thread to that of the float file."""
    export = report["export"]
    files = [entry for entry in (export["onnx"], export["int8"]) if entry and entry["file"]]
    base = files[0]["latency_ms"][0]["p50"]
    rows = []
    for entry in files:
        accuracy, worst = (entry["metrics"][name] for name in ("accuracy", "worst_class_accuracy"))
        shares = [f"{accuracy['mean']:.1%}", _interval(accuracy["ci95"]), f"{worst['mean']:.1%}"]
        fast = entry["latency_ms"][0]["p50"]
        speed = [f"{entry['bytes']:,}", f"{fast:.3f}", f"{fast / base:.2f}"]
        rows.append([entry["file"].rpartition("/")[2], *shares, *speed])
    columns = ("file", "accuracy", "95 %", "worst class", "bytes", "ms", "ratio")
    return Narrowing(columns, rows, spare=("ratio", "worst class", "95 %", "ms"))


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
    rows = []
    for name, metrics in found.items():
        accuracy, worst, nll, ece = (metrics[name] for name in ("accuracy", "worst_class_accuracy", "nll", "ece"))
        shares = [f"{accuracy['mean']:.1%}", _interval(accuracy["ci95"]), f"{worst['mean']:.1%}"]
        rows.append([name, *shares, f"{nll['mean']:.3f}", "-" if ece is None else f"{ece['mean']:.3f}"])
    columns = ("model", "accuracy", "95 %", "worst class", "nll", "ece")
    table = Narrowing(columns, rows, spare=("ece", "nll", "worst class", "95 %"))
    return Group(KEPT.format(samples=_samples(found)), table)


def runs_table(reports: Mapping[str, Mapping[str, Any]]) -> Narrowing:
    """Return several runs side by side: student, best control, gain and verdict."""
    rows = []
    for folder, report in reports.items():
        verdict, models = report["verdict"], report["models"]
        student = f"{models['student']['metrics']['accuracy']['mean']:.1%}"
        if verdict is None:
            rows.append([folder, student, "-", "-", "-", "no controls"])
            continue
        against = report["stages"][-1]["controls"][verdict["against"]]
        control = f"{models[against]['metrics']['accuracy']['mean']:.1%}"
        gain = [f"{verdict['gain'] * 100:+.1f}", _interval(verdict["ci95"], signed=True)]
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


def _interval(ci95: Sequence[float] | None, signed: bool = False) -> str:
    if ci95 is None:
        return "-"
    sign = "+" if signed else ""
    return f"{ci95[0] * 100:{sign}.1f} to {ci95[1] * 100:{sign}.1f}"
