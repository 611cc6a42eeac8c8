"""What is checked: a plan with its models built, and what several checks measure on them.

Shapes: N judged samples, B samples in a batch, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted
from limbeck.preflight.neighbours import guess_by_neighbours
from limbeck.run.plan import Plan
from limbeck.run.shared import share, shares
from limbeck.run.stage_plan import StagePlan
from limbeck.types import known

JUDGED = 2000
CHUNK = 512
SHOWN = 8  # samples by which classifiers are found


@dataclass(frozen=True, eq=False)
class Subject:
    """A plan that is checked. Checks work on copies: nothing of it is changed.

    student, teacher: in the mode in which they were given, None where there is none or it cannot be run.
    """

    plan: Plan
    device: torch.device
    student: Adapted | None
    teacher: Adapted | None

    @property
    def taught(self) -> bool:
        """Whether the teacher is finished already, so that its answers can be judged."""
        return self.teacher is not None and self.plan.teacher is not None and self.plan.teacher.settings is None

    def learner(self, stage: StagePlan) -> Adapted:
        """Return who learns in a stage, with the starting weights of the first seed."""
        if shares(stage) and self.teacher is not None:
            model = self.plan.model(self.plan.learner(stage), self.plan.seeds[0])
            inputs = self.plan.data.pool.batch(self.plan.data.train[:SHOWN]).inputs
            share(model, copy.deepcopy(self.teacher), inputs, stage.objective)
            return model
        if stage.student is not None:
            return self.plan.model(stage.student, self.plan.seeds[0])
        assert self.student is not None
        return self.student

    @cached_property
    def pool(self) -> Samples:
        """The samples but the test ones, where the run will train."""
        return self.plan.data.pool.to(self.device)

    @cached_property
    def rows(self) -> Tensor:
        """int64 [N]: rows of the pool with a label, of training and validation; 2,000 drawn where there are more."""
        every = torch.cat([self.plan.data.train, self.plan.data.validation])
        labelled = every[known(self.plan.data.pool.labels[every])]
        order = torch.randperm(len(labelled), generator=torch.Generator().manual_seed(0))
        return labelled[order[:JUDGED]]

    @cached_property
    def labels(self) -> Tensor:
        """int64 [N]: the labels of the judged rows."""
        return self.plan.data.pool.labels[self.rows]

    @cached_property
    def given_logits(self) -> Tensor:
        """float32 [N, C]: what the teacher answers as the run will ask it."""
        assert self.teacher is not None
        teacher = copy.deepcopy(self.teacher).to(self.device).eval()
        return self.ask(lambda inputs: teacher(inputs).logits)

    @cached_property
    def teacher_right(self) -> Tensor:
        """bool [N]: where the teacher's top class is the label."""
        return self.given_logits.argmax(1) == self.labels

    @cached_property
    def neighbours(self) -> Tensor:
        """int64 [N]: the class of the nearest other samples, a yardstick that needs no training."""
        return guess_by_neighbours(self.plan.data.pool.batch(self.rows).inputs, self.labels)

    @torch.no_grad()
    def ask(self, answer: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what a function of inputs [B, ...] answers for the judged rows: float32 [N, C] on the CPU."""
        chunks = torch.split(self.rows, CHUNK)
        return torch.cat([answer(self.pool.batch(rows).inputs).float().cpu() for rows in chunks])
