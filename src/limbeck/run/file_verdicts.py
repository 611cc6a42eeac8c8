"""The verdict on the files: every seed of student and control exported, made int8 where asked, and judged again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from limbeck.evaluate.verdict import Verdict, correct_for_many, judge
from limbeck.export.front import attach_front
from limbeck.export.graph import export_graph
from limbeck.export.remedies import quantise_within
from limbeck.export.run_onnx import Session
from limbeck.export.trace import Trace
from limbeck.run.answers import Floats
from limbeck.run.jobs import Trained
from limbeck.run.plan import Plan
from limbeck.run.ship import answers_of_file, int8_request, kind_of

Format = Literal["onnx", "int8"]


@dataclass(frozen=True, eq=False)
class _Judged:
    """What one seed's files are worth on each test sample, [N], see `Task.merits`; passed: whether int8 may ship."""

    merits: dict[Format, Floats]
    passed: bool


def judge_files(
    plan: Plan,
    student: Mapping[int, Trained],
    control: Mapping[int, Trained],
    verdict: Verdict,
    others: Sequence[Verdict],
    trace: Trace,
    formats: Sequence[Format],
) -> dict[Format, Verdict]:
    """Return the verdict on the files of each format.

    control: the one that the verdict on the models is against; others: the verdicts of the other stages, uncorrected,
    among which each verdict here is corrected as the stage's own is. Every seed of both sides goes through the same
    search for an int8 file; one of which no file passes is counted with the file that agrees most, and a note says so.
    """
    roles = {"student": student, verdict.against: control}
    files = {name: [_judge(plan, one, trace, formats) for one in fits.values()] for name, fits in roles.items()}
    found: dict[Format, Verdict] = {}
    for form in formats:
        mine, theirs = (np.stack([one.merits[form] for one in each]) for each in files.values())
        judged = judge(
            mine,
            {verdict.against: theirs},
            validation={verdict.against: 1.0},
            teacher=None,
            margin=plan.margin,
            relative=plan.task.relative,
            metric=plan.task.primary,
            notes=_failures(files) if form == "int8" else [],
        )
        found[form] = correct_for_many([*others, judged])[-1]
    return found


def _judge(plan: Plan, one: Trained, trace: Trace, formats: Sequence[Format]) -> _Judged:
    data, task = plan.data, plan.task
    with tempfile.TemporaryDirectory() as scratch:
        paths: dict[Format, Path] = {form: Path(scratch) / f"{form}.onnx" for form in formats}
        source = Path(scratch) / "onnx.onnx"
        export_graph(
            one.model, source, shape=data.shape, kind=kind_of(data), temperature=one.temperature, trace=trace,
            ending=task.ending,
        )  # fmt: skip
        request = int8_request(plan, one.seed) if "int8" in formats else None
        passed = quantise_within(source, paths["int8"], request).passed if request is not None else True
        made = {form: path if path.is_file() else source for form, path in paths.items()}
        if data.preprocessing is not None:
            for path in set(made.values()):
                attach_front(path, data.preprocessing)
        answers = {
            form: answers_of_file(Session(path), one.seed, data.test, task.read_file) for form, path in made.items()
        }
    return _Judged({form: task.merits(said)[0] for form, said in answers.items()}, passed)


def _failures(files: Mapping[str, Sequence[_Judged]]) -> list[str]:
    """Return a note for each side of which some int8 files did not pass the gate."""
    counts = {name: sum(not one.passed for one in each) for name, each in files.items()}
    return [
        f"{count} of {len(files[name])} int8 files of {name} lost more than the gate accepts; each is counted with the "
        f"attempt that agrees most with its float file."
        for name, count in counts.items()
        if count
    ]
