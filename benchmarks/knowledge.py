"""What the knowledge store costs and holds, on MNIST: `LIMBECK_DATA=... python benchmarks/knowledge.py`.

Teacher forwards of a second run; seconds of a step that reads knowledge against the control's; bytes a row; ten views
against the live teacher; and a labelling that is killed twenty times. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import os
import platform
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import limbeck
from limbeck.data.combine import take
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.knowledge.form import TEMPERATURES, Dense, Form, Top
from limbeck.knowledge.label import Labeller, count_missing, fill
from limbeck.knowledge.ledger import open_ledger
from limbeck.knowledge.manifest import manifest_for
from limbeck.knowledge.recall import Recalled
from limbeck.knowledge.store import Store, open_store
from limbeck.knowledge.verify import verify_against
from limbeck.models.adapt import Adapted
from limbeck.models.cnn import CNN
from limbeck.models.mlp import MLP
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.run.reload import load_model
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings

RESULTS = Path(__file__).parent / "results"
RECIPE = """\
name: known
seeds: 1
data: {{source: "idx:{data}", augment: [shift: {{pixels: 1}}], views: 2}}
teacher: {{model: {{cnn: {{width: 8}}}}, train: {{epochs: 2}}}}
student: {{model: {{mlp: {{hidden: [128]}}}}, train: {{epochs: 2}}}}
objective: [soft_labels: {{weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels]
export: {{onnx: false}}
"""
LATER = (
    ("another temperature", ["objective.soft_labels.temperature=2"]),
    ("another objective", ["objective=[logit_matching, cross_entropy]"]),
    ("another student", ["student.model={cnn: {width: 4}}"]),
)
TEMPERATURE, BATCH, ROUNDS = 4.0, 128, 5
STUDENTS = (
    ("mlp [800, 800]", 4220, lambda: MLP((1, 28, 28), 10, hidden=[800, 800])),
    ("cnn width 8", 422, lambda: CNN((1, 28, 28), 10, width=8)),
)
KILLS, KILLED_VIEWS, KILLED_ROWS = 20, 2, 1024


def main() -> None:
    """Measure everything and write the page."""
    os.environ.setdefault("LIMBECK_DATA", "data")
    source = Path(os.environ["LIMBECK_DATA"]) / "mnist"
    today, data = datetime.now(UTC).date().isoformat(), Data.open(f"idx:{source}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["LIMBECK_CACHE"] = str(folder / "cache")
        lines = [f"# The knowledge store, {today}", "", _head(), ""]
        lines += [*later_runs(folder, source), ""]
        model = load_model(folder / "first" / "teacher")
        pool = data.pool
        lines += [*steps(model, data), "", *sizes(folder, model, pool), "", *ten_views(folder, model, pool), ""]
        lines += [*kills(folder, model, pool), ""]
    path = RESULTS / f"{today}-knowledge.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines), path, sep="\n")


def later_runs(folder: Path, source: Path) -> Iterator[str]:
    """Run a recipe, then others with the same teacher and data: what each asked the teacher."""
    (folder / "r.yaml").write_text(RECIPE.format(data=source), encoding="utf-8")
    yield from ("## A second run asks nothing", "", "| run | forwards | spot checks | seconds of knowledge |")
    yield "|---|---:|---:|---:|"
    for number, (title, changes) in enumerate([("the first", []), *LATER]):
        out = folder / ("first" if number == 0 else str(number))
        cost = limbeck.run_recipe(folder / "r.yaml", changes, out=out, progress=False).report["cost"]
        forwards, checks = cost["teacher_forwards"], cost["teacher_spot_checks"]
        yield f"| {title} | {forwards:,} | {checks} | {cost['seconds']['knowledge']:.2f} |"


def steps(model: Adapted, data: Data) -> Iterator[str]:
    """Time fits on stored knowledge and on labels alone, in turn."""
    with tempfile.TemporaryDirectory() as place:
        labeller = Labeller(ModuleTeacher(model), data.pool, None, Dense(10))
        store = open_store(Path(place) / "s", manifest_for(labeller.teacher, None, "cpu", labeller.form))
        fill(labeller, store, 0, open_ledger(Path(place) / "ledger.json"))
        recalled = Recalled(labeller, store=store)
        recalled.prepare([0])
        yield from (
            "## A step that reads knowledge",
            "",
            f"Batch {BATCH}, whole fits without validation, {ROUNDS} pairs in turn; ms. 422 steps are an epoch.",
            "",
        )
        yield "| student | steps | labels control | stored knowledge | ratio | reading alone, share of the step |"
        yield "|---|---:|---:|---:|---:|---:|"
        for title, steps, build in STUDENTS:
            yield _timed(title, steps, build, data, recalled)


def _timed(title: str, steps: int, build: Any, data: Data, recalled: Recalled) -> str:
    soft = Objective([(0.9, SoftLabels(TEMPERATURE)), (0.1, CrossEntropy())])
    hard = Objective([(1.0, CrossEntropy())])
    times: dict[str, list[float]] = {"labels": [], "stored": []}
    for number in range(ROUNDS + 1):
        order = list(times.items()) if number % 2 else list(times.items())[::-1]
        for name, found in order:
            found.append(
                _fit(build(), data, steps, soft if name == "stored" else hard, recalled if name == "stored" else None)
            )
    labels, stored = (times[name][1:] for name in ("labels", "stored"))
    ratios = [b / a for a, b in zip(labels, stored, strict=True)]
    reading = _reading(recalled, data) / statistics.median(stored)
    middle = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    typical = f"{statistics.median(labels):.3f} | {statistics.median(stored):.3f}"
    return f"| {title} | {steps:,} | {typical} | {middle} | {reading:.2%} |"


def _fit(net: torch.nn.Module, data: Data, steps: int, objective: Objective, teacher: Teacher | None) -> float:
    """Return milliseconds a step, without validation."""
    lesson = Lesson(data.pool, data.train, data.validation[:0], data.pool.labels)
    settings = Settings(steps=steps, batch_size=BATCH)
    started = time.perf_counter()
    fit(Adapted(net, classes=10), objective, lesson, settings, Budget(steps, steps), teacher=teacher)
    return (time.perf_counter() - started) / steps * 1000


def _reading(recalled: Recalled, data: Data) -> float:
    """Return milliseconds that the knowledge of a batch takes."""
    batches = [data.pool.batch(torch.randint(0, len(data.pool), (BATCH,))) for _ in range(50)]
    each = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for batch in batches:
            recalled(batch)
        each.append((time.perf_counter() - started) / len(batches) * 1000)
    return statistics.median(each)


def sizes(folder: Path, model: Adapted, pool: Samples) -> Iterator[str]:
    """Label 100 samples less than all, then all: forwards, and bytes a row of everything in the folder."""
    yield from ("## Bytes, and a hundred samples more", "")
    yield from (
        "| form | rows | bytes a row | limit | forwards of the first rows | of 100 more |",
        "|---|---:|---:|---:|---:|---:|",
    )
    every = np.arange(len(pool))
    cases: tuple[tuple[str, Form, int], ...] = (
        ("dense, C = 10", Dense(10), 2 * 10 + 16),
        ("top K, K = 4", Top(4, TEMPERATURES), 6 * 4 + 40),
    )
    for title, form, limit in cases:
        teacher, asked = ModuleTeacher(model), []
        for samples in (take(pool, every[:-100]), pool):
            labeller = Labeller(teacher, samples, None, form)
            store = open_store(folder / title, manifest_for(teacher, None, "cpu", form))
            before = teacher.asked
            fill(labeller, store, 0, open_ledger(folder / "sizes.json"))
            asked.append(teacher.asked - before)
        each = store.bytes / len(store)
        yield f"| {title} | {len(store):,} | {each:.2f} | {limit} | {asked[0]:,} | {asked[1]} |"


def ten_views(folder: Path, model: Adapted, pool: Samples) -> Iterator[str]:
    """Compare every stored answer of ten views with the live teacher's on the same pixels, in other batches."""
    samples, views = take(pool, np.arange(6000)), Views([Shift(2), Flip()], seed=1, count=10)
    labeller = Labeller(ModuleTeacher(model), samples, views, Dense(10))
    store = open_store(folder / "ten", manifest_for(labeller.teacher, views, "cpu", labeller.form))
    far, largest, asked = 0, 0.0, ModuleTeacher(model)
    for view in range(10):
        fill(labeller, store, view, open_ledger(folder / "ten.json"))
        for rows in torch.split(torch.randperm(len(samples), generator=torch.manual_seed(view)), 1000):
            shown = samples.batch(rows, view=torch.full_like(rows, view), views=views)
            live = asked(shown).logits
            assert live is not None
            stored = store.read(labeller.names(rows, view))[0].float()
            off = (stored - live).abs() / live.abs().clamp_min(2**-14)
            largest, far = max(largest, float(off.max())), far + int((off > 2**-11 * 1.05).sum())
    yield from ("## Ten views against the live teacher", "")
    yield (
        f"{len(store):,} rows, {len(store) * 10:,} logits: the largest relative difference is {largest:.2e}; "
        f"{far:,} logits are further off than fp16 rounding, 2^-11 = {2**-11:.2e}, and a twentieth of it."
    )


def kills(folder: Path, model: Adapted, pool: Samples) -> Iterator[str]:
    """Kill a labelling at random moments, then let it finish and verify every row."""
    views = Views([Shift(1)], seed=1, count=KILLED_VIEWS)
    labeller = Labeller(ModuleTeacher(model), pool, views, Dense(10))
    dice, place = random.Random(0), folder / "killed"
    started = time.monotonic()
    _label_in_child(labeller, folder / "unbroken", None)
    lasts = time.monotonic() - started
    ended = [_label_in_child(labeller, place, dice.random() * lasts / 14) for _ in range(KILLS)]
    left = count_missing(labeller, Store(place), range(KILLED_VIEWS))
    ended.append(_label_in_child(labeller, place, None))
    found = verify_against(Store(place), labeller, range(KILLED_VIEWS))
    yield from ("## Killed twenty times", "")
    yield (
        f"{ended.count(-signal.SIGKILL)} of {KILLS} kills (SIGKILL, each within a random share of {lasts / 14:.1f} s, "
        f"a fourteenth of an unbroken labelling) came before the end; {left:,} rows were left to the last process. "
        f"After it: {found.rows:,} rows, "
        f"{found.missing} missing, {found.repeated} doubled, {found.wrong} wrong, {len(found.broken)} broken files."
    )


def _label_in_child(labeller: Labeller, place: Path, seconds: float | None) -> int:
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        import limbeck.knowledge.label as labelling

        labelling.SHARD_ROWS = KILLED_ROWS
        store = open_store(place, manifest_for(labeller.teacher, labeller.views, "cpu", labeller.form))
        for view in range(KILLED_VIEWS):
            fill(labeller, store, view, open_ledger(place.with_suffix(".json")))
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _head() -> str:
    versions = f"limbeck {limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}"
    return (
        f"`python benchmarks/knowledge.py`; MNIST, teacher cnn(width=8), seed 0; {platform.machine()}, "
        f"{torch.get_num_threads()} threads; {versions}. Medians, ranges in brackets."
    )


if __name__ == "__main__":
    main()
