"""What every model says about the test samples: the only place of a run that reads them.

Shapes: S seeds, N test samples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from limbeck.data.dataset import Data
from limbeck.evaluate import metrics
from limbeck.evaluate.calibration import softmax
from limbeck.evaluate.intervals import Interval, bootstrap, rate, two_way
from limbeck.evaluate.verdict import Verdict
from limbeck.files import reporting_disk_errors
from limbeck.run.jobs import Trained
from limbeck.train.loop import predict

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """probabilities [S, N, C] of one model at temperature 1; seeds [S]; labels int64 [N].

    graded: False for a teacher that names a class and says no more; then the named class has probability 1.
    """

    probabilities: Floats
    seeds: tuple[int, ...]
    labels: NDArray[np.int64]
    graded: bool = True

    @property
    def correct(self) -> Floats:
        """1 where right, 0 where wrong, [S, N]."""
        right: Floats = (self.probabilities.argmax(2) == self.labels).astype(np.float64)
        return right


def ask(trained: Mapping[int, Trained], data: Data) -> Answers:
    """Return the answers of a model's seeds for the test samples."""
    each = [softmax(predict(one.model, data.test).numpy()) for one in trained.values()]
    return Answers(np.stack(each), tuple(trained), data.test.labels.cpu().numpy())


def metrics_of(answers: Answers, teacher: Answers | None, evaluate: tuple[str, ...]) -> dict[str, Any]:
    """Return every metric of a model as {mean, values, ci95, higher_is_better}."""
    each = [metrics.per_sample(one, answers.labels) for one in answers.probabilities]
    stacked = {name: np.stack([values[name] for values in each]) for name in each[0]}
    found: dict[str, Any] = {
        "accuracy": entry(rate(stacked["accuracy"]), True),
        "worst_class_accuracy": entry(worst_class(answers), True),
        "nll": entry(two_way(stacked["nll"]), False),
        "brier": entry(two_way(stacked["brier"]), False),
        "ece": None,
        "agreement": None,
        "negative_flips": None,
    }
    if not answers.graded:
        found["nll"] = found["brier"] = None
    if "calibration" in evaluate and answers.graded:
        found["ece"] = entry(_calibration(answers), False)
    if teacher is not None and teacher is not answers and "agreement" in evaluate:
        pairs = list(zip(answers.probabilities, _per_seed(teacher, answers.seeds), strict=True))
        same = np.stack([metrics.agreement(mine, theirs) for mine, theirs in pairs])
        flips = np.stack([metrics.negative_flips(mine, theirs, answers.labels) for mine, theirs in pairs])
        found["agreement"], found["negative_flips"] = entry(rate(same), True), entry(rate(flips), False)
    return found


def worst_class(answers: Answers) -> Interval:
    """Return the accuracy of the class that fares worst, with its interval.

    Where it is always wrong or always right, resampling finds no spread; its interval is then that of its rate.
    """
    correct = answers.correct
    found = bootstrap(
        lambda one, labels: metrics.worst_class_rate(one[:, 0], labels), correct[..., None], answers.labels
    )
    if found.low != found.high:
        return found
    present = np.unique(answers.labels)
    right = [correct[:, answers.labels == label] for label in present]
    plain = rate(min(right, key=lambda one: float(one.mean())))
    return replace(found, low=plain.low, high=plain.high)


def _calibration(answers: Answers) -> Interval:
    """Return the expected calibration error, resampled as pairs (confidence, right), not as whole rows of classes."""
    pairs = np.stack([answers.probabilities.max(2), answers.correct], axis=2)
    return bootstrap(lambda one, _: metrics.calibration_error(one[:, 0], one[:, 1]), pairs, answers.labels)


def entry(interval: Interval, higher_is_better: bool) -> dict[str, Any]:
    """Return an interval as the report's JSON; no metric here can be below 0, so its interval is cut there."""
    ci95 = None if interval.low is None else [max(interval.low, 0.0), interval.high]
    values = list(interval.values)
    return {"mean": interval.mean, "values": values, "ci95": ci95, "higher_is_better": higher_is_better}


def verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    """Return a verdict as the report's JSON."""
    if verdict is None:
        return None
    found = asdict(verdict)
    return {**found, "ci95": list(verdict.ci95), "values": list(verdict.values), "notes": list(verdict.notes)}


def write_predictions(path: Path, name: str, answers: Answers, data: Data) -> None:
    """Write one row for each seed and test sample: model, seed, sample, label, scores (probabilities)."""
    samples = len(answers.labels)
    table = pa.table(
        {
            "model": pa.array([name] * samples * len(answers.seeds)).dictionary_encode(),
            "seed": np.repeat(np.array(answers.seeds, dtype=np.int64), samples),
            "sample": list(data.test.ids) * len(answers.seeds),
            "label": np.tile(answers.labels, len(answers.seeds)),
            "scores": pa.FixedSizeListArray.from_arrays(
                answers.probabilities.astype(np.float32).ravel(), answers.probabilities.shape[2]
            ),
        }
    )
    partial = path.with_name(f".{path.name}.partial")
    with reporting_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial)
        partial.replace(path)


def _per_seed(teacher: Answers, seeds: tuple[int, ...]) -> Floats:
    """Return the probabilities of each seed's own teacher, or of the one they share, [S, N, C]."""
    if len(teacher.seeds) == 1:
        return np.broadcast_to(teacher.probabilities, (len(seeds), *teacher.probabilities.shape[1:]))
    return teacher.probabilities[[teacher.seeds.index(seed) for seed in seeds]]
