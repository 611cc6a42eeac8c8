"""Every model that a run trains, and what it is trained on.

A student and its controls go through the same chain of stages, from the same starting weights, with the same
views, batch size, schedule and number of optimizer steps. They differ in the objective and the labels alone.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.files import reporting_disk_errors
from limbeck.knowledge.form import Dense
from limbeck.knowledge.label import Labeller
from limbeck.knowledge.ledger import Ledger, open_ledger
from limbeck.knowledge.recall import Recalled, can_remember
from limbeck.models.adapt import Adapted
from limbeck.models.weights import save_weights
from limbeck.objectives.adversarial_cross_entropy import AdversarialCrossEntropy
from limbeck.objectives.base import Term
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.l2_sp import L2Sp
from limbeck.objectives.learning_without_forgetting import LearningWithoutForgetting
from limbeck.objectives.objective import ALIGNING, MAIN, Objective
from limbeck.objectives.trades import Trades
from limbeck.recipe.tasks import STAND_INS
from limbeck.run.board import BOARD, boards
from limbeck.run.choosing import choice_of
from limbeck.run.controls import SINGLE
from limbeck.run.ensemble import Member
from limbeck.run.inherit import start_from
from limbeck.run.jobs import Job, Trained, card_of, validation_temperature
from limbeck.run.knowledge import LEDGER, hear
from limbeck.run.memory import unheld
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan, TeacherPlan
from limbeck.run.probes import Probes
from limbeck.run.profile import Profile, phases_of
from limbeck.run.shared import HEAD, learner, share, shares
from limbeck.run.stage_plan import StagePlan, count_of_teaching
from limbeck.run.watch import Watcher
from limbeck.run.within import teacher_within
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.teachers.seen import copy_seen, save_seen
from limbeck.train.loop import Budget, Lesson, Observer, Progress, predict
from limbeck.train.settings import Settings
from limbeck.types import Record, known

METRICS = "metrics.jsonl"
SMOOTHING = 0.1
ADVERSARIAL: Mapping[str, type[AdversarialCrossEntropy | Trades]] = {
    "adversarial": AdversarialCrossEntropy,
    "trades": Trades,
}
SAMPLE = 8  # inputs that a teacher is made ready with
STUDENT, SCRATCH = "student", "scratch"
MEMBERS = "members"
OWN = ("teacher", STUDENT)  # never taken from the cache
STARTED = (L2Sp, LearningWithoutForgetting)  # hold a student to its start; new weights are nothing to hold to
LACKING: Mapping[str, tuple[type[Term], ...]] = {"source_only": ALIGNING, SCRATCH: STARTED}


@dataclass(frozen=True, eq=False)
class Workshop:
    """What all fits of a run share.

    pool: the training pool on the device; metrics: the file that epochs are noted in; ledger: what the teacher was
    asked; profile: measures where the time goes, if anybody asked; told: fits whose end the watcher has heard of from a
    helper, by model and seed; teachers: those that are trained, by seed, one for all under the first; further: those of
    further tasks, by task; probes: what fits with a frozen body are trained on, None for the models themselves.
    """

    plan: Plan
    folder: Path
    watcher: Watcher
    device: torch.device
    pool: Samples
    metrics: Path
    ledger: Ledger = field(default_factory=Ledger)
    profile: Profile | None = None
    told: Counter[tuple[str, int]] = field(default_factory=Counter)
    teachers: Mapping[int, Trained] = field(default_factory=dict)
    further: Mapping[str, dict[int, Trained]] = field(default_factory=dict)
    probes: Probes | None = None

    def log(self, record: Record) -> None:
        """Append a record to metrics.jsonl, for those who watch; the finished run writes the file anew."""
        with reporting_disk_errors(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def train_teacher(self, seed: int) -> Trained | None:
        """Return the teacher of a seed, trained when the plan says so; None when there is none."""
        plan = self.plan.teacher
        if plan is None:
            return None
        seed = seed if plan.per_seed else self.plan.seeds[0]
        folder = self.folder / "teacher" / "seeds" / str(seed) if plan.per_seed else self.folder / "teacher"
        return self._teach(plan, seed, folder)

    def train_member(self, member: Member) -> Trained:
        """Return a teacher of an ensemble that is a model, trained when the plan says so."""
        assert member.model is not None  # else it is a black box
        return self._teach(member.model, member.seed, self.folder / "teacher" / MEMBERS / member.name)

    def _teach(self, plan: TeacherPlan, seed: int, folder: Path) -> Trained:
        rows, labels = self.plan.lesson_of(plan, seed)
        model = self.plan.model(plan.model, seed)
        if plan.settings is None:
            return self._as_it_is(plan.model, model, folder, seed, labels)
        task = self.plan.task
        lesson = Lesson(self.pool, rows, self._validation(labels), labels, plan.views, task.score)
        objective = Objective([(1.0, task.label())])
        budget = _budget(plan.settings, len(rows))
        job = Job("teacher", seed, model, plan.model, objective, lesson, plan.settings, budget, self.plan.data)
        trained = self._carry_out(job, folder)
        save_seen(folder, self.plan.data, torch.cat([lesson.rows, lesson.validation]))
        return trained

    def train_stage(
        self,
        stage: StagePlan,
        role: str,
        seed: int,
        *,
        before: Trained | None,
        teacher: Teacher | None,
        student: Trained | None = None,
        labeller: Trained | None = None,
        folder: Path,
    ) -> Trained:
        """Train student or control through one stage.

        role: "student" or the control's name; before: what the stage starts from, None for new weights;
        student: what a control must keep step with; labeller: the control whose predictions self_training takes
        as labels.
        """
        plan, made = self.plan, learner(self.plan, stage, role)
        made = made.from_scratch() if role == SCRATCH else made
        model = plan.model(made, seed)
        if before is not None:
            model.net.load_state_dict(before.model.net.state_dict())
        elif made.layers is not None:
            start_from(model, self._trained_teacher(seed), plan)
        if shares(stage, role):
            inputs = self.pool.batch(plan.data.train[:SAMPLE]).inputs.cpu()
            share(model, self._trained_teacher(seed), inputs, stage.objective)
        labels = plan.visible_labels(seed)
        objective = objective_of(stage, role, plan.task.label, unheld(plan))
        validation = self._validation(labels)
        validation = validation[:0] if role.startswith(f"{SINGLE}-") else validation  # it says nothing of the main task
        budget = self._stage_budget(stage, labels, student)
        if labeller is not None and stage.objective.uses_unlabelled:
            labels = self._pseudo_labels(labels, labeller)
        rows = self._rows(labels, labelled_only=not objective.uses_unlabelled, role=role)
        choice = choice_of(stage.settings.select, plan.data, validation, labels)
        lesson = Lesson(
            self.pool, rows, validation, labels, plan.views, plan.task.score, choice, plan.corrupting
        )  # fmt: skip
        settings = stage.settings if role == STUDENT else replace(stage.settings, patience=None)
        needed = (self._teacher_within(stage, model, seed) or teacher) if objective.needs else None
        frozen = () if role == SCRATCH else stage.freeze  # nobody would freeze what knows nothing
        frozen = (HEAD,) if shares(stage, role) else frozen
        lora = None if role == SCRATCH else stage.lora
        lasting = before is None and made.layers is None and (made.anew is not None or not made.fresh)
        job = Job(
            role, seed, model, made, objective, lesson, settings, budget, plan.data, needed, frozen,
            self.probes, lasting, lora,
        )  # fmt: skip
        trained = self._carry_out(job, folder)
        return trained if before is None else replace(trained, steps=trained.steps + before.steps)

    def _trained_teacher(self, seed: int) -> Adapted:
        return self.teachers.get(seed, self.teachers[min(self.teachers)]).model

    def teacher(self, trained: Trained | None) -> Teacher | None:
        """Return the trained teacher, or the black box, as the fits hear it: `limbeck.run.knowledge`."""
        live = self.live_teacher(trained)
        if live is None:
            return None
        plan = self.plan
        tables = len(plan.seeds) if plan.teacher and plan.teacher.per_seed else 1
        return hear(plan, live, self.pool, self.folder, self.ledger, self.watcher, tables)

    def live_teacher(self, trained: Trained | None) -> Teacher | None:
        """Return the trained teacher, or the black box, as one that is asked."""
        if self.plan.black_box is not None:
            return self.plan.black_box.open(self.pool, self.plan.data.train)
        return None if trained is None else self._asked(trained)

    def student_as_teacher(self, trained: Trained, *, remembers: bool) -> Teacher:
        """Return the student of an earlier stage as a teacher; its answers are in memory alone.

        remembers: whether it is asked once for each sample and view, see `remembers`.
        """
        teacher = self._asked(trained)
        if not remembers:
            return teacher
        labeller = Labeller(teacher, self.pool, self.plan.views, Dense(len(self.plan.data.classes)))
        name = f"{trained.folder.relative_to(self.metrics.parent)} for {self.folder.relative_to(self.metrics.parent)}"
        return Recalled(labeller, ledger=self.ledger, name=name)

    def remembers(self, stage: StagePlan) -> bool:
        """Whether the student that teaches a stage is asked once for each sample and view, not at every step."""
        plan, form = self.plan, Dense(len(self.plan.data.classes))
        if plan.wishes.mode == "live" or stage.objective.compares_features or stage.objective.follows_gradients:
            return False
        return can_remember(plan.views, len(self.pool), form, count_of_teaching(plan.stages) * len(plan.seeds))

    def _asked(self, trained: Trained) -> Teacher:
        sample = self.pool.batch(self.plan.data.train[:SAMPLE]).inputs
        model = copy.deepcopy(trained.model).to(self.device)
        return ModuleTeacher(model, sample, self.plan.stages[0].settings.precision)

    def _teacher_within(self, stage: StagePlan, model: Adapted, seed: int) -> Teacher | None:
        sample = self.pool.batch(self.plan.data.train[:SAMPLE]).inputs
        return teacher_within(self.plan, stage, model, seed, self.device, sample)

    def _stage_budget(self, stage: StagePlan, labels: Tensor, student: Trained | None) -> Budget:
        """Return the steps of the student's stage; a control gets the same, even where it has fewer samples."""
        rows = self._rows(labels, labelled_only=not stage.objective.uses_unlabelled)
        budget = _budget(stage.settings, len(rows))
        return budget if student is None else Budget(budget.steps, budget.per_epoch, student.progress.step)

    def _carry_out(self, job: Job, folder: Path) -> Trained:
        run = self.metrics.parent
        profiled = phases_of(self.profile, job.name, job.budget.steps, run)
        found = boards(run / BOARD / folder.relative_to(run))
        observers: list[Observer] = [self.watcher.record, self.log, *found]
        with profiled as phases:
            trained = job.carry_out(folder, self.device, observers, job.name not in OWN, phases)
        for board in found:
            board.catch_up(trained.progress)
        if self.told[job.name, job.seed]:
            self.told[job.name, job.seed] -= 1
        else:
            self.watcher.done(job.name, job.seed, trained.progress.step)
        return trained

    def _as_it_is(self, made: ModelPlan, model: Adapted, folder: Path, seed: int, labels: Tensor) -> Trained:
        """Keep a copy of a teacher that is not trained here, so that the run folder is whole."""
        data = self.plan.data
        lesson = Lesson(data.pool, data.train, self._validation(labels), labels)
        temperature = validation_temperature(model.eval(), lesson, data)
        save_weights(folder, model.net, card_of(made, model, data, seed, temperature))
        if made.weights is not None:
            copy_seen(made.weights.parent, folder)
        return Trained(model, folder, Progress(), seed, temperature, 0)

    def _pseudo_labels(self, labels: Tensor, labeller: Trained) -> Tensor:
        """Return the labels with the labeller's top class where a training row has none."""
        rows = self.plan.data.train
        guessed = predict(labeller.model, self.plan.data.pool, rows).argmax(1)
        filled = labels.clone()
        filled[rows] = torch.where(labels[rows] < 0, guessed, labels[rows])
        return filled

    def _rows(self, labels: Tensor, *, labelled_only: bool, role: str = STUDENT) -> Tensor:
        data = self.plan.data
        if labelled_only:
            rows = data.shown.get("labels", data.train)
            return rows[known(labels[rows])]
        return data.shown.get(role, data.train)

    def _validation(self, labels: Tensor) -> Tensor:
        rows = self.plan.data.validation
        return rows[known(labels[rows])]


def open_workshop(
    plan: Plan, folder: Path, watcher: Watcher, device: torch.device, profile: Profile | None = None
) -> Workshop:
    """Return the workshop of a run, with the training pool where training takes place."""
    ledger = open_ledger(folder / LEDGER)
    probes, pool = Probes(plan.wishes, folder, watcher), plan.data.pool.to(device)
    return Workshop(plan, folder, watcher, device, pool, folder / METRICS, ledger, profile, probes=probes)


def objective_of(
    stage: StagePlan, role: str, label: type[Term] = CrossEntropy, without: tuple[type[Term], ...] = ()
) -> Objective:
    """Return a new objective for the student or a control in a stage.

    label: what a control learns labels by; without: terms that it lacks, since they are what is judged.
    """
    if role in (STUDENT, *STAND_INS):
        return copy.deepcopy(stage.objective)
    if role == "smoothing":
        return stage.objective.control(label_smoothing=SMOOTHING, without=without)
    if role.partition("-")[0] == SINGLE:
        return stage.objective.single(role.partition("-")[2] or MAIN)
    if role in ADVERSARIAL:
        return stage.objective.adversarial_control(ADVERSARIAL[role])
    if role in LACKING:
        return stage.objective.control(without=LACKING[role], label=label)
    hard = role == "teacher_labels" and bool(stage.objective.needs)
    return stage.objective.control(teacher_labels=hard, label=label, without=without)


def best_seed(trained: Mapping[int, Trained]) -> int:
    """Return the seed with the best validation accuracy; the first of equals."""
    return max(trained, key=lambda seed: (trained[seed].progress.best_accuracy or 0.0, -seed))


def validation_accuracy(trained: Mapping[int, Trained]) -> float:
    """Return the mean validation accuracy over the seeds, 0 where there are no validation labels."""
    return float(np.mean([one.progress.best_accuracy or 0.0 for one in trained.values()]))


def _budget(settings: Settings, samples: int) -> Budget:
    return Budget(settings.total_steps(samples), settings.steps_per_epoch(samples))
