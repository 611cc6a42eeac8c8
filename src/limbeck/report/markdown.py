"""The report as Markdown: the same verdict, tables and figures in words, for a terminal or a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from limbeck.report import attacks, facts, measures, robustness, sweep, tables
from limbeck.report.class_groups import earlier_table, earlier_told, hidden_limit, hidden_table
from limbeck.report.domains import domains_table
from limbeck.report.further import tasks_notes, tasks_table, tasks_told
from limbeck.report.generated import generated_facts
from limbeck.report.slices import slice_notes

Report = Mapping[str, Any]


def render_markdown(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown; names that hold markup are escaped."""
    text = "\n".join([
        f"# {_escape(report['name'])}", "", *_verdict(report),
        *_table("Teacher, student and controls", tables.models_table(report)),
        *(_facts("Generated samples", made) if (made := generated_facts(report)) else ()),
        *_tasks(report),
        *_table("Both domains", domains_table(report), True), *_robust(report),
        *_table("Old and new classes", earlier_table(report)),
        *_notes([earlier_told(report)] if report.get("earlier_classes") else []),
        *_table("Classes never labelled", hidden_table(report)),
        *_notes([hidden_limit(report)] if report.get("hidden_classes") else []), *_stages(report),
        *_table("One by one", tables.labels_table(report), True),
        *_sweep(report),
        *_table("The file that ships", tables.export_table(report)), *_export_verdicts(report),
        *_notes(facts.gate_told(report)), *_table("Size and speed before and after", tables.cost_table(report), True),
        *_table("Measured on devices", tables.devices_table(report), True),
        *(_facts("Layers compared", layers) if (layers := facts.layer_facts(report)) else ()),
        *(_facts("Frozen", frozen) if (frozen := facts.frozen_facts(report)) else ()),
        *(_facts("Low-rank adapters", lora) if (lora := facts.lora_facts(report)) else ()),
        *_facts("Cost", facts.cost_facts(report)), *_facts("Environment", facts.environment_facts(report)),
        *_facts("Data", facts.data_facts(report)), *_notes(report["data"]["notes"]),
        *_recipe(report["recipe"]),
    ])  # fmt: skip
    return text.encode("utf-8", "replace").decode("utf-8")


def _verdict(report: Report) -> Iterator[str]:
    verdict = report["verdict"]
    if verdict is None:
        yield from ("**No verdict.** This run had no controls: `controls: []` was set.", "")
        return
    yield from (f"**{verdict['outcome'].capitalize()}.** {_escape(verdict['sentence'])}", "")
    yield f"- Gain: {_gain(report, verdict)}"
    yield from (f"- {label}: {_escape(text)}" for label, text in facts.verdict_facts(report, verdict))
    if verdict["over_teacher_labels"]:
        yield f"- Soft knowledge over hard teacher labels: {_ruling(report, verdict['over_teacher_labels'])}"
    yield ""
    yield from _notes(verdict["notes"])


def _gain(report: Report, verdict: Report) -> str:
    name = report["primary"]
    text = measures.gain_text(name, verdict["gain"])
    return f"{text}, 95 % interval {facts.gain_interval(name, verdict['ci95'])}" if verdict["ci95"] else text


def _ruling(report: Report, verdict: Report) -> str:
    return f"{verdict['outcome']}, {_gain(report, verdict)}"


def _notes(notes: Sequence[str]) -> Iterator[str]:
    for note in notes:
        yield from (_escape(note), "")


def _table(title: str, table: tables.Table | None, titled: bool = False) -> Iterator[str]:
    if table is None:
        return
    yield from (f"## {title}", "")
    yield _line(["", *(column.name for column in table.columns)])
    yield _line(["---", *("---:" for _ in table.columns)])
    for group in table.groups:
        if titled:
            yield _line([group.title, *("" for _ in table.columns)])
        for row in group.rows:
            cells = [f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row.cells]
            yield _line([row.label, *cells])
    yield ""


def _tasks(report: Report) -> Iterator[str]:
    yield from _table("Several tasks", tasks_table(report))
    for name, verdict, gain in tasks_told(report):
        yield from (f"**{_escape(name)}: {verdict['outcome']}** ({gain}). {_escape(verdict['sentence'])}", "")
        yield from _notes(verdict["notes"])
    yield from _notes(list(tasks_notes(report)))


def _robust(report: Report) -> Iterator[str]:
    found = robustness.section_of(report)
    if found is None:
        return
    yield from _table("Robustness", robustness.robust_table(report), True)
    yield from (f"- {name}: {_escape(text)}" for name, text in robustness.robust_facts(report))
    yield ""
    if found["verdict"]:
        yield from _notes([found["verdict"]["sentence"]])
    yield from (f"- {told}: {one['outcome']}" for told, one in robustness.family_gains(report))
    yield ""
    yield from _notes(slice_notes(found))
    yield from _table("Under attack", attacks.attack_table(report), True)
    yield from (f"- {name}: {_escape(text)}" for name, text in attacks.attack_facts(report))
    yield ""
    yield from _notes([*attacks.attack_warnings(report)])
    yield from _notes([f"{title}. {one['sentence']}" for title, one in attacks.attack_verdicts(report)])


def _stages(report: Report) -> Iterator[str]:
    if len(report["stages"]) < 2:
        return
    yield from ("## Stages", "", _line(["Stage", "Verdict", "Against"]), _line(["---"] * 3))
    for stage in report["stages"]:
        verdict = stage["verdict"]
        said = [_ruling(report, verdict) if verdict else "none", facts.stage_against(report, stage)]
        yield _line([facts.stage_title(stage), *said])
    yield ""


def _sweep(report: Report) -> Iterator[str]:
    lines = sweep.sweep_lines(report)
    if not lines:
        return
    yield from (
        "## Sweep",
        "",
        _line(["Variant", measures.measure(report["primary"]).label, "On validation", "Verdict"]),
    )
    yield _line(["---", "---:", "---:", "---"])
    for line in lines:
        said = _ruling(report, line.verdict) if line.verdict else "none"
        value = f"{line.value} ({line.interval})"
        yield _line([f"{line.title}{' (chosen)' if line.chosen else ''}", value, line.validation, said])
    yield ""


def _export_verdicts(report: Report) -> Iterator[str]:
    for name, verdict in facts.file_verdicts(report):
        yield f"On the {name} files themselves: {_ruling(report, verdict)}. {facts.files_judged(verdict)}"
        yield from ("", *_notes(verdict["notes"]))


def _facts(title: str, pairs: Sequence[facts.Fact]) -> Iterator[str]:
    yield from (f"## {title}", "", *(f"- {_escape(label)}: {_escape(text)}" for label, text in pairs), "")


def _recipe(recipe: str) -> Iterator[str]:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", recipe)), default=0))
    yield from ("## Recipe", "", f"{fence}yaml", recipe.rstrip("\n"), fence, "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |"


def _escape(text: object) -> str:
    """Return text on one line that Markdown shows as it is, inside a table too."""
    line = " ".join(str(text).split())
    for mark, written in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("*", "\\*"),
    ):
        line = line.replace(mark, written)
    return line.replace("](", "]\\(")
