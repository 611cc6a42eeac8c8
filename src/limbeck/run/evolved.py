"""Samples for teachers that only answer, evolved by asking them, and kept as other generated samples are."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.errors import UserError
from limbeck.recipe.generated import GeneratedSection
from limbeck.run.chains import BySeed
from limbeck.run.fits import Workshop
from limbeck.run.stand_in import frame_of
from limbeck.synthesis.evolution import Population, evolve
from limbeck.synthesis.gauges import GaugeJson
from limbeck.teachers.base import Teacher

DOUBT = 1e-3  # probability of other classes, where a teacher only names one
PER_SAMPLE = 20  # questions, unless the recipe says how many there may be in all


def teacher_of(workshop: Workshop, teachers: BySeed) -> Teacher:
    """Return the teacher that is asked: the black box, or the model of the run."""
    found = workshop.live_teacher(next(iter(teachers.values()), None))
    assert found is not None  # the recipe names one
    return found


def evolved(
    workshop: Workshop, section: GeneratedSection, teachers: BySeed, folder: Path
) -> tuple[Population, list[GaugeJson]]:
    """Return samples that evolved from noise, and the gauges; goes on where an earlier process was killed.

    Raises TrainingError where they come to nothing, and what the teacher raises.
    """
    generations = (section.queries or PER_SAMPLE * section.pool) // section.pool
    workshop.watcher.say(f"Evolving samples, {generations * section.pool:,} questions to the teacher")
    frame, questions = frame_of(workshop.plan), _Questions(workshop, teachers)
    return evolve(
        frame, questions.ask, count=section.pool, classes=questions.classes, generations=generations,
        seed=section.seed, folder=folder,
    )  # fmt: skip


class _Questions:
    """Asks the teacher about samples that were never seen before."""

    def __init__(self, workshop: Workshop, teachers: BySeed) -> None:
        self.box, self.device = workshop.plan.black_box, workshop.device
        self.frame, self.batch = frame_of(workshop.plan), workshop.plan.stages[0].settings.batch_size
        self.classes = len(workshop.plan.data.classes)
        self.teacher = None if self.box is not None else teacher_of(workshop, teachers)

    @torch.no_grad()
    def ask(self, shown: Tensor) -> Tensor:
        """Return log probabilities [N, C] for samples [N, ...]; a teacher that names classes is sure of them."""
        stored = self.frame.stored(shown)
        ids = tuple(f"evolved/{number}" for number in range(len(stored)))
        samples = Samples(stored, torch.full((len(stored),), -1), ids).to(self.device)
        rows = torch.arange(len(samples), device=self.device)
        teacher = self.teacher if self.box is None else self.box.open(samples, rows.cpu())
        assert teacher is not None
        return torch.cat([self._said(teacher, samples, part) for part in torch.split(rows, self.batch)])

    def _said(self, teacher: Teacher, samples: Samples, rows: Tensor) -> Tensor:
        said = teacher(samples.batch(rows))
        if said.logits is not None:
            return said.logits.log_softmax(1).float().cpu()
        if said.labels is None:
            raise UserError("The preset evolution expects a teacher that gives logits, probabilities or labels.")
        sure = torch.nn.functional.one_hot(said.labels.cpu(), self.classes).float()
        return (sure * (1 - DOUBT) + DOUBT / self.classes).log()
