"""Short lists of label and value: the verdict's figures, cost, environment and data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import measures, names, numbers

Fact = tuple[str, str]
_MOST_NAMED = 12


def against_key(report: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> str | None:
    """Return the key in report["models"] of the control that a verdict is against, if there is one."""
    if verdict is None:
        return None
    models, against = report["models"], verdict["against"]
    named = (key for key, m in models.items() if m["role"] == "control" and m["name"] == against)
    return str(against) if against in models else next(named, None)


def against_title(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Return the name of the verdict's control, and what it is where the report says so."""
    key = against_key(report, verdict)
    return names.name_and_title(report["models"][key]) if key else str(verdict["against"])


def stage_against(report: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    """Return which of a stage's own controls its verdict is against; a dash where there is no verdict."""
    verdict = stage["verdict"]
    if not verdict:
        return numbers.MISSING
    key = stage["controls"].get(verdict["against"])
    return names.name_and_title(report["models"][key]) if key in report["models"] else str(verdict["against"])


def stage_title(stage: Mapping[str, Any]) -> str:
    """Return a stage's name, and which stage taught it where that was not the teacher of the run."""
    teacher = stage.get("teacher")  # no key of older reports
    return f"{stage['name']}, taught by {teacher}" if teacher else str(stage["name"])


def verdict_facts(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[Fact]:
    """Return the figures behind a verdict; what is not known is left out, and the gap unless it was helped."""
    name = report["primary"]
    closed = verdict["gap_closed"] if verdict["outcome"] == "helped" else None
    facts = [
        ("Measured against", against_title(report, verdict)),
        ("Gap to the teacher closed", numbers.percent(closed)),
        ("Gain by seed", _gains(name, verdict["values"])),
        ("p-value", numbers.significant(verdict["p_value"])),
        ("Counts as equal within", measures.gain_text(name, verdict["margin"]).replace("+", "±")),
        ("More seeds that would tell", numbers.count(verdict["more_seeds"])),
        ("More test samples that would tell", numbers.count(verdict["more_samples"])),
    ]
    return _known(facts)


def _gains(name: str, values: list[float] | None) -> str:
    if values is None or len(values) < 2:
        return numbers.MISSING
    texts = [measures.gain_text(name, value) for value in values]
    unit = " points" if measures.measure(name).rate else ""
    return " · ".join(text.removesuffix(unit) for text in texts) + unit


def gain_interval(name: str, bounds: Any) -> str:
    """Write the 95 % interval of a gain in a metric, with its unit: "5.8 to 8.4 points"."""
    text = measures.interval_text(name, bounds)
    return f"{text} points" if measures.measure(name).rate and text != numbers.MISSING else text


def files_judged(verdict: Mapping[str, Any]) -> str:
    """Return in a sentence which files the verdict on exported files is over."""
    seeds = verdict["seeds"]
    if seeds == 1:
        return "Verdict over one file of the student and one of the control."
    return (
        f"Verdict over {seeds} files of the student and {seeds} of the control, one a seed; "
        "the other figures here are of the file that ships."
    )


def gate_told(report: Mapping[str, Any]) -> list[str]:
    """Return what the gate said of the int8 file, then every attempt where there was more than one."""
    int8 = (report["export"] or {}).get("int8")
    gate = int8.get("gate") if int8 else None
    if not gate:
        return []
    attempts = gate["attempts"] if len(gate["attempts"]) > 1 else []
    told = [
        f"{place}. {'Passed' if one['passed'] else 'Refused'}: {one['did']}. {one['sentence']}"
        for place, one in enumerate(attempts, start=1)
    ]
    return [f"The int8 file. {gate['sentence']}", *told]


def file_verdicts(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the verdicts on the exported files, each with what its files are called."""
    export = report["export"] or {}
    int8 = export.get("int8") or {}
    named = [("ONNX", export.get("verdict")), ("8-bit ONNX", int8.get("verdict"))]
    return [(name, verdict) for name, verdict in named if verdict]


def cost_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Return what the run took: teacher forwards, time by part, memory."""
    cost = report["cost"]
    memory = cost["peak_memory_mib"]
    parts = [(part.capitalize(), numbers.duration(seconds)) for part, seconds in cost["seconds"].items()]
    return _known([
        ("Samples shown to the teacher", numbers.count(cost["teacher_forwards"])),
        ("Spot checks of the teacher", numbers.count(cost["teacher_spot_checks"])),
        ("Sent to the teacher's server", _queries(cost.get("teacher_queries"))),
        ("How they were kept", _text(cost.get("knowledge"))),
        ("Fits of controls taken from the cache", numbers.count(cost.get("controls_from_cache") or None)),
        ("Peak memory", f"{numbers.count(memory)} MiB" if numbers.known(memory) else numbers.MISSING),
        *((f"Time: {part.lower()}", text) for part, text in parts),
    ])  # fmt: skip


def environment_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Return where the run took place, and the versions that made it."""
    places = report["environment"]
    facts = [(name.replace("_", " ").capitalize(), _text(value)) for name, value in places.items()]
    return _known([("Limbeck", report["limbeck"]), *facts, ("Finished", report["created"])])


def layer_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Return which layers of student and teacher were compared, by stage and term; none in older reports."""
    several = len(report["stages"]) > 1
    return [
        (
            f"{stage['name']}, {pair['term']}" if several else pair["term"],
            f"{_layer(pair, 'student')} with the teacher's {_layer(pair, 'teacher')}",
        )
        for stage in report["stages"]
        for pair in stage.get("layers") or []
    ]


_FEATURES = {
    None: "",
    "memory": "; what it gives was computed once and kept in memory",
    "stored": "; what it gives was computed once and is stored",
}


def frozen_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Return what each stage left as it was, with the checksum that proves it; none in older reports."""
    return [
        (
            stage["name"],
            f"{', '.join(frozen['patterns'])}: {numbers.count(frozen['parameters'])} values in {frozen['tensors']} "
            f"tensors, SHA-256 {frozen['checksum'][:16]}… before and after training{_FEATURES[frozen.get('features')]}",
        )
        for stage in report["stages"]
        if (frozen := stage.get("frozen"))
    ]


def lora_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Return what adapters each stage trained, and how exactly they were merged; none in older reports."""
    return [
        (
            stage["name"],
            f"rank {lora['rank']}, alpha {lora['alpha']:g}, beside {lora['layers']} layers: "
            f"{numbers.count(lora['trained'])} values trained, the classifier's among them, of a network of "
            f"{numbers.count(lora['parameters'])}; merged into its weights, which moved logits by "
            f"{lora['merging_error']:.0e} at most",
        )
        for stage in report["stages"]
        if (lora := stage.get("lora"))
    ]


def _layer(pair: Mapping[str, Any], role: str) -> str:
    return f"{pair[role]} ({' × '.join(map(str, pair[f'{role}_shape']))})"


def data_facts(report: Mapping[str, Any]) -> list[Fact]:
    """Return what the models were trained and judged on."""
    data = report["data"]
    shape = " × ".join(map(str, data["shape"])) if data["shape"] else numbers.MISSING
    return _known([
        ("Source", _text(data["source"])),
        ("Kind", f"{_text(data['kind'])}, {shape}"),
        ("Columns", _columns(data.get("columns"))),
        ("Classes", _classes(data["classes"])),
        ("Training", _split(data["train"], "labelled", data["labelled"])),
        ("Validation", _split(data["validation"], "labelled", data["validation_labelled"])),
        ("Test", numbers.count(data["test"])),
        ("Seed of the split", _text(data["split_seed"])),
        ("Augmentation", ", ".join(data["augment"] or []) or "none"),
        ("Views of each sample", _text(data["views"])),
        ("Corrupted", _text(data.get("corruptions"))),
    ])  # fmt: skip


def _columns(columns: Mapping[str, int] | None) -> str:
    """Write how many columns of a table hold numbers and how many categories; a dash for other data."""
    if columns is None:
        return numbers.MISSING
    return f"{numbers.count(columns['numbers'])} of numbers, {numbers.count(columns['categories'])} of categories"


def _split(total: int | None, word: str, part: int | None) -> str:
    remark = f", {numbers.count(part)} {word}" if part is not None and part != total else ""
    return numbers.count(total) + remark


def _classes(classes: list[str] | None) -> str:
    if not classes:
        return numbers.MISSING
    rest = len(classes) - _MOST_NAMED
    named = ", ".join(classes[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return f"{len(classes)}: {named}"


def _queries(counted: Mapping[str, int | None] | None) -> str:
    """Say what a teacher whose every question counts was sent; MISSING for other teachers."""
    if counted is None:
        return numbers.MISSING
    mine = f"{numbers.count(counted['samples'])} samples in {numbers.count(counted['requests'])} requests"
    limit = f" of {numbers.count(counted['budget'])}" if counted["budget"] is not None else ""
    return f"{mine}, retries included; {numbers.count(counted['ever'])}{limit} in all runs"


def _text(value: object) -> str:
    return numbers.MISSING if value is None else str(value)


def _known(facts: list[Fact]) -> list[Fact]:
    return [(label, text) for label, text in facts if text != numbers.MISSING]
