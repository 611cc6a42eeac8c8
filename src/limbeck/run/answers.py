"""What every model says about the test samples: the only place of a run that reads them.

Shapes: S seeds, N test samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from limbeck.train.loop import predict

if TYPE_CHECKING:
    from limbeck.run.jobs import Trained

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What the seeds of one model say. seeds [S]; labels int64 [N].

    scores: [S, N, C], probabilities at temperature 1; where labels are values [N, C], values in the user's own units;
    where they are 0 or 1 [N, C], the probability of each. graded: False for a teacher that names a class and says no
    more; then the named class has probability 1.
    """

    scores: Floats
    seeds: tuple[int, ...]
    labels: NDArray[Any]
    graded: bool = True

    @property
    def correct(self) -> Floats:
        """1 where right, 0 where wrong, [S, N]."""
        right: Floats = (self.scores.argmax(2) == self.labels).astype(np.float64)
        return right


def ask(trained: Mapping[int, Trained], data: Data, scores: Callable[[NDArray[Any]], Floats] = softmax) -> Answers:
    """Return the answers of a model's seeds for the test samples; scores: makes them from logits [N, C]."""
    each = [scores(predict(one.model, data.test).numpy()) for one in trained.values()]
    return Answers(np.stack(each), tuple(trained), data.test.labels.cpu().numpy())


def metrics_of(answers: Answers, teacher: Answers | None, evaluate: tuple[str, ...]) -> dict[str, Any]:
    """Return every metric of a classifier as {mean, values, ci95, higher_is_better}."""
    each = [metrics.per_sample(one, answers.labels) for one in answers.scores]
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
        pairs = list(zip(answers.scores, _per_seed(teacher, answers.seeds), strict=True))
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
    pairs = np.stack([answers.scores.max(2), answers.correct], axis=2)
    return bootstrap(lambda one, _: metrics.calibration_error(one[:, 0], one[:, 1]), pairs, answers.labels)


def entry(
    interval: Interval, higher_is_better: bool, *, least: float | None = 0.0, most: float | None = None
) -> dict[str, Any]:
    """Return an interval as the report's JSON, cut at the least and the highest value that the metric can have."""
    ci95 = None
    if interval.low is not None and interval.high is not None:
        low = interval.low if least is None else max(interval.low, least)
        ci95 = [low, interval.high if most is None else min(interval.high, most)]
    values = list(interval.values)
    return {"mean": interval.mean, "values": values, "ci95": ci95, "higher_is_better": higher_is_better}


def verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    """Return a verdict as the report's JSON."""
    if verdict is None:
        return None
    found = asdict(verdict)
    return {**found, "ci95": list(verdict.ci95), "values": list(verdict.values), "notes": list(verdict.notes)}


def write_predictions(path: Path, name: str, answers: Answers, data: Data) -> None:
    """Write one row for each seed and test sample: model, seed, sample, label, scores; labels [N, C] as lists too."""
    samples = len(answers.labels)
    labels = np.tile(answers.labels, len(answers.seeds))
    table = pa.table(
        {
            "model": pa.array([name] * samples * len(answers.seeds)).dictionary_encode(),
            "seed": np.repeat(np.array(answers.seeds, dtype=np.int64), samples),
            "sample": list(data.test.ids) * len(answers.seeds),
            "label": _lists(answers.labels, len(answers.seeds)) if answers.labels.ndim > 1 else labels,
            "scores": _lists(answers.scores),
        }
    )
    partial = path.with_name(f".{path.name}.partial")
    with reporting_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial)
        partial.replace(path)


def _lists(values: NDArray[Any], times: int = 1) -> Any:
    """Return numbers [..., C] as a column of lists of 32-bit floats, so many times over."""
    flat = values.astype(np.float32).ravel()
    return pa.FixedSizeListArray.from_arrays(flat if times == 1 else np.tile(flat, times), values.shape[-1])


def _per_seed(teacher: Answers, seeds: tuple[int, ...]) -> Floats:
    """Return the probabilities of each seed's own teacher, or of the one they share, [S, N, C]."""
    if len(teacher.seeds) == 1:
        return np.broadcast_to(teacher.scores, (len(seeds), *teacher.scores.shape[1:]))
    return teacher.scores[[teacher.seeds.index(seed) for seed in seeds]]
