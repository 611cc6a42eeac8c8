"""Every way of making samples, on one teacher: `python benchmarks/presets.py [--minutes 2] [--seeds 3]`.

MNIST, a CNN with batch norm as the teacher, a smaller one as the student, which learns from each preset's samples for
as many steps. Presets that go on for as long as they are let have the same minutes; the others take what they take.
LIMBECK_DATA holds mnist/ and usps/. Finished runs in --work are read, not made again, and what was cut off goes on.
Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from data_free_mnist import Report, report_of
from scipy import stats

from limbeck.errors import TrainingError

RESULTS = Path(__file__).parent / "results"
POOL = 20_000
TEACHER = """\
name: teacher
seeds: 1
data: {source: "idx:$LIMBECK_DATA/mnist"}
teacher: {model: {cnn: {width: 16}}, train: {epochs: 5, batch_size: 128, lr: 0.003}}
student: {model: {cnn: {width: 8}}, train: {steps: 3000, batch_size: 128, lr: 0.003}}
objective: [soft_labels: {temperature: 4}]
controls: [labels]
export: {onnx: false}
"""
MADE = """\
name: made
seeds: 1
data:
  source: "idx:$LIMBECK_DATA/mnist"
  generated: {{pool: {pool}, {made}}}{more}
teacher: {{source: "run:{teacher}"}}
student: {{model: {{cnn: {{width: 8}}}}, train: {{steps: 3000, batch_size: 128, lr: 0.003}}}}
objective: [soft_labels: {{temperature: 4}}]
controls: []
export: {{onnx: false}}
"""
LONG = "rounds: 1000000, minutes: {minutes}"
PRESETS = {  # title: the section's keys, and what comes after it
    "fast_meta": (f"preset: fast_meta, {LONG}", ""),
    "cmi": (f"preset: cmi, {LONG}", ""),
    "deep_inversion": (f"preset: deep_inversion, {LONG}", ""),
    "dafl": (f"preset: dafl, {LONG}", ""),
    "dafl, disagreement, restarts": (
        f"preset: dafl, weights: {{disagreement: 1}}, student_steps: 5, restart: 400, {LONG}", "",
    ),
    "gan, 20 real samples a class": (f"preset: gan, real: labels, {LONG}", "\n  labels_per_class: 20"),
    "evolution, 20 questions a sample": ("preset: evolution", ""),
    "noise": ("preset: noise", ""),
    "proxy, USPS": ('preset: proxy, proxy: "parquet:$LIMBECK_DATA/usps"', ""),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/presets"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, nargs="*", default=[2.0], help="of making samples")
    options = parser.parse_args(arguments)
    teacher = report_of(options.work, TEACHER, options.work / "teacher", [])
    found = {
        (title, minutes): [one_run(options.work, title, minutes, seed) for seed in range(options.seeds)]
        for title in PRESETS
        for minutes in (options.minutes if "{minutes}" in PRESETS[title][0] else options.minutes[:1])
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{datetime.now(UTC):%Y-%m-%d}-presets.md"
    path.write_text("\n".join(page(teacher, found, options)), encoding="utf-8")
    print(path)


def one_run(work: Path, title: str, minutes: float, seed: int) -> Report | str:
    """Return the report of a preset's run, or why it stopped."""
    made, more = PRESETS[title]
    teacher = (work / "teacher").absolute()
    text = MADE.format(pool=POOL, made=made.replace("{minutes}", f"{minutes:g}"), more=more, teacher=teacher)
    name = title.replace(",", "").replace(" ", "-") + (f"-{minutes:g}" if "{minutes}" in made else "")
    try:
        return report_of(work, text, work / f"{name}-{seed}", [f"seed={seed}", f"data.generated.seed={seed}"])
    except TrainingError as error:
        return str(error)


def page(teacher: Report, found: Mapping[tuple[str, float], Sequence[Report | str]], options: Any) -> Iterator[str]:
    """Yield the page, line by line."""
    where = teacher["environment"]
    minutes = " ".join(f"{one:g}" for one in options.minutes)
    yield from (f"# Ways of making samples, {datetime.now(UTC):%Y-%m-%d}", "", "```")
    yield f"python benchmarks/presets.py --seeds {options.seeds} --minutes {minutes}"
    yield from ("```", "", f"- {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s).")
    yield f"- Versions: limbeck {teacher['limbeck']}, python {where['python']}, torch {where['torch']}."
    yield f"- One teacher, {accuracy(teacher, 'teacher'):.2f} %; its student of 3,000 steps on the real digits with its"
    yield f"  answers {accuracy(teacher, 'student'):.2f} %, with labels {accuracy(teacher, 'labels'):.2f} %."
    seeds = ", ".join(map(str, range(options.seeds)))
    yield f"- A pool of {POOL:,} samples at most. Seeds {seeds} of samples and student."
    yield from ("", "Test accuracy in %, mean of the seeds with a 95 % interval over them (Student's t).", "")
    yield from ("| Samples by | Minutes of making | Rounds | Accuracy | Each seed |", "|---|---:|---:|---|---|")
    for (title, _), outcomes in found.items():
        reports = [one for one in outcomes if not isinstance(one, str)]
        for reason in [one for one in outcomes if isinstance(one, str)]:
            yield f"| {title} | | | {reason} | |"
        if not reports:
            continue
        told = [one["generated"] for one in reports]
        spent = mean((one["seconds"] or 0) / 60 for one in told)
        rounds = mean(one["rounds"] or 0 for one in told)
        values = [accuracy(one, "student") for one in reports]
        each = ", ".join(f"{value:.2f}" for value in values)
        yield f"| {title} | {spent:.1f} | {rounds:,.0f} | {mean(values):.2f}{ends(values)} | {each} |"
    yield ""


def accuracy(report: Report, model: str) -> float:
    """Return a model's test accuracy in %."""
    return 100 * float(report["models"][model]["metrics"]["accuracy"]["mean"])


def ends(values: Sequence[float]) -> str:
    """Return the ends of an interval of a mean, nothing of one value."""
    if len(values) < 2:
        return ""
    low, high = stats.t.interval(0.95, len(values) - 1, mean(values), stats.sem(np.array(values)))
    return f" ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
