"""The sections of a recipe. Every default is here or in the constructor that a section is made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from limbeck.knowledge.wishes import Wishes
from limbeck.objectives.fitting import task_sentence
from limbeck.objectives.objective import Balancing
from limbeck.recipe.adapt import Adapt, Frozen, check_adapt, in_stages
from limbeck.recipe.choices import TERMS, ModelChoice, TermChoice, TrainSection
from limbeck.recipe.data import DataSection, NormaliseSection
from limbeck.recipe.further import FurtherSection, check_further
from limbeck.recipe.lora import LoraSection, check_lora
from limbeck.recipe.schema import Strict, section_of
from limbeck.recipe.sources import OF_CLASSES, kind_of, named_model
from limbeck.recipe.staged import check_stage
from limbeck.recipe.tasks import CONTROLS_OF, MARGIN, check_controls
from limbeck.recipe.teacher import TeacherSection
from limbeck.recipe.withheld import check_generated, check_hidden_classes, check_selecting

SWEPT = ("objective", "stages", "student")
WHOLE = {"objective", "stages"}  # what a recipe needs one of
MOST_VARIANTS = 256
CONTROLS = CONTROLS_OF["classification"]

KnowledgeSection: Any = section_of(Wishes, name="Knowledge")

ControlName = Literal[
    "labels", "smoothing", "teacher_labels", "self_training", "source_only", "adversarial", "trades",
    "scratch", "single", "gaussian_noise", "uniform_noise", "matched_noise", "proxy",
]  # fmt: skip
TEACHER = "teacher"  # as a student's source

Layer = Annotated[int, Field(ge=0)]
Values = Annotated[tuple[Any, ...], Field(min_length=1)]
Named = Annotated[dict[str, Any], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class StudentSection(Strict):
    """Who learns.

    model: its architecture.
    source: weights to start from, `file:WEIGHTS.safetensors` or `run:DIR` (the student of an earlier run, or any model
    folder), where a classifier made for other classes keeps what it knew of these, by their names; or layers of the
    teacher, `teacher`; or a model of a library, `timm:NAME`, `torchvision:NAME` or `hf:DIR`.
    layers: which layers of a deeper teacher `source: teacher` takes, at `even` distances or as a list of their numbers.
    normalise: what its pictures go through first, in training and in the exported file.
    freeze: what training leaves as it is, paths of modules or parameters with `*` for any text; `backbone` is all but
    the classifier.
    adapt: how one that was trained before is moved, `probe_then_tune` (the classifier alone for a quarter of the steps,
    then all), `probe` (the classifier alone), `gradual` (from the classifier down, a stage of the network at a time) or
    `full`; probe_then_tune where it starts from other weights, unless stages, freeze or a schedule say more.
    lora: low-rank adapters, by the extra `peft`, that are trained beside the classifier in the place of all weights.
    train: how it and its controls are trained.
    """

    model: ModelChoice
    source: str | None = None
    layers: Literal["even"] | Annotated[tuple[Layer, ...], Field(min_length=1)] = "even"
    normalise: Literal["data", "none"] | NormaliseSection = "data"
    freeze: tuple[str, ...] = ()
    adapt: Adapt | None = None
    lora: LoraSection | None = None
    train: TrainSection = TrainSection()

    @model_validator(mode="before")
    @classmethod
    def _names_a_model(cls, given: Any) -> Any:
        return named_model(given)

    @model_validator(mode="after")
    def _known_source(self) -> StudentSection:
        if self.source not in (None, TEACHER) and not str(self.source).startswith(("file:", "run:")):
            raise ValueError(f"source expects 'file:WEIGHTS.safetensors', 'run:DIR' or 'teacher', got {self.source!r}")
        if self.layers != "even" and self.source != TEACHER:
            raise ValueError("layers are those of the teacher, so it goes with source: teacher")
        return self


class LearnerSection(Strict):
    """Who learns in a stage, where that is not the student that ships.

    model: its architecture.
    source: weights to start from, as a student's, `file:WEIGHTS.safetensors` or `run:DIR`.
    normalise: what its pictures go through first.
    """

    model: ModelChoice
    source: Annotated[str, Field(pattern=r"^(file|run):.+")] | None = None
    normalise: Literal["data", "none"] | NormaliseSection = "data"


class StageSection(Strict):
    """One stage of a longer training.

    name: what the report calls it.
    from: the earlier stage it starts from, or `scratch`; the stage before unless given.
    teacher: the earlier stage whose student, of the same seed, teaches this one; the teacher of the run unless given.
    student: who learns here, where that is another model than the student that ships, such as an assistant.
    objective: its terms.
    balance: as for a run of one stage.
    freeze: what it leaves as it is; as `student.freeze` unless given, for the student that ships.
    lora: low-rank adapters that are trained in it beside the classifier; what they learned is in its weights after it.
    train: how it is trained; as `student.train` unless given.
    """

    name: Name
    start: str | None = Field(default=None, alias="from")
    teacher: str | None = None
    student: LearnerSection | None = None
    objective: Annotated[tuple[TermChoice, ...], Field(min_length=1)]
    balance: Balancing = "none"
    freeze: tuple[str, ...] | None = None
    lora: LoraSection | None = None
    train: TrainSection | None = None


class ExportSection(Strict):
    """What ships.

    onnx: write export/ with an ONNX file, and judge that file again; int8: add an int8 file, if it passes the gate;
    tolerance: the largest loss of accuracy on validation samples that the gate accepts, 0..1.
    """

    onnx: bool = True
    int8: bool = False
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.01

    @model_validator(mode="after")
    def _int8_is_made_from_onnx(self) -> ExportSection:
        if self.int8 and not self.onnx:
            raise ValueError("int8: true needs onnx: true, since the int8 file is made from the ONNX file, got false")
        return self


class Recipe(Strict):
    """A whole run: data, teacher, student, objective, controls, evaluation and export.

    name: what the run folder is called, runs/NAME.
    seed: what the first student and its controls are drawn by.
    seeds: how often everything is repeated, with seed, seed + 1, and so on.
    data: the samples.
    teacher: who teaches; may be left out where no term needs one.
    knowledge: how the teacher's answers are kept.
    student: who learns.
    objective: the terms of the loss, for a run of one stage.
    tasks: further tasks on the same samples, by name, each a head beside the main one's; terms are about one by `task`.
    balance: with `gradients` each weight is the term's share of the gradient at the student's weights, with
    `uncertainty` the terms of each task are multiplied by a number that is learned.
    stages: several objectives in sequence, in place of `objective`.
    controls: what the student is compared with; all that make sense unless given; with [] there is no verdict.
    margin: a difference in accuracy below it does not matter, 0..1; 0.05 for regression unless given, a share of the
    control's squared error, and 0.01 of mean average precision for multi-label.
    evaluate: measures of a classifier beyond accuracy; `robustness` asks about corrupted samples, `attacks` attacks.
    export: what ships.
    sweep: values by dotted key, such as objective.soft_labels.temperature, in a list or by names of yours; every
    combination is a variant.
    """

    name: Name = "run"
    seed: Annotated[int, Field(ge=0)] = 0
    seeds: Annotated[int, Field(ge=1, le=100)] = 5
    data: DataSection = DataSection()
    teacher: TeacherSection | None = None
    knowledge: KnowledgeSection = KnowledgeSection()
    student: StudentSection
    objective: Annotated[tuple[TermChoice, ...], Field(min_length=1)] | None = None
    tasks: Annotated[dict[str, FurtherSection], Field(min_length=1)] | None = None
    balance: Balancing = "none"
    stages: Annotated[tuple[StageSection, ...], Field(min_length=1)] | None = None
    controls: tuple[ControlName, ...] | None = None
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.005
    evaluate: tuple[Literal["calibration", "agreement", "robustness", "attacks"], ...] = ("calibration", "agreement")
    export: ExportSection = ExportSection()
    sweep: Annotated[dict[str, Values | Named], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _margin_of_the_task(cls, given: Any) -> Any:
        data = given.get("data") if isinstance(given, dict) else None
        task = data.get("task") if isinstance(data, dict) else None
        margins = [margin for name, margin in MARGIN.items() if name == task]
        return {"margin": margins[0], **given} if margins else given

    @model_validator(mode="after")
    def _sweep_of_what_can_be_shared(self) -> Recipe:
        for path, given in (self.sweep or {}).items():
            values = list(given.values()) if isinstance(given, dict) else given
            if path.partition(".")[0] not in SWEPT:
                raise ValueError(
                    f"sweep expects keys below {', '.join(SWEPT)}, such as objective.soft_labels.temperature, got "
                    f"{path!r}; data, teacher and controls are shared by all variants"
                )
            if any(value in values[:place] for place, value in enumerate(values)):
                raise ValueError(f"sweep.{path}: a value is given twice")
        if (count := math.prod(len(values) for values in (self.sweep or {}).values())) > MOST_VARIANTS:
            raise ValueError(f"sweep has {count:,} variants; expected {MOST_VARIANTS} at most")
        return self

    @model_validator(mode="after")
    def _one_sequence(self) -> Recipe:
        swept = WHOLE & set(self.sweep or {})  # then each variant has one
        if (self.objective is None) == (self.stages is None) and not (swept and self.objective is None):
            raise ValueError("expected either objective (one stage) or stages (several), exactly one of them")
        if self.stages is not None and self.balance != "none":
            raise ValueError("balance stands beside an objective; with stages, give it to each stage that has it")
        for place, stage in enumerate(self.stages or ()):
            earlier = [other.name for other in (self.stages or ())[:place]]
            if stage.name in (*earlier, "scratch"):
                raise ValueError(f"stages.{place}.name: {stage.name!r} is taken; give each stage a name of its own")
            if stage.start not in (None, "scratch", *earlier):
                raise ValueError(
                    f"stages.{place}.from: expected an earlier stage ({', '.join(earlier) or 'there is none'}) or "
                    f"scratch, got {stage.start!r}"
                )
        return self

    @model_validator(mode="after")
    def _task_that_fits(self) -> Recipe:
        task = self.data.task
        terms = {term.name for stage in self.resolved_stages() for term in stage.objective if not term.is_own}
        wrong = [
            task_sentence(name, TERMS[name].tasks, task) for name in sorted(terms) if task not in TERMS[name].tasks
        ]
        if wrong:
            raise ValueError(" ".join(wrong).removesuffix("."))
        check_controls(self.controls or (), task)
        if task != "classification":
            self._refuse_what_is_of_classes()
        return self

    def _refuse_what_is_of_classes(self) -> None:
        task, teacher = self.data.task, self.teacher
        if self.export.int8:
            raise ValueError(f"export.int8 is judged by the classes it loses, got task {task!r}; leave it out")
        for one in {"robustness", "attacks"} & set(self.evaluate):
            raise ValueError(f"evaluate: {one} is measured of classifiers, got task {task!r}; leave it out")
        if teacher and (refused := _of_classes(teacher)):
            raise ValueError(
                f"a teacher for {task} is trained here or comes from run:, file:, onnx:, sklearn: or labels:, got "
                f"{refused}"
            )
        terms = [one for stage in self.resolved_stages() for one in stage.objective]
        if any(one.options.get("per_sample") for one in terms):
            raise ValueError(f"per_sample weighs by the teacher's top class, got task {task!r}; leave it out")

    @model_validator(mode="after")
    def _stages_that_fit_together(self) -> Recipe:
        for place in range(len(self.stages or ())):
            check_stage((self.stages or ())[: place + 1], is_last=place + 1 == len(self.stages or ()))
        return self

    @model_validator(mode="after")
    def _teacher_for_terms(self) -> Recipe:
        objectives = [self.objective or (), *(one.objective for one in self.stages or () if one.teacher is None)]
        every = [term for terms in objectives for term in terms if term.options["task"] is None]
        needing = [term.name for term in every if not term.is_own and TERMS[term.name].needs]
        if needing and self.teacher is None:
            raise ValueError(f"{needing[0]} needs a teacher, but there is no teacher section")
        return self

    @model_validator(mode="after")
    def _what_is_withheld(self) -> Recipe:
        check_hidden_classes(self)
        check_selecting(self)
        return self

    @model_validator(mode="after")
    def _teacher_to_start_from(self) -> Recipe:
        teacher = self.teacher
        if self.student.source == TEACHER and not (teacher is not None and teacher.is_one_model):
            raise ValueError(
                "student.source: teacher starts from layers of the teacher; expected a teacher of one model, by "
                "teacher.model or source: 'run:DIR'"
            )
        return self

    @model_validator(mode="after")
    def _student_that_can_be_moved(self) -> Recipe:
        check_adapt(self)
        check_lora(self)
        return self

    @model_validator(mode="after")
    def _several_tasks(self) -> Recipe:
        check_further(self)
        return self

    @model_validator(mode="after")
    def _generated_for_a_teacher(self) -> Recipe:
        if self.data.generated is not None:
            check_generated(self)
        return self

    @model_validator(mode="after")
    def _peer_in_whole_steps(self) -> Recipe:
        if self.teacher is not None and self.teacher.mutual is not None:
            check_peer(self)
        return self

    def in_stages(self, frozen: Sequence[Frozen | None]) -> Recipe:
        """Return the recipe with one stage for each set of frozen parts in place of `student.adapt`."""
        stages = tuple(StageSection(**one) for one in in_stages(self, frozen))
        student = self.student.model_copy(update={"adapt": None, "lora": None})
        return self.model_copy(update={"stages": stages, "student": student, "objective": None, "balance": "none"})

    def resolved_stages(self) -> tuple[StageSection, ...]:
        """Return the stages, the short form as one, with `from` and `train` filled in."""
        if self.stages is None:
            if self.objective is None:  # a sweep gives them
                return ()
            terms = {"objective": self.objective, "balance": self.balance}
            how = {"freeze": self.student.freeze, "lora": self.student.lora, "train": self.student.train}
            return (StageSection(**{"name": "student", "from": "scratch", **terms, **how}),)
        filled, before = [], "scratch"
        for stage in self.stages:
            update = {"start": stage.start or before, "train": stage.train or self.student.train}
            update |= {"freeze": self.student.freeze} if stage.freeze is None and stage.student is None else {}
            filled.append(stage.model_copy(update=update))
            before = stage.name
        return tuple(filled)


def _of_classes(teacher: TeacherSection) -> str:
    """Return why a teacher can only teach classes, in words; "" where it can teach other tasks."""
    if teacher.ensemble:
        return "several"
    if teacher.classes or teacher.ready:
        return "one with classes of its own"
    kind = kind_of(teacher.source)
    return f"one from {kind}:" if kind in OF_CLASSES else ""


def check_peer(recipe: Recipe) -> None:
    """Raise ValueError where a recipe with a peer keeps answers, takes batches in parts, or has no classes."""
    if recipe.data.task != "classification":
        raise ValueError(
            f"teacher.mutual lets two classifiers teach each other, got task {recipe.data.task!r}; take another teacher"
        )
    usual, told = dict(KnowledgeSection()), dict(recipe.knowledge)
    if wrong := [key for key in told if told[key] != usual[key] and (key, told[key]) != ("mode", "live")]:
        raise ValueError(
            f"knowledge.{wrong[0]} is about kept answers, but the peer of teacher.mutual is another one at each step; "
            f"leave it out"
        )
    parts = [stage.train.accumulate for stage in recipe.resolved_stages() if stage.train and stage.teacher is None]
    if max(parts, default=1) > 1:
        raise ValueError(
            f"train.accumulate is {max(parts)}, but the peer of teacher.mutual answers for whole batches; set it to 1"
        )


def own_classes(recipe: Recipe) -> list[str]:
    """Return the classes of the user's own that a recipe names, package.module:Class, each once."""
    teachers = [] if recipe.teacher is None else [recipe.teacher, *(recipe.teacher.ensemble or ())]
    others = [one.teacher for one in (recipe.tasks or {}).values() if one.teacher is not None]
    models = [recipe.student.model, *(one.model for one in (*teachers, *others))]
    models += [recipe.teacher.mutual.model] if recipe.teacher is not None and recipe.teacher.mutual is not None else []
    models += [stage.student.model for stage in recipe.stages or () if stage.student is not None]
    terms = [term for stage in recipe.resolved_stages() for term in stage.objective]
    changes = [*recipe.data.augment, *(change for one in (*teachers, *others) for change in one.train.augment or ())]
    found = (choice.name for choice in (*models, *terms, *changes) if choice is not None and choice.is_own)
    return list(dict.fromkeys(found))
