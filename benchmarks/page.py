"""The page of results of one recipe, as Markdown. S: seeds, N: test samples, C: classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from cases import Case
from numpy.typing import NDArray
from scipy import special

from limbeck.evaluate.intervals import two_way
from limbeck.report import attacks, class_groups, measures, numbers, robustness, slices
from limbeck.report.tables import Table

Report = Mapping[str, Any]
SHOWN = ("accuracy", "nll", "ece")
VERSIONS = ("torch", "numpy", "scikit-learn", "onnxruntime")


@dataclass(frozen=True)
class Finished:
    """A case with its run folder and report."""

    case: Case
    folder: Path
    report: Report


def write_page(results: Path, recipe: Path, notes: Path, finished: Sequence[Finished]) -> Path:
    """Write the dated page and return its path; notes: prose to end with, left out where there is none."""
    date = finished[0].report["created"][:10]
    path = results / f"{date}-{recipe.stem}.md"
    lines = [*_head(recipe, date, finished), *_verdicts(finished[0].report), *_models(finished[0].report)]
    lines += [*_errors(finished[0]), *_sweep(finished[0].report), *_tasks(finished[0].report)]
    lines += [*_variants(finished), *_robust(finished[0].report)]
    lines += [line for one in finished for line in _groups(one)]
    if notes.is_file():
        lines += ["## Notes", "", notes.read_text(encoding="utf-8").strip(), ""]
    results.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _head(recipe: Path, date: str, finished: Sequence[Finished]) -> Iterator[str]:
    report = finished[0].report
    data, where = report["data"], report["environment"]
    yield from (f"# {recipe.stem}, {date}", "", "```", *(_command(one.case) for one in finished), "```", "")
    versions = ", ".join(f"{name} {where[name]}" for name in VERSIONS)
    yield from (
        f"- Data: {data['source']}, {data['train']:,} training samples of which {data['labelled']:,} have a "
        f"label, {data['validation_labelled']:,} labelled validation samples, {data['test']:,} test samples.",
        f"- Seeds: {', '.join(map(str, report['seeds']))}; split seed {data['split_seed']}.",
        f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), "
        f"{where['device']}; {numbers.duration(report['cost']['seconds']['total'])} for the first command.",
        f"- Versions: limbeck {report['limbeck']}, python {where['python']}, {versions}.",
        f"- Made by `python benchmarks/recipes.py {recipe.stem}`.",
        "",
    )


def _command(case: Case) -> str:
    before = f"limbeck run recipes/{case.after}.yaml --out runs/{case.after}\n" if case.after else ""
    settings = "".join(f" --set {_quoted(setting.format(runs='runs'))}" for setting in case.settings)
    return f"{before}limbeck run recipes/{case.recipe}.yaml{settings} --out runs/{case.key}"


def _quoted(setting: str) -> str:
    return f"'{setting}'" if set(setting) & set("[]{} *") else setting


def _verdicts(report: Report) -> Iterator[str]:
    yield from ("## Verdict", "")
    many = len(report["stages"]) > 1
    for stage in report["stages"]:
        verdict = stage["verdict"]
        soft = verdict["over_teacher_labels"]
        yield f"- {stage['name'] + ': ' if many else ''}{verdict['sentence']}"
        if soft:
            yield f"- {stage['name'] + ', ' if many else ''}soft over hard teacher labels: {soft['sentence']}"
    yield ""
    for note in (*report["verdict"]["notes"], *report["data"]["notes"]):
        yield from (note, "")


def _models(report: Report) -> Iterator[str]:
    yield from ("## Models", "", "Means over the seeds, with 95 % intervals.", "")
    yield from _header("Model", *(measures.measure(name).label for name in SHOWN), "Steps", "Parameters")
    for key, model in report["models"].items():
        cells = [shown(name, model["metrics"][name]) for name in SHOWN]
        yield _row(key, *cells, numbers.count(model["steps"]), numbers.count(model["parameters"]))
    yield ""


def _errors(one: Finished) -> Iterator[str]:
    """Yield what each model got wrong, seed by seed, and how far the student is from it."""
    report, seeds = one.report, one.report["seeds"]
    student = _answers(one.folder, seeds)[0]
    yield from ("Test samples that are wrong, and how much more often the student is right, paired by sample.", "")
    yield from _header("Model", "wrong, by seed", "mean", "student, points more often right (95 %)")
    for key in report["models"]:
        if "/" in key or not (one.folder / "predictions" / f"{key}.parquet").is_file():
            continue
        right = _answers(one.folder, seeds, key)[0]
        wrong = (1 - right).sum(1).astype(int).tolist()
        gain = two_way(student - right) if right.shape == student.shape and key != "student" else None
        cell = f"{numbers.points(gain.mean)} ({numbers.interval((gain.low, gain.high))})" if gain else numbers.MISSING
        yield _row(key, ", ".join(map(str, wrong)), f"{sum(wrong) / len(wrong):.1f}", cell)
    yield ""


def _sweep(report: Report) -> Iterator[str]:
    """Yield the student and the verdict of each variant of a sweep; nothing for other runs."""
    if not report["variants"]:
        return
    yield from ("## Variants", "", *_header("Variant", *(measures.measure(name).label for name in SHOWN), "Verdict"))
    for one in report["variants"]:
        cells = [shown(name, one["metrics"][name]) for name in SHOWN]
        yield _row(one["title"], *cells, one["verdict"]["sentence"] if one["verdict"] else numbers.MISSING)
    yield ""


def _tasks(report: Report) -> Iterator[str]:
    """Yield the verdict and the models of each further task; nothing for runs of one."""
    for task in report.get("tasks") or ():
        yield from (f"## Task {task['name']}", "", task["verdict"]["sentence"], "")
        yield from _header("Model", *(measures.measure(name).label for name in SHOWN))
        for key, metrics in task["models"].items():
            yield _row(key, *(shown(name, metrics[name]) for name in SHOWN))
        yield ""


def _variants(finished: Sequence[Finished]) -> Iterator[str]:
    if len(finished) < 2:
        return
    first = finished[0]
    yield from (
        "## Other settings",
        "",
        "The last two columns compare students, paired by sample and by the seeds of both.",
        "",
    )
    yield from _header(
        "Setting", "Gain over the best control", "Soft over hard labels", "Student's accuracy", "NLL", "ECE",
        "Steps", "Accuracy, this minus shipped", "NLL, this minus shipped",
    )  # fmt: skip
    for one in finished:
        student, verdict = one.report["models"]["student"], one.report["verdict"]
        soft = verdict and verdict["over_teacher_labels"]
        yield _row(
            one.case.title, _gain(verdict), _gain(soft), *(shown(name, student["metrics"][name]) for name in SHOWN),
            numbers.count(student["steps"]), *_differences(first, one),
        )  # fmt: skip
    yield ""


def _groups(one: Finished) -> Iterator[str]:
    """Yield each model's accuracy on new classes, or those never labelled, apart from the others."""
    old, hidden = class_groups.earlier_table(one.report), class_groups.hidden_table(one.report)
    if old is not None:
        yield from _group_table(f"Old and new classes: {one.case.title}", old, class_groups.earlier_told(one.report))
    elif hidden is not None:
        told = class_groups.hidden_limit(one.report)
        yield from _group_table(f"Classes never labelled: {one.case.title}", hidden, told)


def _robust(report: Report) -> Iterator[str]:
    """Yield what the run's section on robustness says; nothing where it was not measured."""
    found = robustness.section_of(report)
    if found is None:
        return
    against = found["against"]
    yield from ("## Robustness", "", "; ".join(f"{name}: {text}" for name, text in robustness.robust_facts(report)), "")
    told = [("All corruptions", found["verdict"])] if found["verdict"] else []
    told += [*robustness.family_verdicts(report), *attacks.attack_verdicts(report)]
    yield from (f"- {title}: {verdict['sentence']}" for title, verdict in told)
    yield from (f"- {note}" for note in slices.slice_notes(found))
    yield from (f"- {one}" for one in attacks.attack_warnings(report))
    yield from ("", f"Of the clean test samples, the student less {against}, paired by seed:", "")
    yield from _header("Measure", "student less control, points (95 %)", "which is")
    models, exam = report["models"], found["models"]
    yield _by_seed("ECE", models["student"]["metrics"]["ece"], models[against]["metrics"]["ece"])
    yield _by_seed("Train less test accuracy", exam["student"]["over_fitting"], exam[against]["over_fitting"])
    yield ""
    for table in (robustness.robust_table(report), attacks.attack_table(report)):
        for group in table.groups if table is not None else ():
            assert table is not None
            yield from _header(group.title, *(column.name for column in table.columns))
            for row in group.rows:
                cells = [f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row.cells]
                yield _row(f"{row.label} ({row.better})" if row.better else row.label, *cells)
            yield ""


def _by_seed(title: str, student: Report | None, control: Report | None) -> str:
    """Return the difference of a figure that is lower for the better, with an interval over the seeds (Student's t)."""
    if student is None or control is None or len(student["values"]) != len(control["values"]):
        return _row(title, numbers.MISSING, numbers.MISSING)
    gaps = np.array(student["values"]) - np.array(control["values"])
    error = float(gaps.std(ddof=1)) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
    half = float(special.stdtrit(len(gaps) - 1, 0.975)) * error
    low, high = float(gaps.mean() - half), float(gaps.mean() + half)
    said = "better" if high < 0 else "worse" if low > 0 else "unclear"
    return _row(title, f"{numbers.points(float(gaps.mean()))} ({numbers.interval((low, high))})", said)


def _group_table(title: str, table: Table, told: str) -> Iterator[str]:
    yield from (f"## {title}", "")
    yield from _header("Classes", *(column.name for column in table.columns))
    for row in table.groups[0].rows:
        cells = [f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row.cells]
        yield _row(f"{row.label} ({row.better})" if row.better else row.label, *cells)
    yield from ("", told, "")


def _gain(verdict: Report | None) -> str:
    if not verdict:
        return numbers.MISSING
    return f"{verdict['outcome']}: {numbers.points(verdict['gain'])} ({numbers.interval(verdict['ci95'])})"


def shown(name: str, metric: Mapping[str, Any] | None) -> str:
    """Return a figure of a model, named as in report.json, with its interval if it has one."""
    if metric is None:
        return numbers.MISSING
    text = measures.value_text(name, metric["mean"])
    return f"{text} ({measures.interval_text(name, metric['ci95'])})" if metric["ci95"] else text


def _differences(first: Finished, other: Finished) -> tuple[str, str]:
    """Return the paired differences in accuracy and NLL over the seeds of both; missing for the first itself."""
    shared = sorted(set(first.report["seeds"]) & set(other.report["seeds"]))
    if first is other or not shared:
        return numbers.MISSING, numbers.MISSING
    mine, theirs = _answers(first.folder, shared), _answers(other.folder, shared)
    right, nll = two_way(theirs[0] - mine[0]), two_way(theirs[1] - mine[1])
    return (
        f"{numbers.points(right.mean)} ({numbers.interval((right.low, right.high))})",
        f"{measures.gain_text('nll', nll.mean)} ({numbers.interval((nll.low, nll.high), 1, 3)})",
    )


def _answers(
    folder: Path, seeds: Sequence[int], model: str = "student"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return whether a model is right, and its negative log-likelihood, both [S, N], from the predictions.

    A teacher that all seeds share has one row.
    """
    table = pq.read_table(folder / "predictions" / f"{model}.parquet")
    chosen = np.isin(table["seed"].to_numpy(), seeds)
    seeds = sorted(set(table["seed"].to_numpy()[chosen].tolist()))
    labels = table["label"].to_numpy()[chosen]
    scores = np.stack(table["scores"].to_numpy())[chosen].astype(np.float64)
    nll = -np.log(np.clip(scores[np.arange(len(labels)), labels], 1e-12, None))
    right = (scores.argmax(1) == labels).astype(np.float64)
    return right.reshape(len(seeds), -1), nll.reshape(len(seeds), -1)


def _header(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row("---", *("---:" for _ in names[1:]))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
