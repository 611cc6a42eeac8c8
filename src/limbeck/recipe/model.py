"""The sections of a recipe. Every default is here or in the constructor that a section is made from."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

import limbeck.models
import limbeck.objectives
from limbeck.data.affine import Crop, Rotate, Scale
from limbeck.data.elastic import Elastic
from limbeck.data.erase import Erase
from limbeck.data.light import Brightness, Contrast
from limbeck.data.mixup import Mixup
from limbeck.data.noise import Noise
from limbeck.data.views import Flip, Shift
from limbeck.knowledge.wishes import Wishes
from limbeck.models.library import LIBRARIES
from limbeck.objectives.base import snake_case
from limbeck.recipe.schedule import ScheduleSection
from limbeck.recipe.schema import Choice, Strict, choice_of, section_of
from limbeck.recipe.sources import BLACK_BOXES, check_keys, kind_of, named_model
from limbeck.teachers.asking import Asking
from limbeck.train.settings import Settings

MODELS = {name.lower(): getattr(limbeck.models, name) for name in limbeck.models.__all__} | LIBRARIES
TERMS = {snake_case(name): getattr(limbeck.objectives, name) for name in limbeck.objectives.__all__}
TRANSFORMS = {
    one.__name__.lower(): one
    for one in (Shift, Flip, Rotate, Scale, Crop, Elastic, Erase, Brightness, Contrast, Noise, Mixup)
}
SWEPT = ("objective", "stages", "student")
MOST_VARIANTS = 256
CONTROLS = ("labels", "smoothing", "teacher_labels", "self_training")

WEIGHT = (Annotated[float | ScheduleSection, Field(description="what the finished term is multiplied by")], 1.0)

ModelChoice: Any = choice_of("Model", sorted(MODELS.items()), own=True)
TermChoice: Any = choice_of("Term", sorted(TERMS.items()), extra={"weight": WEIGHT}, own=True)
TransformChoice: Any = choice_of("Transform", sorted(TRANSFORMS.items()), own=True)
TrainSection: Any = section_of(Settings, name="Train")
KnowledgeSection: Any = section_of(Wishes, name="Knowledge")
HttpSection: Any = section_of(Asking, name="Http")

ControlName = Literal["labels", "smoothing", "teacher_labels", "self_training"]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class DataSection(Strict):
    """Where samples come from, how they are read, split and augmented.

    source: `digits` (built in), `idx:DIR` (MNIST files), `folder:DIR` (pictures), `parquet:PATH` (pictures in a table),
    `csv:PATH` (a table), `npz:FILE` (arrays) or `npy:DIR` (arrays larger than memory); `$VARIABLES` are filled in.
    unlabelled: another source whose labels are ignored; the teacher answers for its samples.
    size: pixels of a side, or [height, width], to which pictures are brought; may be left out where all have one size.
    channels: colour or grey; `auto` is grey where every picture is grey.
    resize: squash to the size, crop the middle, or pad with the background.
    background: what is padded, and what lies behind transparent pixels.
    corrupt: whether a picture that cannot be read is an error or left out.
    memory: GiB of decoded pictures that may be held in memory, 60 % of what is free unless given; more go into a file.
    label: a table's column that holds the class; label, target, class or y unless given.
    drop: columns of a table to leave out, such as names and numbers of rows.
    categorical: columns of a table whose numbers are names.
    validation: share of each class's training samples that picks the best epoch and control.
    test: share of all samples held out for the report, where the source has no test split of its own.
    split_seed: what the splits are drawn by; they never depend on `seed`.
    labels_per_class: labels of each class that student, controls and validation may see, drawn anew for each seed; all
    unless given.
    classes: keep these classes alone, numbered in this order; all unless given.
    augment: changes of the pictures, applied in this order.
    views: how many views there are of a sample, the untouched one among them (epoch e shows view e mod N), or fresh
    ones for each epoch.
    """

    source: str = "digits"
    unlabelled: str | None = None
    size: Count | tuple[Count, Count] | None = None
    channels: Literal["rgb", "grey", "auto"] = "auto"
    resize: Literal["squash", "crop", "pad"] = "squash"
    background: Literal["white", "black"] = "white"
    corrupt: Literal["error", "skip"] = "error"
    memory: Annotated[float, Field(ge=0)] | None = None
    label: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    validation: Share = 0.1
    test: Share = 0.2
    split_seed: int = 0
    labels_per_class: Count | None = None
    classes: tuple[str, ...] | None = None
    augment: tuple[TransformChoice, ...] = ()
    views: Count | Literal["fresh"] = "fresh"

    @model_validator(mode="before")
    @classmethod
    def _names_are_text(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        lists = {key: given[key] for key in ("classes", "drop", "categorical") if isinstance(given.get(key), list)}
        told = {key: [str(name) for name in names] for key, names in lists.items()}
        return {**given, **told} | ({"label": str(given["label"])} if isinstance(given.get("label"), int) else {})

    @model_validator(mode="after")
    def _keys_that_fit(self) -> DataSection:
        table = self.source.startswith("csv:")
        of_pictures = {"size": self.size, "augment": self.augment}
        of_tables = {"label": self.label, "drop": self.drop, "categorical": self.categorical}
        for key in (key for key, value in (of_pictures if table else of_tables).items() if value):
            raise ValueError(f"{key} is for {'pictures' if table else 'tables (csv:)'}, got the source {self.source!r}")
        return self


class NormaliseSection(Strict):
    """Mean and standard deviation, per channel in 0..1 or per feature.

    mean: is subtracted; std: then divides, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class TeacherTrainSection(TrainSection):  # type: ignore[misc]
    """Training settings of the teacher.

    augment: its own augmentation in place of the data's.
    """

    augment: tuple[TransformChoice, ...] | None = None


class ClassesSection(Strict):
    """The teacher's classes, where they are not those of the data.

    names: in the order of its answers; map: which class of the data each of them stands for, where what is not named
    is dropped.
    """

    names: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    map: Annotated[dict[str, str], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_are_text(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        told = dict(given)
        if isinstance(told.get("names"), list):
            told["names"] = [str(name) for name in told["names"]]
        if isinstance(told.get("map"), dict):
            told["map"] = {str(theirs): str(mine) for theirs, mine in told["map"].items()}
        return told


class InputSection(Strict):
    """How a teacher that only answers is fed.

    scale: the value of a white pixel, on which `normalise` then works; size: pixels of a side, or [height, width], to
    which pictures are resized; layout: order of the graph's axes, read off the graph unless given. A graph that takes
    uint8 gets 0..255 in any case.
    """

    layout: Literal["nchw", "nhwc"] | None = None
    scale: Literal[1, 255] = 1
    size: Count | tuple[Count, Count] | None = None


class TeacherSection(Strict):
    """Who teaches: trained here (`model`, `train`) or taken from elsewhere (`source`).

    model: its architecture, for a teacher that is trained here or whose weights come from `file:`.
    source: `run:DIR` (the teacher of an earlier run), `file:WEIGHTS.safetensors`, `onnx:FILE`, `labels:FILE` (a file of
    its answers), `sklearn:FILE.skops`, `keras:FILE.keras`, a model of a library
    (`timm:NAME`, `torchvision:NAME`, `hf:DIR`), or `http://...` (a server that answers).
    classes: the classes of the teacher, where they are not those of the data.
    input: how a teacher that only answers is fed.
    http: how a teacher behind an address is asked.
    normalise: what its pictures go through first; `data` is mean and deviation of the training samples, `none` is
    nothing at all, and the default for teachers that only answer.
    labels: `all` the labels there are, or the `same` as the student's, which trains a teacher for each seed where
    `labels_per_class` is set.
    per_seed: whether each seed trains a teacher of its own.
    ready: whether a model of a library answers as it is, with its own head; it is trained here unless this is true.
    train: how it is trained.
    """

    model: ModelChoice | None = None
    source: str | None = None
    classes: ClassesSection | None = None
    input: InputSection | None = None
    http: HttpSection | None = None
    normalise: Literal["data", "none"] | NormaliseSection = "data"
    labels: Literal["all", "same"] = "all"
    per_seed: bool = False
    ready: bool = False
    train: TeacherTrainSection = TeacherTrainSection()

    @model_validator(mode="after")
    def _has_an_origin(self) -> TeacherSection:
        if self.source is None and self.model is None:
            raise ValueError("expected model (to train it here) or source ('run:DIR' or 'file:WEIGHTS'), got neither")
        kind_of(self.source)
        if (self.source or "").startswith("file:") and self.model is None:
            raise ValueError("source 'file:' also expects model, the architecture that the weights belong to")
        return self

    @model_validator(mode="after")
    def _keys_that_fit(self) -> TeacherSection:
        given = {
            "model": self.model is not None,
            "train": self.train != TeacherTrainSection(),
            "labels": self.labels == "same",
            "per_seed": self.per_seed,
            "classes": self.classes is not None,
            "input": self.input is not None,
            "http": self.http is not None,
            "ready": self.ready,
        }
        check_keys("ready" if self.ready else kind_of(self.source), given)
        if self.ready and (self.model is None or self.model.name not in LIBRARIES):
            raise ValueError(f"ready goes with a model of a library ({', '.join(LIBRARIES)}), got another one")
        return self

    @model_validator(mode="before")
    @classmethod
    def _black_boxes_are_fed_as_they_are(cls, given: Any) -> Any:
        """The data's own statistics are those of a model that was trained on it; a file says its own or has none."""
        if isinstance(given, dict) and str(given.get("source")).startswith(BLACK_BOXES):
            return {"normalise": "none", **given}
        return named_model(given)


class StudentSection(Strict):
    """Who learns.

    model: its architecture.
    source: weights to start from, `file:WEIGHTS.safetensors`, or a model of a library, `timm:NAME`,
    `torchvision:NAME` or `hf:DIR`.
    normalise: what its pictures go through first, in training and in the exported file.
    train: how it and its controls are trained.
    """

    model: ModelChoice
    source: str | None = None
    normalise: Literal["data", "none"] | NormaliseSection = "data"
    train: TrainSection = TrainSection()

    @model_validator(mode="before")
    @classmethod
    def _names_a_model(cls, given: Any) -> Any:
        return named_model(given)

    @model_validator(mode="after")
    def _known_source(self) -> StudentSection:
        if self.source is not None and not self.source.startswith("file:"):
            raise ValueError(f"source expects 'file:WEIGHTS.safetensors', got {self.source!r}")
        return self


class StageSection(Strict):
    """One stage of a longer training.

    name: what the report calls it.
    from: the earlier stage it starts from, or `scratch`; the stage before unless given.
    objective: its terms.
    balance: as for a run of one stage.
    train: how it is trained; as `student.train` unless given.
    """

    name: Name
    start: str | None = Field(default=None, alias="from")
    objective: Annotated[tuple[TermChoice, ...], Field(min_length=1)]
    balance: Literal["none", "gradients"] = "none"
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
    balance: with `gradients` each weight is the term's share of the gradient at the student's weights.
    stages: several objectives in sequence, in place of `objective`.
    controls: what the student is compared with; all that make sense unless given; with [] there is no verdict.
    margin: a difference in accuracy below it does not matter, 0..1.
    evaluate: measures beyond accuracy.
    export: what ships.
    sweep: values by dotted key, such as objective.soft_labels.temperature; every combination is a variant.
    """

    name: Name = "run"
    seed: Annotated[int, Field(ge=0)] = 0
    seeds: Annotated[int, Field(ge=1, le=100)] = 5
    data: DataSection = DataSection()
    teacher: TeacherSection | None = None
    knowledge: KnowledgeSection = KnowledgeSection()
    student: StudentSection
    objective: Annotated[tuple[TermChoice, ...], Field(min_length=1)] | None = None
    balance: Literal["none", "gradients"] = "none"
    stages: Annotated[tuple[StageSection, ...], Field(min_length=1)] | None = None
    controls: tuple[ControlName, ...] | None = None
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.005
    evaluate: tuple[Literal["calibration", "agreement"], ...] = ("calibration", "agreement")
    export: ExportSection = ExportSection()
    sweep: Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _sweep_of_what_can_be_shared(self) -> Recipe:
        for path, values in (self.sweep or {}).items():
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
        if (self.objective is None) == (self.stages is None):
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
    def _teacher_for_terms(self) -> Recipe:
        objectives = [self.objective or (), *(stage.objective for stage in self.stages or ())]
        needing = [term.name for terms in objectives for term in terms if not term.is_own and TERMS[term.name].needs]
        if needing and self.teacher is None:
            raise ValueError(f"{needing[0]} needs a teacher, but there is no teacher section")
        return self

    def resolved_stages(self) -> tuple[StageSection, ...]:
        """Return the stages, the short form as one, with `from` and `train` filled in."""
        if self.stages is None:
            assert self.objective is not None  # checked above
            terms = {"objective": self.objective, "balance": self.balance}
            return (StageSection(**{"name": "student", "from": "scratch", **terms, "train": self.student.train}),)
        filled, before = [], "scratch"
        for stage in self.stages:
            update = {"start": stage.start or before, "train": stage.train or self.student.train}
            filled.append(stage.model_copy(update=update))
            before = stage.name
        return tuple(filled)


def own_classes(recipe: Recipe) -> list[str]:
    """Return the classes of the user's own that a recipe names, package.module:Class, each once."""
    models = [recipe.student.model, recipe.teacher.model if recipe.teacher else None]
    terms = [term for stage in recipe.resolved_stages() for term in stage.objective]
    changes = [*recipe.data.augment, *((recipe.teacher and recipe.teacher.train.augment) or ())]
    found = (choice.name for choice in (*models, *terms, *changes) if choice is not None and choice.is_own)
    return list(dict.fromkeys(found))


def build_choice(choice: Choice, constructors: dict[str, Any]) -> Any:
    """Call the chosen constructor with its options."""
    options = {key: value for key, value in choice.options.items() if key != "weight"}
    return constructors[choice.name](**options)
