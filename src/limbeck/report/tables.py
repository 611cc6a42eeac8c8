"""The report's tables as plain values, so that the page and the Markdown text show the same cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.report import measures, names, numbers

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One value, its interval or other remark, and whether it is the best beside the teacher."""

    text: str
    note: str = ""
    best: bool = False


def accuracy_cell(metric: Entry | None) -> Cell:
    """Return an accuracy with its interval; a dash where there is none."""
    if metric is None:
        return Cell(numbers.MISSING)
    return Cell(measures.value_text("accuracy", metric["mean"]), measures.interval_text("accuracy", metric["ci95"]))


@dataclass(frozen=True)
class Row:
    """One quantity: its label, what it means, a cell for each column, and which way is better."""

    label: str
    meaning: str
    cells: Sequence[Cell]
    better: str = ""


@dataclass(frozen=True)
class Group:
    """Rows that belong together."""

    title: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Column:
    """One model or file: its short name, what it is, and its role (a model's role, or "file")."""

    name: str
    title: str
    role: str


@dataclass(frozen=True)
class Table:
    """Quantities by row, models by column."""

    columns: Sequence[Column]
    groups: Sequence[Group]


def models_table(report: Entry) -> Table:
    """Compare teacher, student and controls; a quantity that no model has is left out."""
    found = report["models"]
    models = list(found.values())
    columns = [Column(names.model_label(found, key), m["title"], m["role"]) for key, m in found.items()]
    groups = [
        Group("On the test data", metric_rows(models)),
        Group("Training", _kept(_training_rows(models, measures.validated_by(report)))),
        Group("Cost of use", _kept([*_weight_rows(models), *latency_rows(models)])),
    ]
    return Table(columns, [group for group in groups if group.rows])


def labels_table(report: Entry) -> Table | None:
    """Compare the models label by label, or value by value; None where there is one alone, or one class a sample."""
    found = report.get("by_label") or {}
    if not found:
        return None
    models = report["models"]
    columns = [Column(names.model_label(models, key), models[key]["title"], models[key]["role"]) for key in found]
    each = list(found.values())
    metrics = measures.ordered({name for label in each[0] for name in label if name != "name"})
    groups = [
        Group(measures.measure(name).label, [_label_row(name, place, each) for place in range(len(each[0]))])
        for name in metrics
    ]
    return Table(columns, groups)


def _label_row(metric: str, place: int, models: Sequence[Sequence[Entry]]) -> Row:
    found = [labels[place][metric] for labels in models]
    return Row(
        models[0][place]["name"], "", [_metric_cell(metric, m, None) if m else Cell(numbers.MISSING) for m in found]
    )


def export_table(report: Entry) -> Table | None:
    """Describe the exported files; None where nothing was exported."""
    files = _files(report)
    if not files:
        return None
    entries = list(files.values())
    columns = [Column(name, entry["file"], "file") for name, entry in files.items()]
    groups = [
        Group("The file against what it was made from", _kept(_fidelity_rows(entries))),
        Group("On the test data, by the file", metric_rows(entries)),
    ]
    return Table(columns, groups)


def cost_table(report: Entry) -> Table | None:
    """Set teacher, student and exported files side by side in bytes and latency; None where nothing was exported."""
    files = _files(report)
    if not files:
        return None
    models = {name: report["models"][name] for name in ("teacher", "student") if name in report["models"]}
    columns = [Column(name, model["architecture"] or name, model["role"]) for name, model in models.items()]
    columns += [Column(name, entry["file"], "file") for name, entry in files.items()]
    entries = [*models.values(), *files.values()]
    size = _row("Size", "Bytes of the weights; of a file, all of it.", entries, "bytes", numbers.size)
    pairs = [(size, [entry["bytes"] for entry in entries])]
    pairs += [(row, _medians(row.label, entries)) for row in latency_rows(entries)]
    groups = [
        Group("Cost of use", _kept([row for row, _ in pairs])),
        Group(f"As a multiple of the {columns[0].name}'s", _kept([_ratio_row(*pair) for pair in pairs])),
    ]
    return Table(columns, [group for group in groups if group.rows])


def devices_table(report: Entry) -> Table | None:
    """Describe what was measured of the files on each device; None where nobody measured."""
    measured = (report["export"] or {}).get("measured") or []
    names = list(dict.fromkeys(name for one in measured for name in one["files"]))
    groups = [Group(_device(one), _device_rows(one, names)) for one in measured]
    return Table([Column(name, name, "file") for name in names], groups) if measured else None


def _files(report: Entry) -> dict[str, Entry]:
    """Return the exported files by what they are called on the page."""
    export = report["export"] or {}
    formats = {"onnx": "ONNX", "int8": "8-bit ONNX"}
    return {title: export[name] for name, title in formats.items() if export.get(name) and export[name]["file"]}


def _medians(label: str, entries: Sequence[Entry]) -> list[float | None]:
    """Return the median latency of each entry for the number of threads that a row is about."""
    timings = [{_threads(one["threads"]): one["p50"] for one in entry["latency_ms"] or []} for entry in entries]
    return [found.get(label.removeprefix("Latency, ")) for found in timings]


def _ratio_row(row: Row, values: Sequence[float | None]) -> Row:
    base = values[0]
    known = base if numbers.known(base) and base > 0 else None
    ratios = [value / known if known is not None and numbers.known(value) else None for value in values]
    return Row(row.label, "", [Cell(numbers.significant(ratio)) for ratio in ratios])


def _device(measured: Entry) -> str:
    device = measured["device"]
    place = ", ".join(str(device[key]) for key in ("processor", "machine", "system") if device[key])
    return f"{place}, {device['cores']} cores, ONNX Runtime {device['onnxruntime']}, {measured['date'][:10]}"


def _device_rows(measured: Entry, names: Sequence[str]) -> list[Row]:
    empty: Entry = {"latency_ms": [], "throughput": [], "load_ms": None}
    files = [measured["files"].get(name, empty) for name in names]
    load = _row("Time to load", "", files, "load_ms", _milliseconds)
    threads = sorted({flow["threads"] for file in files for flow in file["throughput"]})
    return [load, *latency_rows(files), *(_flow_row(count, files) for count in threads)]


def _flow_row(threads: int, files: Sequence[Entry]) -> Row:
    flows = [next((flow for flow in file["throughput"] if flow["threads"] == threads), None) for file in files]
    batch = next(flow["batch"] for flow in flows if flow)
    cells = [Cell(numbers.count(flow["per_second"]) if flow else numbers.MISSING) for flow in flows]
    return Row(f"Samples a second in batches of {batch}, {_threads(threads)}", "", cells)


def metric_rows(entries: Sequence[Entry]) -> list[Row]:
    """Return a row for each metric that any of the entries has, in the page's order."""
    metrics = measures.ordered({name for entry in entries for name, metric in entry["metrics"].items() if metric})
    return _kept([_metric_row(name, entries) for name in metrics])


def _metric_row(name: str, entries: Sequence[Entry]) -> Row:
    found = [entry["metrics"].get(name) for entry in entries]
    best = _best(name, entries, found)
    pairs = zip(entries, found, strict=True)
    cells = [_metric_cell(name, m, best if _is_rival(e) else None) if m else Cell(numbers.MISSING) for e, m in pairs]
    described = next(metric for metric in found if metric)
    known = measures.measure(name)
    return Row(known.label, known.meaning, cells, measures.direction(described))


def _metric_cell(name: str, metric: Entry, best: str | None) -> Cell:
    text = measures.value_text(name, metric["mean"])
    note = measures.interval_text(name, metric["ci95"])
    return Cell(text, "" if note == numbers.MISSING else note, text == best)


def _best(name: str, entries: Sequence[Entry], found: Sequence[Entry | None]) -> str | None:
    """Return the best value as written, the teacher aside; None where there is nothing to compare."""
    rivals = [
        metric
        for entry, metric in zip(entries, found, strict=True)
        if metric and numbers.known(metric["mean"]) and _is_rival(entry)
    ]
    texts = {measures.value_text(name, metric["mean"]) for metric in rivals}
    if len(texts) < 2:
        return None
    pick = max if rivals[0]["higher_is_better"] else min
    return measures.value_text(name, pick(metric["mean"] for metric in rivals))


def _is_rival(entry: Entry) -> bool:
    """Whether an entry is a model that may be the best beside the teacher; files are not."""
    return entry.get("role") in {"student", "control", "stage"}


def _row(label: str, meaning: str, entries: Sequence[Entry], key: str, write: Callable[[Any], str]) -> Row:
    return Row(label, meaning, [Cell(write(entry[key])) for entry in entries])


def _training_rows(models: Sequence[Entry], validated_by: str) -> list[Row]:
    name = measures.measure(validated_by).label
    return [
        _row(
            "Optimizer steps",
            "Updates of the weights; student and controls take the same number.",
            models,
            "steps",
            numbers.count,
        ),
        _row(
            f"Validation {name[0].lower() + name[1:] if name[1:].islower() else name}",
            "Of the seed that was kept, on labelled validation samples.",
            models,
            "validation_accuracy",
            lambda value: measures.value_text(validated_by, value),
        ),
        _row("Best seed", "The seed that was kept, picked on validation.", models, "best_seed", numbers.count),
        _row(
            "Temperature",
            "Divides the logits; fitted on validation.",
            models,
            "temperature",
            lambda t: numbers.fixed(t, 2),
        ),
        _row("Architecture", "", models, "architecture", _text),
        _row("Weights", "The start of their SHA-256.", models, "checksum", lambda s: _text(s)[:12]),
    ]


def _weight_rows(models: Sequence[Entry]) -> list[Row]:
    return [
        _row("Parameters", "", models, "parameters", numbers.count),
        _row("Size", "Bytes of the weights.", models, "bytes", numbers.size),
        _row("Multiply-adds", "Multiplications with addition for one sample.", models, "macs", numbers.count),
    ]


def _fidelity_rows(files: Sequence[Entry]) -> list[Row]:
    return [
        _row(
            "Largest error",
            "Of any logit, against what the file was made from: the model, or the ONNX file.",
            files,
            "max_abs_error",
            numbers.significant,
        ),
        _row("Same answer", "Share of samples given the same class as before.", files, "agreement", numbers.percent),
        _row("Batch sizes tried", "", files, "parity_batches", _list),
        _row(
            "Temperature",
            "Divides the logits inside the file.",
            files,
            "temperature",
            lambda t: numbers.fixed(t, 2),
        ),
        _row("File", "The start of its SHA-256.", files, "sha256", lambda s: _text(s)[:12]),
    ]


def latency_rows(entries: Sequence[Entry]) -> list[Row]:
    """Return a row for each number of threads: half of the answers are faster than the first figure."""
    threads = sorted({timing["threads"] for entry in entries for timing in entry["latency_ms"] or []})
    meanings = ["Median time for one sample.", *("" for _ in threads[1:])]
    return [_latency_row(count, entries, said) for count, said in zip(threads, meanings, strict=False)]


def _latency_row(threads: int, entries: Sequence[Entry], meaning: str) -> Row:
    cells = []
    for entry in entries:
        timing = next((t for t in entry["latency_ms"] or [] if t["threads"] == threads), None)
        text = numbers.MISSING if timing is None else f"{numbers.significant(timing['p50'])} ms"
        slow = "" if timing is None else f"95 % under {numbers.significant(timing['p95'])}"
        cells.append(Cell(text, slow if timing and numbers.known(timing["p95"]) else ""))
    return Row(f"Latency, {_threads(threads)}", meaning, cells)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _milliseconds(value: float | None) -> str:
    return f"{numbers.significant(value)} ms" if numbers.known(value) else numbers.MISSING


def _kept(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if any(cell.text != numbers.MISSING for cell in row.cells)]


def _text(value: str | None) -> str:
    return numbers.MISSING if value is None else value


def _list(values: Sequence[int] | None) -> str:
    return numbers.MISSING if values is None else ", ".join(map(str, values))
