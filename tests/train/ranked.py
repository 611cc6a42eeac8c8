"""What one of several processes does in test_ranks.py: python ranked.py FOLDER; it writes FOLDER/rank-N.json.

The launcher's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) say which it is; without them it is alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

torch.set_num_threads(1)

import limbeck  # noqa: E402
import limbeck.train.loop as loop  # noqa: E402
from limbeck.data.samples import Samples  # noqa: E402
from limbeck.models.adapt import Adapted  # noqa: E402
from limbeck.models.weights import checksum  # noqa: E402
from limbeck.objectives import AdversarialCrossEntropy, CrossEntropy, SoftLabels, TeacherLabels, WeightPenalty  # noqa: E402
from limbeck.objectives.base import Context, Term  # noqa: E402
from limbeck.objectives.objective import Objective  # noqa: E402
from limbeck.teachers.module import ModuleTeacher  # noqa: E402
from limbeck.train import ranks  # noqa: E402
from limbeck.train.loop import Budget, Lesson, Progress, fit  # noqa: E402
from limbeck.train.settings import Settings  # noqa: E402
from limbeck.types import Batch, Knowledge, Outputs, Record  # noqa: E402

SETTINGS = Settings(batch_size=15, lr=0.1, optimizer="sgd", schedule="cosine")
BUDGET = Budget(12, 4)


class Projected(Term):
    """A term with parameters of its own, which no wrapper of the model knows."""

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        self.projection = nn.Linear(student.logits.shape[1], 2)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        value: Tensor = (self.projection(student.logits) - 1).square().mean()
        return value


def lesson() -> Lesson:
    """90 vectors of 3 classes, half of the labels withheld, in bunches, so that slices have unequal numbers."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(90, 5, generator=generator)
    labels = inputs[:, :3].argmax(1)
    visible = torch.where(inputs[:, 3] > 0, labels, -1)
    validation = torch.arange(67, 90)
    visible[validation] = labels[validation]
    return Lesson(Samples(inputs, labels, tuple(map(str, range(90)))), torch.arange(67), validation, visible)


def net(*inner: nn.Module) -> Adapted:
    torch.manual_seed(1)
    return Adapted(nn.Sequential(nn.Linear(5, 8), *inner, nn.ReLU(), nn.Linear(8, 3)), classes=3)


def objective() -> Objective:
    terms = [(0.7, SoftLabels(2.0)), (0.5, CrossEntropy(0.1)), (0.2, TeacherLabels()), (1e-3, WeightPenalty())]
    asking = AdversarialCrossEntropy(epsilon=0.0, step_size=0.0, steps=2)  # which asks the student beside its wrapper
    return Objective([*terms, (0.3, Projected()), (0.4, asking)])


def additive(parts: int = 1) -> dict[str, Any]:
    """A fit that must not depend on how its batches are divided; parts: that a process takes its slice in."""
    model, terms, settings = net(), objective(), replace(SETTINGS, accumulate=parts)
    progress = fit(model, terms, lesson(), settings, BUDGET, teacher=ModuleTeacher(net().eval()), seed=3)
    weights = {name: value.tolist() for name, value in {**model.state_dict(), **terms.state_dict()}.items()}
    history = [{**record, "seconds": None} for record in progress.history]
    return {"history": history, "best": progress.best_accuracy, "weights": weights}


class Interrupted(Exception):
    pass


def interrupt(record: Record) -> None:
    if record.epoch == 3:
        raise Interrupted


def random() -> dict[str, Any]:
    """A fit with dropout and batch norm: unbroken, and interrupted and resumed from the first rank's checkpoint."""
    labels = Objective([(1.0, CrossEntropy())])
    unbroken, broken = net(nn.BatchNorm1d(8), nn.Dropout(0.5)), net(nn.BatchNorm1d(8), nn.Dropout(0.5))
    fit(unbroken, labels, lesson(), SETTINGS, BUDGET, seed=3)
    draws = torch.rand(2).tolist()
    loop.CHECKPOINT_SECONDS = -1.0
    with ranks.scratch() as folder:
        path = folder / "checkpoint"
        try:
            fit(broken, labels, lesson(), SETTINGS, BUDGET, seed=3, checkpoint=path, observers=[interrupt])
        except Interrupted:
            written = path.is_file()
        ranks.mirror(folder, ("checkpoint",))
        again = net(nn.BatchNorm1d(8), nn.Dropout(0.5))
        resumed: Progress = fit(again, labels, lesson(), SETTINGS, BUDGET, seed=3, checkpoint=path)
    sums = {"unbroken": checksum(unbroken), "resumed": checksum(again)}
    return {**sums, "draws": draws, "written": written, "epochs": [one["epoch"] for one in resumed.history]}


def said() -> dict[str, Any]:
    """What the ranks tell each other."""
    mine = ranks.rank()
    return {
        "slice": ranks.slice_of(torch.arange(7)).tolist(),
        "total": ranks.total(torch.tensor([1.0 + mine, 2.0])).tolist(),
        "agree": [ranks.agree(mine == 0), ranks.agree(mine == 1)],
        "from_first": [(ranks.from_first(one) or b"").decode() for one in (b"first" if mine == 0 else b"other", b"")],
        "nothing": ranks.from_first(None if mine == 0 else b"other"),
    }


RECIPE = """\
name: called
seeds: 1
data: {source: digits}
student: {model: linear, train: {steps: 9, batch_size: 33, optimizer: sgd}}
objective: [cross_entropy]
controls: []
export: {onnx: false}
"""


def called(folder: Path) -> dict[str, Any]:
    """What a script gets that calls Limbeck on every rank."""
    recipe = folder / f"{ranks.rank()}.yaml"
    recipe.write_text(RECIPE)
    result = limbeck.run_recipe(recipe, out=folder / "run", device="cpu", progress=False)
    model = result.report["models"]["student"]
    return {"folder": str(result.folder), "said": model["checksum"], "has": checksum(result.student.net)}


def main() -> None:
    ranks.join(torch.device("cpu"))
    found = {"said": said(), "additive": additive(), "in_parts": additive(3), "random": random()}
    found["called"] = called(Path(sys.argv[1]))
    (Path(sys.argv[1]) / f"rank-{ranks.rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
