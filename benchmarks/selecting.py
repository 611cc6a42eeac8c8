"""Which epoch to keep where the target has no label: MNIST to USPS, `python benchmarks/selecting.py --data DIR`.

LeNet-5 learns MNIST's labels alone, and with a term that brings the domains together. After every epoch each rule of
`train.select` says how good the model looks, and the accuracy on USPS's test digits is noted beside it. All rules so
choose among the same epochs of the same fits; the page says what each of them would have kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import limbeck
from limbeck.data.dataset import Data
from limbeck.data.source import ReadOptions
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.lenet import LeNet5
from limbeck.objectives import CorrelationAlignment, CrossEntropy, MaximumMeanDiscrepancy, MinimumClassConfusion
from limbeck.objectives.objective import Objective
from limbeck.run.choosing import choice_of
from limbeck.run.surroundings import environment
from limbeck.train.choosing import Choice
from limbeck.train.loop import Budget, Lesson, fit, predict
from limbeck.train.settings import Select, Settings

HERE = Path(__file__).parent
STEPS, EPOCH = 600, 50
RULES: tuple[Select, ...] = ("validation", "entropy", "neighbourhood", "weighted")
WAYS = {
    "labels of the source alone": (),
    "maximum_mean_discrepancy": (MaximumMeanDiscrepancy,),
    "correlation_alignment": (CorrelationAlignment,),
    "minimum_class_confusion": (MinimumClassConfusion,),
}


@dataclass(frozen=True, eq=False)
class Watching(Choice):
    """Keeps the last epoch, and notes of each what every rule says and how many test digits of the target are right."""

    data: Data | None = None
    model: Adapted | None = None
    told: list[dict[str, float]] = field(default_factory=list)

    def figure(self, ask: Callable[[Tensor], Tensor]) -> float:
        """Note an epoch; a larger figure than all before."""
        assert self.data is not None and self.model is not None
        found = {rule: replace_rule(self, rule).figure(ask) for rule in RULES if rule != "validation"}
        found["validation"] = float((ask(self.source).argmax(1) == self.labels).double().mean())
        found["target"] = float(
            (predict(self.model, self.data.test).argmax(1) == self.data.test.labels).double().mean()
        )
        self.told.append(found)
        return float(len(self.told))


def replace_rule(choice: Choice, rule: Select) -> Choice:
    """Return a plain choice by a rule over the rows of another one."""
    return Choice(rule, choice.target, choice.source, choice.labels)


def trained(data: Data, terms: tuple[type, ...], seed: int) -> list[dict[str, float]]:
    """Train one model and return what was noted of each epoch."""
    torch.manual_seed(seed)
    model = Adapted(
        LeNet5(data.shape, len(data.classes)), classes=len(data.classes), normalise=Normalise(*data.statistics())
    )
    labels = data.visible_labels(None, seed)
    plain = choice_of("entropy", data, data.validation, labels)
    assert plain is not None
    watching = Watching("entropy", plain.target, plain.source, plain.labels, data, model)
    rows = data.train if terms else data.train[labels[data.train] >= 0]
    lesson = Lesson(data.pool, rows, data.validation, labels, choice=watching)
    objective = Objective([(1.0, CrossEntropy()), *((1.0, term()) for term in terms)])
    fit(model, objective, lesson, Settings(steps=STEPS, batch_size=128), Budget(STEPS, EPOCH), seed=seed)
    return watching.told


def kept(epochs: list[dict[str, float]], rule: str) -> float:
    """Return the target accuracy of the epoch that a rule keeps; the later one of equals, as `fit` does."""
    values = [one[rule] for one in epochs]
    place = len(values) - 1 - int(np.argmax(values[::-1]))
    return epochs[place]["target"]


def page(found: dict[str, dict[str, list[dict[str, float]]]], data: Data, seeds: int) -> str:
    """Return the dated page of results."""
    where = environment(torch.device("cpu"))
    lines = [
        f"# Which epoch to keep without labels of the target, {date.today().isoformat()}", "",
        "```", "python benchmarks/selecting.py", "```", "",
        f"MNIST to USPS, LeNet-5, {STEPS} steps of 128 at the one-cycle schedule, an epoch every {EPOCH}, seeds 0 to "
        f"{seeds - 1}. Target accuracy on {len(data.test):,} test digits of USPS, in percent, mean and each seed, of "
        f"the epoch that each rule keeps; 1,000 training digits of USPS are looked at. *Lowest* and *highest*: of the "
        f"{STEPS // EPOCH} epochs, what a rule could have kept at worst and at best.", "",
        f"limbeck {limbeck.__version__}, torch {torch.__version__}, {where['processor']}, {os.cpu_count()} cores.", "",
        "| Trained by | lowest | validation | entropy | neighbourhood | weighted | last | highest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for way, by_seed in found.items():
        runs = list(by_seed.values())
        cells = [[min(one["target"] for one in run) for run in runs]]
        cells += [[kept(run, rule) for run in runs] for rule in RULES]
        cells += [[run[-1]["target"] for run in runs], [max(one["target"] for one in run) for run in runs]]
        lines.append(f"| {way} | {' | '.join(_told(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def _told(values: list[float]) -> str:
    each = ", ".join(f"{100 * value:.1f}" for value in values)
    return f"{100 * float(np.mean(values)):.1f} ({each})"


def main() -> None:
    """Train what is not in the work file yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="default: $LIMBECK_DATA")
    parser.add_argument("--work", type=Path, default=Path("runs/selecting.json"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = Data.open(
        f"idx:{options.data}/mnist",
        target=f"parquet:{options.data}/usps",
        options=ReadOptions(size=28),
        validation=0.03,
    )
    found = json.loads(options.work.read_text()) if options.work.is_file() else {}
    for seed in range(options.seeds):
        for way, terms in WAYS.items():
            if str(seed) in found.setdefault(way, {}):
                continue
            print(f"{way}, seed {seed}", file=sys.stderr)
            found[way][str(seed)] = trained(data, terms, seed)
            options.work.parent.mkdir(parents=True, exist_ok=True)
            options.work.write_text(json.dumps(found))
    path = HERE / "results" / f"{date.today().isoformat()}-selecting.md"
    path.write_text(page(found, data, options.seeds), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
