"""The one training loop: teacher, student and controls all go through `fit`.

Shapes: B samples in the batch, C classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import TrainingError
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Arithmetic, Precision, choose
from limbeck.models.work import multiply_adds
from limbeck.objectives.balance import EVERY
from limbeck.objectives.objective import Objective
from limbeck.robustness.corrupting import Corrupting
from limbeck.teachers.base import Teacher
from limbeck.train import ranks, tiny
from limbeck.train.accelerator import accelerator_for
from limbeck.train.allocation import keep_freed_memory
from limbeck.train.checkpoint import load_checkpoint, save_checkpoint
from limbeck.train.choosing import Choice
from limbeck.train.compiled import compiled, wants_compiling
from limbeck.train.hearing import heard, leave, listen, narrow
from limbeck.train.order import Halves, Order, order_of
from limbeck.train.phases import UNMEASURED, Phases
from limbeck.train.prefetch import ahead
from limbeck.train.score import Score
from limbeck.train.settings import Settings, build_optimizer, learning_rate
from limbeck.train.step import Step, can_compile, check_accumulation, check_compiling
from limbeck.train.threads import SMALL_STEP, fitting_threads
from limbeck.types import Batch, Knowledge, Record

CHECKPOINT_SECONDS = 5.0
ONE_SAMPLE = 1.0 + 1e-9
EVALUATION_BATCH = 1024
EVALUATION_BYTES = 16 * 2**20  # of the inputs of a batch; what a convolution makes of them is several times as large

Observer = Callable[[Record], None]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a model is taught from. It holds no test sample, so no fit can see one.

    samples: the pool that rows count in; rows: int64 [n], shown in training; validation: int64 [m], rows
    with a visible label, for picking the checkpoint; labels: int64 [len(samples)], -1 = withheld, or float32
    [len(samples), C], NaN = withheld; views: augmentation or None; score: what validation measures, None for accuracy;
    choice: what picks the checkpoint in its place, by rows without labels, None for validation; corrupting: what of it
    the model is shown corrupted, and its teacher not.
    """

    samples: Samples
    rows: Tensor
    validation: Tensor
    labels: Tensor
    views: Views | None = None
    score: Score | None = None
    choice: Choice | None = None
    corrupting: Corrupting | None = None

    def batch(self, rows: Tensor, showing: Tensor) -> Batch:
        """Return rows at their n-th showings, counted from 0, int64 [B] each, as training has them."""
        device = self.samples.device
        rows, showing = rows.to(device), showing.to(device)
        view = None if self.views is None else self.views.number(showing)
        found = self.samples.batch(rows, view=view, views=self.views, labels=self.labels)
        if self.corrupting is None:
            return found
        return replace(found, corrupted=self.corrupting(found.inputs, self.samples.keys[rows], showing))

    @property
    def slack(self) -> float:
        """A difference in validation that counts as none: one row that is right or wrong."""
        return ONE_SAMPLE / max(len(self.validation), 1) if self.score is None and self.choice is None else 0.0


@dataclass(frozen=True)
class Budget:
    """How long a fit lasts: steps in all, steps of an epoch (the rhythm of validation), and where to stop.

    stop_at: end after this many steps although the schedule is made for more (a control follows a student
    that stopped early).
    """

    steps: int
    per_epoch: int
    stop_at: int | None = None


@dataclass
class Progress:
    """Where a fit is; everything here is JSON and goes into the checkpoint.

    best_accuracy: of the epoch whose weights are kept; peak_accuracy: the highest seen of what chooses it;
    improved_epoch: where; sums: of loss and parts over the steps of an epoch that is not finished; precision: of its
    products, kept when it is resumed; compiled: whether its steps are, kept like it; asked: samples that a live teacher
    answered for.
    """

    step: int = 0
    epoch: int = 0
    best_accuracy: float | None = None
    peak_accuracy: float | None = None
    best_epoch: int = 0
    improved_epoch: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    precision: Precision = "fp32"
    compiled: bool = False
    asked: int = 0


def fit(
    model: Adapted,
    objective: Objective,
    lesson: Lesson,
    settings: Settings,
    budget: Budget,
    *,
    teacher: Teacher | None = None,
    seed: int = 0,
    name: str = "student",
    device: torch.device | None = None,
    checkpoint: Path | None = None,
    observers: Sequence[Observer] = (),
    phases: Phases = UNMEASURED,
) -> Progress:
    """Train a model in place and leave it with its best weights, by accuracy on the validation rows.

    Ties, and differences of a single validation row, go to the later epoch; without validation rows the last epoch is
    kept. checkpoint: a file that is written every few seconds and from which an interrupted fit goes on to the same
    result (on a CPU). phases: measures where the time goes. Of several processes (`limbeck.train.ranks`) each takes a
    slice of every batch, and all end with the same weights. Raises ObjectiveError before the first step when the
    teacher cannot serve a term, TrainingError when the loss is not finite.
    """
    objective.check(teacher.provides if teacher is not None else frozenset())
    check_accumulation(model, objective, settings.accumulate)
    accelerator = accelerator_for(device or torch.device("cpu"))
    lesson = replace(lesson, labels=lesson.labels.to(lesson.samples.device))
    torch.manual_seed(seed)
    prepared = _prepared(model, objective, lesson, teacher, settings, accelerator.device)
    with prepared as (usual, work), fitting_threads(work, accelerator.device), usual.laid_out(model.net):
        compiles = can_compile(objective) and wants_compiling(
            settings.compile, model, accelerator.device, work, budget.steps
        )
        best, progress = {}, Progress(precision=usual.precision, compiled=compiles)
        modules = _changing(model, objective, teacher)
        optimizer = build_optimizer(settings, model, objective.parameters(), modules.get("teacher"))
        if checkpoint is not None and (found := load_checkpoint(checkpoint, modules=modules, optimizer=optimizer)):
            best, progress = found[0], Progress(**found[1])
        arithmetic = replace(usual, precision=progress.precision)
        batches_of = partial(_batches, lesson, order_of(lesson.rows, lesson.samples.domain, seed), settings)
        quick = _quickened(accelerator.prepare(model), arithmetic, settings, progress, batches_of)
        take = Step(heard(teacher, partial(arithmetic.forward, quick)), objective, Tensor.backward, optimizer, phases)
        course = _Course(name, seed, model, objective, lesson, settings, budget, observers, arithmetic)
        started, saved, before = time.monotonic() - progress.seconds, time.monotonic(), progress.asked - _asked(teacher)
        steps = range(progress.step, min(budget.steps, budget.stop_at or budget.steps))
        made = ahead(steps, batches_of, threaded=lesson.samples.mapped is not None)
        sums = torch.tensor(progress.sums or [0.0] * (1 + len(objective.names)), device=accelerator.device)
        model.train()
        for step in steps:
            if _out_of_patience(progress, settings):
                break
            ranks.seed_step(seed, step)
            with phases("data"):
                batches = next(made)
            with phases("teacher's answers"):
                taught = [(batch, teacher(batch) if teacher is not None else Knowledge()) for batch in batches]
            sums += take(
                taught, learning_rate(settings, step, budget.steps), step / budget.per_epoch, measure=step % EVERY == 0
            )
            _after(step, optimizer, teacher, model)
            phases.step()
            progress.step, progress.seconds = step + 1, time.monotonic() - started
            progress.asked = before + _asked(teacher) * ranks.world()
            if progress.step % budget.per_epoch == 0 or progress.step == steps.stop:
                means = ranks.total(sums) / (step % budget.per_epoch + 1)
                with phases("validation"):
                    is_best = _end_epoch(course, progress, means)
                if is_best:
                    best = {key: value.detach().clone() for key, value in model.net.state_dict().items()}
                sums.zero_()
                model.train()
            if checkpoint is not None and ranks.is_first() and time.monotonic() - saved > CHECKPOINT_SECONDS:
                progress.sums = sums.tolist()
                save_checkpoint(checkpoint, modules=modules, best=best, optimizer=optimizer, progress=asdict(progress))
                saved = time.monotonic()
    progress.sums = []
    model.eval().net.load_state_dict(best)
    return progress


def _changing(model: Adapted, objective: Objective, teacher: Teacher | None) -> dict[str, nn.Module]:
    """Return what a fit changes, by the names that checkpoints have for it."""
    moving = None if teacher is None else teacher.moving
    return {"model": model.net, "objective": objective, **({} if moving is None else {"teacher": moving})}


def _after(step: int, optimizer: torch.optim.Optimizer, teacher: Teacher | None, model: Adapted) -> None:
    if step % tiny.EVERY == 0:
        tiny.forget_tiny(optimizer)
    if teacher is not None:
        teacher.follow(model, step)


@torch.no_grad()
def predict(model: Adapted, samples: Samples, rows: Tensor | None = None, arithmetic: Arithmetic = PLAIN) -> Tensor:
    """Return the logits [n, C] (float32, CPU) of untouched samples in evaluation mode; the mode is put back."""
    rows = torch.arange(len(samples)) if rows is None else rows
    training, device = model.training, next(model.parameters()).device
    model.eval()
    chunks = [
        arithmetic.forward(model, samples.batch(part).inputs.to(device)).logits.float().cpu()
        for part in torch.split(rows, evaluation_batch(samples))
    ]
    model.train(training)
    return torch.cat(chunks) if chunks else torch.zeros(0, model.classes)


def evaluation_batch(samples: Samples) -> int:
    """Return how many samples a model is asked about at once where nothing is learned."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_BYTES // (4 * math.prod(samples.shape))))


def accuracy(
    model: Adapted, samples: Samples, rows: Tensor, labels: Tensor, arithmetic: Arithmetic = PLAIN
) -> float | None:
    """Return the share of rows whose top class is their label; None when there are no rows."""
    if len(rows) == 0:
        return None
    hits = predict(model, samples, rows, arithmetic).argmax(1) == labels.cpu()[rows.cpu()]
    return float(hits.double().mean())


@dataclass(frozen=True, eq=False)
class _Course:
    """What stays as it is while a model is trained."""

    name: str
    seed: int
    model: Adapted
    objective: Objective
    lesson: Lesson
    settings: Settings
    budget: Budget
    observers: Sequence[Observer]
    arithmetic: Arithmetic


def _end_epoch(course: _Course, progress: Progress, means: Tensor) -> bool:
    """Validate, note the epoch and tell the observers; return whether its weights are the best so far.

    means: of the loss and of each term over the epoch's steps.
    """
    progress.epoch += 1
    record = _record(course, progress, means)
    progress.history.append(asdict(record))
    for observer in course.observers:
        observer(record)
    return _is_best(progress, _figure(course, record), record.accuracy, course.lesson.slack)


def _figure(course: _Course, record: Record) -> float | None:
    """Return what decides whether an epoch's weights are kept, larger is better."""
    lesson = course.lesson
    if lesson.choice is None:
        return record.accuracy
    return lesson.choice.figure(lambda rows: predict(course.model, lesson.samples, rows, course.arithmetic))


@contextmanager
def _prepared(
    model: Adapted,
    objective: Objective,
    lesson: Lesson,
    teacher: Teacher | None,
    settings: Settings,
    device: torch.device,
) -> Iterator[tuple[Arithmetic, int]]:
    """Let the terms see the shapes of one small batch, without moving any state of the model or the random numbers.

    Yields how the model computes, and the multiply-adds of a step's forward pass; a live teacher counts as very many.
    While it lasts, model and teacher give the features that the terms compare.
    """
    check_compiling(objective, settings.compile)
    keep_freed_memory()
    model.to(device).eval()
    batch = lesson.samples.batch(lesson.rows[:2].to(lesson.samples.device), labels=lesson.labels)
    work = multiply_adds(model, batch.inputs) * settings.batch_size
    arithmetic = choose(settings.precision, model, batch.inputs, work)
    try:
        context = replace(listen(model, objective, teacher, batch, len(lesson.samples)), arithmetic=arithmetic)
        with torch.no_grad():
            outputs = model(batch.inputs)
            knowledge = teacher(batch) if teacher is not None else Knowledge()
        with torch.random.fork_rng(devices=[]):
            objective.prepare(outputs, knowledge, context)
        objective.to(device)
        narrow(model, objective, teacher, batch)
        yield arithmetic, work if teacher is None or teacher.recalls else max(work, SMALL_STEP)
    finally:
        leave(model, objective, teacher, batch)


def _quickened(
    model: Adapted,
    arithmetic: Arithmetic,
    settings: Settings,
    progress: Progress,
    batches: Callable[[int], list[Batch]],
) -> Adapted:
    """Return what takes the steps: the model, or where that was chosen its compiled form."""
    if not progress.compiled:
        return model
    model.train()
    shown = batches(progress.step)[0].inputs
    fast = compiled(model, arithmetic, shown, insist=settings.compile == "always")
    progress.compiled = fast is not None
    return model if fast is None else fast


def _batches(lesson: Lesson, order: Order | Halves, settings: Settings, step: int) -> list[Batch]:
    """Return this process's slice of the batch of a step, in the parts that it is taken in: as many on each process."""
    rows, showing = (ranks.slice_of(values) for values in order.batch(step, settings.batch_size))
    parts = torch.arange(len(rows)).tensor_split(min(settings.accumulate, settings.batch_size // ranks.world()))
    slices = (slice(int(one[0]), int(one[-1]) + 1) for one in parts)
    return [lesson.batch(rows[part], showing[part]) for part in slices]


def _asked(teacher: Teacher | None) -> int:
    """Return how many samples a live teacher answered for so far; who recalls counts by itself."""
    return 0 if teacher is None or teacher.recalls else teacher.asked


def _record(course: _Course, progress: Progress, means: Tensor) -> Record:
    loss, *parts = means.tolist()
    named, budget = dict(zip(course.objective.names, parts, strict=True)), course.budget
    if not torch.isfinite(means).all():
        broken = [part for part, value in named.items() if value - value != 0] or ["the loss"]
        raise TrainingError(
            f"Training {course.name} (seed {course.seed}) stopped at step {progress.step}: {', '.join(broken)} is not "
            f"finite. Lower the learning rate (now {course.settings.lr:g}) or the weight of that term."
        )
    return Record(
        model=course.name,
        seed=course.seed,
        epoch=progress.epoch,
        epochs=-(-budget.steps // budget.per_epoch),
        step=progress.step,
        loss=loss,
        parts=named,
        accuracy=_validate(course),
        lr=learning_rate(course.settings, progress.step - 1, budget.steps),
        seconds=progress.seconds,
        gradients=course.objective.gradients(progress.step / budget.per_epoch),
        measure="accuracy" if course.lesson.score is None else course.lesson.score.name,
    )


def _validate(course: _Course) -> float | None:
    """Return the accuracy on the validation rows, of which every process asks about a slice, or the lesson's score."""
    model, lesson = course.model, course.lesson
    if ranks.world() > 1 and len(lesson.validation):
        ranks.share_buffers(model)
    if lesson.score is not None and len(lesson.validation):
        answers = predict(model, lesson.samples, lesson.validation, course.arithmetic)
        return lesson.score.figure(answers, lesson.labels.cpu()[lesson.validation.cpu()])
    if ranks.world() == 1 or len(lesson.validation) == 0:
        return accuracy(model, lesson.samples, lesson.validation, lesson.labels, course.arithmetic)
    rows = ranks.slice_of(lesson.validation)
    share = accuracy(model, lesson.samples, rows, lesson.labels, course.arithmetic) or 0.0
    return int(ranks.total(torch.tensor(round(share * len(rows))))) / len(lesson.validation)


def _is_best(progress: Progress, value: float | None, accuracy: float | None, slack: float) -> bool:
    """Whether this epoch's weights are kept, whose accuracy is noted; slack: a difference that is none."""
    if value is None or progress.peak_accuracy is None or value > progress.peak_accuracy:
        progress.peak_accuracy, progress.improved_epoch = value, progress.epoch
    elif value < progress.peak_accuracy - slack:
        return False
    progress.best_accuracy, progress.best_epoch = accuracy, progress.epoch
    return True


def _out_of_patience(progress: Progress, settings: Settings) -> bool:
    return settings.patience is not None and progress.epoch - progress.improved_epoch >= settings.patience
