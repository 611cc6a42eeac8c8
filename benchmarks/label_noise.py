"""Who copes with wrong labels? `python benchmarks/label_noise.py --data DIR`, about twenty minutes of one core.

Fashion-MNIST, 10,000 training pictures, of whose labels 0, 20, 40 and 60 % are wrong (data.label_noise): for the
teacher, the student and its controls alike. A CNN teaches a smaller one; controls are the labels themselves, label
smoothing, and the teacher's hard labels. Three seeds. Finished runs are read, not run again. Writes a dated page to
benchmarks/results/ and the drawing to docs/guide/.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import limbeck
from limbeck.report import measures, numbers
from limbeck.run.folder import REPORT

HERE = Path(__file__).parent
PICTURES, SEEDS = 10_000, 3
SHARES = (0.0, 0.2, 0.4, 0.6)
MODELS = ("teacher", "student", "labels", "smoothing", "teacher_labels")
COLOURS = {"teacher": "#1d232b", "student": "#1660a8"}
STYLES = {"labels": "--", "smoothing": ":", "teacher_labels": "-."}
RECIPE = """\
name: noise-{percent}
seeds: {seeds}
data: {{source: "npz:{data}", label_noise: {share}, validation: 0.1}}
teacher: {{model: {{cnn: {{width: 16}}}}, train: {{epochs: 8, batch_size: 128, lr: 0.003}}}}
student: {{model: {{cnn: {{width: 4}}}}, train: {{epochs: 12, batch_size: 128, lr: 0.003}}}}
objective: [soft_labels: {{temperature: 4, weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels, smoothing, teacher_labels]
export: {{onnx: false}}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out the runs, write the page and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds fashion-mnist/")
    parser.add_argument("--work", type=Path, default=Path("runs/label-noise"), help="where the runs are")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds fashion-mnist/")
    options.work.mkdir(parents=True, exist_ok=True)
    found = {share: finish(share, write(options.data, options.work / "fashion.npz"), options.work) for share in SHARES}
    date = max(one["created"] for one in found.values())[:10]
    path = HERE / "results" / f"{date}-label-noise.md"
    path.write_text("\n".join(page(found, date)), encoding="utf-8")
    draw(found, HERE.parent / "docs" / "guide" / "label-noise.svg")
    print(path)


def write(data: str, path: Path) -> Path:
    """Write the first pictures to a file, beside all test pictures."""
    if not path.is_file():
        fashion = limbeck.Data.open(f"idx:{data}/fashion-mnist")
        x, y = fashion.pool.inputs[:PICTURES].numpy(), fashion.pool.labels[:PICTURES].numpy()
        np.savez(path, x_train=x, y_train=y, x_test=fashion.test.inputs.numpy(), y_test=fashion.test.labels.numpy())
    return path


def finish(share: float, data: Path, work: Path) -> dict[str, Any]:
    """Return the report of a run, carried out unless it is finished."""
    name = f"noise-{round(100 * share)}"
    folder, recipe = work / name, work / f"{name}.yaml"
    if not (folder / REPORT).is_file():
        print(f"Running {name}", file=sys.stderr, flush=True)
        text = RECIPE.format(percent=round(100 * share), seeds=SEEDS, data=data.as_posix(), share=share)
        recipe.write_text(text, encoding="utf-8")
        limbeck.run_recipe(recipe, out=folder, resume=(folder / "recipe.yaml").is_file())
    return limbeck.load(folder).report


def page(found: dict[float, dict[str, Any]], date: str) -> Iterator[str]:
    """Yield the lines of the page."""
    report = next(iter(found.values()))
    where = report["environment"]
    yield from (
        f"# Label noise, {date}", "",
        f"`python benchmarks/label_noise.py`; {where['processor']}, {os.cpu_count()} cores, {where['threads']} "
        f"thread(s), {where['device']}; limbeck {report['limbeck']}, python {where['python']}, torch "
        f"{where['torch']}. Seeds {', '.join(map(str, report['seeds']))}.", "",
        f"The first {PICTURES:,} Fashion-MNIST pictures, a share of whose training labels is wrong for all models, "
        f"tested on all 10,000 test pictures. Validation labels are right. Accuracy with 95 % intervals; the gain is "
        f"the student's over the best control without a teacher, chosen on validation.", "",
        f"| wrong labels | {' | '.join(MODELS)} | gain, points | verdict | over hard labels |",
        f"|---:|{'---:|' * len(MODELS)}---:|---|---:|",
    )  # fmt: skip
    for share, one in found.items():
        verdict, soft = one["verdict"], one["verdict"]["over_teacher_labels"]
        cells = [shown(one["models"][key]["metrics"]["accuracy"]) for key in MODELS]
        judged = [gain(verdict), verdict["outcome"], gain(soft)]
        yield f"| {numbers.percent(share)} | {' | '.join([*cells, *judged])} |"
    yield ""
    notes = HERE / "notes" / "label-noise.md"
    if notes.is_file():
        yield from ("## Notes", "", notes.read_text(encoding="utf-8").strip(), "")


def gain(found: dict[str, Any]) -> str:
    """Return a gain with its interval."""
    return f"{numbers.points(found['gain']).removesuffix(' points')} ({numbers.interval(found['ci95'])})"


def shown(metric: dict[str, Any]) -> str:
    """Return an accuracy with its interval."""
    return f"{measures.value_text('accuracy', metric['mean'])} ({measures.interval_text('accuracy', metric['ci95'])})"


def draw(found: dict[float, dict[str, Any]], path: Path) -> None:
    """Draw every model's accuracy against the share of wrong labels."""
    mpl.rcParams["svg.hashsalt"] = "label noise"
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = figure.subplots()
    across = [100 * share for share in found]
    for key in MODELS:
        metrics = [one["models"][key]["metrics"]["accuracy"] for one in found.values()]
        means = np.array([metric["mean"] for metric in metrics])
        low, high = (np.array([metric["ci95"][end] for metric in metrics]) for end in (0, 1))
        ax.errorbar(
            across, 100 * means, 100 * np.stack([means - low, high - means]), color=COLOURS.get(key, "#77818e"),
            linestyle=STYLES.get(key, "-"), marker="o", markersize=4, capsize=3, label=key.replace("_", " "),
        )  # fmt: skip
    ax.set_xticks(across)
    ax.set_xlabel("wrong training labels, %")
    ax.set_ylabel("test accuracy, %")
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
