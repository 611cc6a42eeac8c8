"""What a run will do, as values: made from a recipe here, from Python objects in `limbeck.api`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.further import FurtherTask
from limbeck.data.label_noise import with_label_noise
from limbeck.data.samples import Samples
from limbeck.data.source import ReadOptions
from limbeck.data.unlabelled import open_unlabelled
from limbeck.data.views import Views
from limbeck.errors import ModelError, UserError
from limbeck.knowledge.wishes import Wishes
from limbeck.models.adapt import Adapted
from limbeck.models.weights import WEIGHTS, read_card
from limbeck.recipe.data import DataSection
from limbeck.recipe.generated import GeneratedSection
from limbeck.recipe.load import dump_recipe
from limbeck.recipe.model import Recipe, StageSection, own_classes
from limbeck.recipe.own import ask_for_trust
from limbeck.recipe.sources import expand
from limbeck.recipe.sweep import variants_of
from limbeck.recipe.teacher import OriginSection, TeacherSection, name_of
from limbeck.robustness.corrupting import Corrupting
from limbeck.run.adapting import check_remembering, spelled_out
from limbeck.run.attacks import check_attackable
from limbeck.run.augment import hidden_by, views_of
from limbeck.run.black_box import black_box_of
from limbeck.run.box import BlackBox
from limbeck.run.controls import resolve_controls
from limbeck.run.corrupting import check_corrupting, corrupting_of
from limbeck.run.ensemble import EnsemblePlan, Member, box_of
from limbeck.run.further import FurtherPlan, further_plans, with_heads
from limbeck.run.grown import settled
from limbeck.run.model_plan import ModelPlan, learner_plan_of, model_plan_of, student_plan_of
from limbeck.run.reload import build_net, check_prepared_alike, normalise_of
from limbeck.run.shared import check_sharing
from limbeck.run.stage_plan import StagePlan, stage_plan
from limbeck.run.task import Task
from limbeck.run.tasks import task_of
from limbeck.teachers.ensemble import Combination
from limbeck.teachers.module import fingerprint
from limbeck.teachers.seen import check_unseen
from limbeck.train.settings import Settings
from limbeck.types import known


@dataclass(frozen=True, eq=False)
class TeacherPlan:
    """settings: None for a teacher that is taken as it is; labels: which labels it is trained on."""

    model: ModelPlan
    settings: Settings | None
    labels: Literal["all", "same"] = "all"
    per_seed: bool = False
    views: Views | None = None


@dataclass(frozen=True, eq=False)
class PeerPlan:
    """A student that learns beside the one that ships. model: None for the architecture of that one."""

    model: ModelPlan | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything a run needs to know. At most one of teacher (a model), black_box (answers alone), itself and peer is
    given.

    variants: the points of a sweep, which share data, teacher and seeds; the plan itself is then that of the first.
    unlabelled_classes: those of which student, controls and validation see samples without a label.
    wishes: how the teacher's answers are kept; ensemble: what the black box is made of, before it is trained; itself:
    the decay of the student's moving average, which then teaches; peer: who learns beside the student and teaches it;
    generated: how samples are made that take the place of the training samples; proxy: those of another source; real:
    the data as they were before that, None until then; corrupting: what student and controls are shown corrupted;
    tasks: those beside the main one, with their teachers.
    """

    name: str
    seeds: tuple[int, ...]
    data: Data
    student: ModelPlan
    stages: tuple[StagePlan, ...]
    teacher: TeacherPlan | None = None
    controls: tuple[str, ...] = ()
    labels_per_class: int | None = None
    unlabelled_classes: tuple[str, ...] = ()
    views: Views | None = None
    margin: float = 0.005
    evaluate: tuple[str, ...] = ("calibration", "agreement")
    onnx: bool = True
    int8: bool = False
    tolerance: float = 0.01
    recipe: str = ""
    notes: tuple[str, ...] = ()
    black_box: BlackBox | None = None
    variants: tuple[Variant, ...] = ()
    wishes: Wishes = field(default_factory=Wishes)
    ensemble: EnsemblePlan | None = None
    itself: float | None = None
    peer: PeerPlan | None = None
    generated: GeneratedSection | None = None
    proxy: Samples | None = None
    real: Data | None = None
    corrupting: Corrupting | None = None
    tasks: tuple[FurtherPlan, ...] = ()

    @property
    def samples_taught(self) -> int:
        """How many samples a stage with a teacher shows, at most."""
        is_made = self.generated is not None and self.real is None and self.generated.preset != "proxy"
        return self.generated.pool if self.generated is not None and is_made else len(self.data.train)

    @property
    def teaches_within(self) -> bool:
        """Whether the teacher is a part of each fit of the student, and nothing before or after it."""
        return self.itself is not None or self.peer is not None

    @property
    def task(self) -> Task:
        """What the run does otherwise for labels of this kind."""
        return task_of(self.data.task, self.data.scaling)

    @property
    def withholds(self) -> bool:
        """Whether labels that the data have are kept from the student."""
        return self.labels_per_class is not None or bool(self.unlabelled_classes)

    @property
    def hidden_classes(self) -> tuple[str, ...]:
        """The classes that student, controls and validation see no label of."""
        return (*self.unlabelled_classes, *self.data.unseen_classes)

    @property
    def not_validated(self) -> tuple[str, ...]:
        """What validation has no labels of though test samples do: hidden classes, and the target domain."""
        return self.hidden_classes if self.data.in_domain is None else (*self.hidden_classes, "the target")

    def visible_labels(self, seed: int) -> Tensor:
        """Return the labels of the pool that student, controls and validation see, the others withheld."""
        return self.data.visible_labels(self.labels_per_class, seed, without=self.hidden_classes)

    def lesson_of(self, teacher: TeacherPlan, seed: int) -> tuple[Tensor, Tensor]:
        """Return the rows of the pool that a teacher trains on, int64, and the labels of the pool that it sees."""
        shown = teacher.labels == "all"
        labels = self.data.visible_labels(None, seed) if shown else self.visible_labels(seed)
        rows = self.data.taught if shown else self.data.train
        return rows[known(labels[rows])], labels

    def model(self, plan: ModelPlan, seed: int) -> Adapted:
        """Return a teacher or student with the starting weights of a seed."""
        return plan.make(len(self.data.classes), seed)

    def learner(self, stage: StagePlan) -> ModelPlan:
        """Return who learns in a stage."""
        return stage.student or self.student

    def conditions(self) -> dict[str, str]:
        """Return hashes of what a recipe does not hold: data, the weights and normalisation to start from, answers."""
        found = {"data": self.data.fingerprint, "student": fingerprint(self.model(self.student, self.seeds[0]))}
        if self.teacher is not None:
            found["teacher"] = fingerprint(self.model(self.teacher.model, self.seeds[0]))
        elif self.black_box is not None:
            found["teacher"] = self.black_box.open(self.data.pool, self.data.train).fingerprint
        for one in self.tasks:
            if one.teacher is not None:
                net = one.teacher.model.make(len(one.task.classes), self.seeds[0])
                found[f"teacher of {one.task.name}"] = fingerprint(net)
        return found


@dataclass(frozen=True, eq=False)
class Variant:
    """One point of a sweep. name: "01", "02", ...; settings: its value of each swept key."""

    name: str
    settings: dict[str, Any]
    plan: Plan


def plan_from_recipe(recipe: Recipe, *, trust: bool = False) -> Plan:
    """Open the data and turn a recipe into a plan; trust: whether classes of the user's own may be imported.

    Raises the UserError of whatever does not fit.
    """
    found = variants_of(recipe)
    ask_for_trust(
        [name for one in (recipe, *(variant.recipe for variant in found)) for name in own_classes(one)], trust
    )
    data = open_data(recipe.data)
    if not found:
        return _plan(recipe, data)
    first = _plan(found[0].recipe, data)
    _check_choosable(first)
    plans = [
        replace(_plan(one.recipe, data), teacher=first.teacher, black_box=first.black_box, tasks=first.tasks)
        for one in found
    ]
    variants = tuple(Variant(one.name, one.settings, plan) for one, plan in zip(found, plans, strict=True))
    return replace(first, recipe=dump_recipe(recipe), variants=variants)


def _check_choosable(plan: Plan) -> None:
    """Refuse a sweep that has nothing to choose its best variant by."""
    if not bool(known(plan.visible_labels(plan.seeds[0])[plan.data.validation]).any()):
        raise UserError(
            "A sweep chooses among its variants by validation accuracy, but no validation sample has a label; expected "
            "data.labels_per_class of 5 or more."
        )


def _plan(recipe: Recipe, data: Data) -> Plan:
    section = recipe.data
    few = section.labels_per_class
    hidden = hidden_by(few, section.unlabelled_classes)
    views = views_of(section.augment, data, seed=recipe.seed, count=section.views, hidden_by=hidden)
    tasks = further_plans(recipe, data, lambda one, own: _teacher_plan(recipe, one, own, views))
    student = with_heads(student_plan_of(recipe.student, data), tasks, data)
    recipe, moved = spelled_out(recipe, student, data)
    named = {one.task.name: one.task for one in tasks}
    stages = tuple(_stage_plan(stage, data, named) for stage in recipe.resolved_stages())
    teacher = recipe.teacher
    itself = teacher.itself.decay if teacher and teacher.itself else None
    peer = _peer_plan(teacher, student, data) if teacher and teacher.mutual else None
    within = itself is not None or peer is not None
    controls, notes = resolve_controls(
        recipe.controls,
        data,
        hidden is not None,
        stages,
        within=within,
        transfers=student.anew is not None,
        made=section.generated,
        tasks=tuple(named),
    )
    source = expand(teacher.source) if teacher and teacher.source else ""
    path = expand(recipe.knowledge.path) if recipe.knowledge.path else None
    ensemble = _ensemble_plan(recipe, teacher, data, views) if teacher and teacher.ensemble else None
    box = box_of(ensemble, data, {}) if ensemble else None
    box = black_box_of(teacher, source, data, views=views, path=path) if teacher and not box else box
    plan = Plan(
        name=recipe.name,
        seeds=tuple(range(recipe.seed, recipe.seed + recipe.seeds)),
        data=data,
        student=student,
        stages=stages,
        teacher=_teacher_plan(recipe, teacher, data, views) if teacher and not box and not within else None,
        controls=controls,
        labels_per_class=few,
        unlabelled_classes=section.unlabelled_classes,
        views=views,
        margin=recipe.margin,
        evaluate=recipe.evaluate,
        onnx=recipe.export.onnx,
        int8=recipe.export.int8,
        tolerance=recipe.export.tolerance,
        recipe=dump_recipe(recipe),
        notes=(*notes, *moved, *_unused(teacher), *(box.notes if box else ())),
        black_box=box,
        wishes=Wishes(**dict(recipe.knowledge)),
        ensemble=ensemble,
        itself=itself,
        peer=peer,
        generated=section.generated,
        proxy=_open_proxy(section.generated, data),
        corrupting=corrupting_of(section.corruptions, recipe.seed),
        tasks=tasks,
    )
    if plan.generated is not None and plan.teacher is not None and plan.teacher.model.normalise is not None:
        plan = replace(plan, student=replace(student, normalise=plan.teacher.model.normalise))
    check_sharing(plan)
    check_remembering(plan)
    check_corrupting(plan)
    if "attacks" in plan.evaluate:
        check_attackable(data.test)
    return settled(plan)


def open_data(section: DataSection) -> Data:
    """Open the data that a recipe's section describes."""
    size = section.size
    options = ReadOptions(
        size=size if size is None or isinstance(size, int) else (size[0], size[1]),
        channels=section.channels,
        resize=section.resize,
        background=section.background,
        corrupt=section.corrupt,
        memory=section.memory,
        label=section.label,
        drop=section.drop,
        categorical=section.categorical,
        task=section.task,
    )
    data = Data.open(
        expand(section.source),
        unlabelled=expand(section.unlabelled) if section.unlabelled else None,
        target=expand(section.target) if section.target else None,
        validation=section.validation,
        test=section.test,
        split_seed=section.split_seed,
        classes=section.classes,
        options=options,
    )
    data = with_label_noise(data, section.label_noise) if section.label_noise else data
    return data.not_showing(section.unseen_classes) if section.unseen_classes else data


def _open_proxy(made: GeneratedSection | None, data: Data) -> Samples | None:
    if made is None or made.proxy is None:
        return None
    return open_unlabelled(expand(made.proxy), data.reading or ReadOptions(), data.pool)[0]


def _stage_plan(stage: StageSection, data: Data, tasks: dict[str, FurtherTask]) -> StagePlan:
    return stage_plan(stage, None if stage.student is None else learner_plan_of(stage.student, data), tasks)


def _ensemble_plan(recipe: Recipe, section: TeacherSection, data: Data, views: Views | None) -> EnsemblePlan:
    """Return the plan of an ensemble, whose teachers are drawn by seeds of their own."""
    members = []
    for number, one in enumerate(section.ensemble or ()):
        box = black_box_of(one, expand(one.source) if one.source else "", data, views=views, path=None)
        model = None if box else _teacher_plan(recipe, one, data, views)
        members.append(Member(name_of(number, one), recipe.seed + number, model, box))
    return EnsemblePlan(tuple(members), Combination(section.combine, section.weights))


def _peer_plan(section: TeacherSection, student: ModelPlan, data: Data) -> PeerPlan:
    """Return who learns beside the student. Raises UserError for trees, which take no steps."""
    choice = section.mutual.model if section.mutual else None
    model = None if choice is None else model_plan_of(choice, section.normalise, data)
    if trees := [one for one in (student, model) if one is not None and one.grown]:
        raise UserError(
            f"teacher.mutual lets two networks learn step by step, but {trees[0].title} is grown in one; expected a "
            f"network."
        )
    return PeerPlan(model)


def _teacher_plan(recipe: Recipe, section: OriginSection, data: Data, views: Views | None) -> TeacherPlan:
    if section.source is not None and section.source.startswith("run:"):
        return TeacherPlan(teacher_of_run(Path(expand(section.source).removeprefix("run:")), data), None)
    assert section.model is not None  # the recipe has checked it
    model = model_plan_of(section.model, section.normalise, data, section.source)
    if section.source is not None:
        return TeacherPlan(model, None)
    alone = section if isinstance(section, TeacherSection) else None
    labels = alone.labels if alone else "all"
    few = recipe.data.labels_per_class if labels == "same" else None
    if section.train.augment is not None:
        own, hidden = section.train.augment, hidden_by(few)
        views = views_of(own, data, seed=recipe.seed, count=recipe.data.views, hidden_by=hidden)
    settings = {key: value for key, value in dict(section.train).items() if key != "augment"}
    each = (alone is not None and alone.per_seed) or few is not None
    return TeacherPlan(model, Settings(**settings), labels, each, views)


def _unused(teacher: TeacherSection | None) -> list[str]:
    """Return a note where a recipe says how to train a teacher that it takes from an earlier run."""
    if teacher is None or not (teacher.source or "").startswith("run:"):
        return []
    given = ["teacher.model"] if teacher.model is not None else []
    given += ["teacher.train"] if teacher.train != type(teacher.train)() else []
    return [f"The teacher comes from an earlier run, so {' and '.join(given)} went unused."] if given else []


def teacher_of_run(run: Path, data: Data) -> ModelPlan:
    """Return the teacher of an earlier run (or a model folder itself), its classes checked."""
    folder = run / "teacher" if (run / "teacher").is_dir() else run
    card = read_card(folder)
    check_prepared_alike(folder, data)
    if tuple(card["classes"]) != data.classes or tuple(card["shape"]) != data.shape:
        raise ModelError(
            f"The teacher in {folder} was made for samples {card['shape']} of the classes "
            f"{_short(card['classes'])}; this data has samples {list(data.shape)} "
            f"of the classes {_short(data.classes)}. Where only the classes differ, teacher.classes.map connects them."
        )
    build_net(folder, card)  # says at once what cannot be built
    check_unseen(folder, data)
    return ModelPlan(
        build=lambda: build_net(folder, card),
        architecture=card["architecture"],
        title=card["title"],
        normalise=normalise_of(card),
        fresh=False,
        weights=folder / WEIGHTS,
    )


def _short(classes: Sequence[str]) -> str:
    return ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
