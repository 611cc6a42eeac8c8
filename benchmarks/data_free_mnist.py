"""Distillation without data on MNIST, LeNet-5 to its half, beside the published table.

`python benchmarks/data_free_mnist.py [--seeds 3] [--rounds 4000] [--curve 500 1500] [--set KEY=VALUE]...` trains, for
each seed, a teacher, a student on generated samples and its controls on noise and on USPS; and students of the same
teacher on real digits, with labels and with its answers. Every seed has a teacher and a pool of its own. LIMBECK_DATA
holds mnist/ and usps/. Run folders are kept in --work and finished ones not made again; what was cut off goes on.
Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from limbeck.api import run_recipe

RESULTS = Path(__file__).parent / "results"
POOL, BATCH = 409_600, 256
STUDENT = "student: {model: lenet5_half, train: {steps: 12000, batch_size: 256, lr: 0.004}}"
EXPORT = "export: {onnx: false}"
GENERATED = f"""\
name: generated
seeds: 1
data:
  source: "idx:$LIMBECK_DATA/mnist"
  generated:
    preset: dafl
    batch: {BATCH}
    restart: 400
    student_steps: 5
    weights: {{disagreement: 1}}
    proxy: "parquet:$LIMBECK_DATA/usps"
teacher: {{model: lenet5, train: {{epochs: 10, batch_size: 256, lr: 0.004}}}}
{STUDENT}
objective: [soft_labels: {{temperature: 4}}]
controls: [gaussian_noise, uniform_noise, matched_noise, proxy]
{EXPORT}
"""
REAL = f"""\
name: real
seeds: 1
data: {{source: "idx:$LIMBECK_DATA/mnist"}}
teacher: {{source: "run:TEACHER"}}
{STUDENT}
objective: [soft_labels: {{temperature: 4}}]
controls: [labels]
{EXPORT}
"""
ROWS = (  # our row: its run, its model, and what was published, in %
    ("teacher", "generated", "teacher", 98.91),
    ("labels", "real", "labels", 98.65),
    ("distilled on real data", "real", "student", 98.91),
    ("Gaussian noise", "generated", "gaussian_noise", 88.01),
    ("uniform noise", "generated", "uniform_noise", None),
    ("noise, every pixel's own distribution", "generated", "matched_noise", None),
    ("USPS as a stand-in", "generated", "proxy", 94.56),
    ("**generated**", "generated", "student", 98.20),
)

Report = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/data-free"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4000, help="of making samples, for each seed")
    parser.add_argument("--curve", type=int, nargs="*", default=[500, 1500], help="rounds, for the first seed")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="KEY=VALUE for all runs of a seed")
    options = parser.parse_args(arguments)
    found = [both(options.work, seed, options.rounds, options.settings) for seed in range(options.seeds)]
    curve = {
        rounds: generated(options.work, 0, rounds, [*options.settings, "controls=[]", *same_teacher(options)])
        for rounds in options.curve
        if rounds != options.rounds
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{datetime.now(UTC):%Y-%m-%d}-data-free-mnist.md"
    curve[options.rounds] = found[0]["generated"]
    path.write_text("\n".join(page(found, curve, options)), encoding="utf-8")
    print(path)


def same_teacher(options: argparse.Namespace) -> list[str]:
    """Return the setting that takes the first seed's teacher from its run."""
    return [f"teacher={{source: 'run:{place(options.work, 'generated', 0, options.rounds).absolute()}'}}"]


def both(work: Path, seed: int, rounds: int, settings: Sequence[str]) -> dict[str, Report]:
    """Return the reports of a seed's two runs."""
    made = generated(work, seed, rounds, settings)
    teacher = place(work, "generated", seed, rounds)
    text = REAL.replace("TEACHER", str(teacher.absolute()))
    own = [one for one in settings if one.startswith("student.")]
    return {"generated": made, "real": report_of(work, text, place(work, "real", seed, None), [f"seed={seed}", *own])}


def generated(work: Path, seed: int, rounds: int, settings: Sequence[str]) -> Report:
    """Return the report of a run on generated samples."""
    pool = f"data.generated.pool={min(POOL, BATCH * rounds)}"
    given = [pool, f"seed={seed}", f"data.generated.seed={seed}", f"data.generated.rounds={rounds}", *settings]
    return report_of(work, GENERATED, place(work, "generated", seed, rounds), given)


def place(work: Path, name: str, seed: int, rounds: int | None) -> Path:
    """Return the folder of a run."""
    return work / (f"{name}-{seed}" if rounds is None else f"{name}-{seed}-{rounds}")


def report_of(work: Path, text: str, folder: Path, settings: Sequence[str]) -> Report:
    """Return a run's report, finished first where that is needed."""
    recipe = work / f"{folder.name}.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(text, encoding="utf-8")
    return run_recipe(recipe, settings, out=folder, resume=folder.is_dir(), progress=False).report


def page(found: Sequence[Mapping[str, Report]], curve: Mapping[float, Report], options: Any) -> Iterator[str]:
    """Yield the page, line by line."""
    first = found[0]["generated"]
    where, made = first["environment"], first["generated"]
    settings = "".join(f" --set {one}" for one in options.settings)
    yield from (f"# Distillation without data, MNIST, LeNet-5 to its half, {datetime.now(UTC):%Y-%m-%d}", "", "```")
    yield f"python benchmarks/data_free_mnist.py --seeds {options.seeds} --rounds {options.rounds}{settings}"
    yield from ("```", "", f"- Seeds: {', '.join(str(seed) for seed in range(options.seeds))}, each with its teacher.")
    yield f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), {where['device']}."
    yield f"- Versions: limbeck {first['limbeck']}, python {where['python']}, torch {where['torch']}."
    yield f"- Samples: {made['samples']:,}, by {made['preset']}, in {options.rounds:,} rounds."
    yield f"- Minutes a seed, made and trained: {', '.join(f'{minutes(one):.0f}' for one in found)}."
    yield from ("", "Test accuracy in %, mean of the seeds and standard deviation over them.", "")
    yield from ("| Student learns from | Here | Each seed | Published (second-hand) |", "|---|---|---|---|")
    for title, run, model, published in ROWS:
        values = [100 * one[run]["models"][model]["metrics"]["accuracy"]["mean"] for one in found]
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.2f}" for value in values)
        yield f"| {title} | {mean(values):.2f}{spread} | {each} | {'' if published is None else f'{published:.2f}'} |"
    yield from (
        "",
        "## Accuracy against minutes",
        "",
        "Seed 0; minutes of making samples, and of training after.",
        "",
    )
    yield from ("| Minutes of making | of training | Rounds | Accuracy, % |", "|---|---|---|---|")
    for _, report in sorted(curve.items()):
        told, student = report["generated"], report["models"]["student"]["metrics"]["accuracy"]["mean"]
        training = report["cost"]["seconds"]["student"] / 60
        yield f"| {told['seconds'] / 60:.1f} | {training:.1f} | {told['rounds']:,} | {100 * student:.2f} |"
    yield ""
    for seed, one in enumerate(found):
        verdict = one["generated"]["verdict"]
        yield from (f"Seed {seed}: {verdict['sentence']}", "")


def minutes(found: Mapping[str, Report]) -> float:
    """Return how long making the samples and training the student took for a seed, teacher and controls apart."""
    one = found["generated"]
    return float(one["generated"]["seconds"] + one["cost"]["seconds"]["student"]) / 60


if __name__ == "__main__":
    main()
