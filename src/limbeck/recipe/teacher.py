"""The section of the teacher."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from limbeck.models.library import LIBRARIES
from limbeck.recipe.choices import Count, ModelChoice, TrainSection, TransformChoice
from limbeck.recipe.data import NormaliseSection
from limbeck.recipe.schema import Strict, section_of
from limbeck.recipe.sources import BLACK_BOXES, TRAINED, check_keys, kind_of, named_model
from limbeck.teachers.asking import Asking
from limbeck.teachers.ensemble import Combine, Weights

HttpSection: Any = section_of(Asking, name="Http")
RESERVED = ("student", "labels", "smoothing", "teacher_labels", "self_training")  # what else stands below a name


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


class OriginSection(Strict):
    """Where a teacher comes from: trained here (`model`, `train`) or taken from elsewhere (`source`).

    model: its architecture, for a teacher that is trained here or whose weights come from `file:`.
    source: `run:DIR` (the teacher of an earlier run), `file:WEIGHTS.safetensors`, `onnx:FILE`, `labels:FILE` (a file of
    its answers), `sklearn:FILE.skops`, `keras:FILE.keras`, a model of a library
    (`timm:NAME`, `torchvision:NAME`, `hf:DIR`), or `http://...` (a server that answers).
    classes: the classes of the teacher, where they are not those of the data.
    input: how a teacher that only answers is fed.
    normalise: what its pictures go through first; `data` is mean and deviation of the training samples, `none` is
    nothing at all, and the default for teachers that only answer.
    ready: whether a model of a library answers as it is, with its own head; it is trained here unless this is true.
    train: how it is trained.
    """

    model: ModelChoice | None = None
    source: str | None = None
    classes: ClassesSection | None = None
    input: InputSection | None = None
    normalise: Literal["data", "none"] | NormaliseSection = "data"
    ready: bool = False
    train: TeacherTrainSection = TeacherTrainSection()

    @model_validator(mode="before")
    @classmethod
    def _black_boxes_are_fed_as_they_are(cls, given: Any) -> Any:
        """The data's own statistics are those of a model that was trained on it; a file says its own or has none."""
        if isinstance(given, dict) and str(given.get("source")).startswith(BLACK_BOXES):
            return {"normalise": "none", **given}
        return named_model(given)

    def given(self) -> dict[str, bool]:
        """Return which keys are there, of those that do not go with every source."""
        return {
            "model": self.model is not None,
            "train": self.train != TeacherTrainSection(),
            "classes": self.classes is not None,
            "input": self.input is not None,
            "ready": self.ready,
        }

    def check_origin(self) -> None:
        """Raise ValueError where a source is not known, or another key does not go with it."""
        if self.source is None and self.model is None:
            raise ValueError("expected model (to train it here) or source ('run:DIR' or 'file:WEIGHTS'), got neither")
        kind_of(self.source)
        if (self.source or "").startswith("file:") and self.model is None:
            raise ValueError("source 'file:' also expects model, the architecture that the weights belong to")
        check_keys("ready" if self.ready else kind_of(self.source), self.given())
        if self.ready and (self.model is None or self.model.name not in LIBRARIES):
            raise ValueError(f"ready goes with a model of a library ({', '.join(LIBRARIES)}), got another one")


class MemberSection(OriginSection):
    """One teacher of an ensemble: trained here (`model`, `train`) or taken from elsewhere (`source`).

    name: what the report calls it; its number in the list unless given.
    source: as for a single teacher, but no `http://...`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] | None = None

    @model_validator(mode="after")
    def _free_to_ask(self) -> MemberSection:
        self.check_origin()
        if kind_of(self.source) in ("http", "https"):
            raise ValueError("every question to a teacher behind an address counts, so it cannot be in an ensemble")
        return self


class SelfSection(Strict):
    """The student as its own teacher: the moving average of its weights answers.

    decay: how much of the average stays at each step, 0..1; it is a plain mean at first.
    """

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999


class MutualSection(Strict):
    """A second student, the peer, that learns beside the first: each is taught by the other's answers.

    model: its architecture; the student's unless given.
    """

    model: ModelChoice | None = None


class TeacherSection(OriginSection):
    """Who teaches: trained here (`model`, `train`) or taken from elsewhere (`source`), several (`ensemble`), `self`, or
    a peer (`mutual`).

    http: how a teacher behind an address is asked.
    labels: `all` the labels there are, or the `same` as the student's, which trains a teacher for each seed where
    `labels_per_class` is set.
    per_seed: whether each seed trains a teacher of its own.
    ensemble: several teachers of the data's classes, whose answers are combined.
    combine: an ensemble's mean of `probabilities` (at temperature 1, softened after) or of `logits`.
    weights: of an ensemble's teachers: `equal`, a list, or by sample `confidence` or `agreement`.
    self: the student's own moving average teaches, in place of another model.
    mutual: a second student that learns in the same steps teaches, and is taught by the first.
    """

    http: HttpSection | None = None
    labels: Literal["all", "same"] = "all"
    per_seed: bool = False
    ensemble: Annotated[tuple[MemberSection, ...], Field(min_length=2)] | None = None
    combine: Combine = "probabilities"
    weights: Weights = "equal"
    itself: SelfSection | None = Field(default=None, alias="self")
    mutual: MutualSection | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> TeacherSection:
        if self.ensemble is None and (self.combine, self.weights) != ("probabilities", "equal"):
            raise ValueError("combine and weights are an ensemble's, but there is no ensemble")
        wholes = {"ensemble": self.ensemble, "self": self.itself, "mutual": self.mutual}
        whole, *more = [name for name, section in wholes.items() if section is not None] or ["", ""]
        if not whole:
            self.check_origin()
            return self
        others = {"source": self.source is not None, **self.given(), "normalise": self.normalise != "data"}
        others |= dict.fromkeys(more, True)
        if wrong := [key for key, there in others.items() if there]:
            hint = "; give it to the teachers in it" if whole == "ensemble" else ""
            raise ValueError(f"{wrong[0]} does not go with {whole}{hint}")
        self._check_members()
        return self

    @property
    def is_one_model(self) -> bool:
        """Whether it is a model that can be looked into: trained here, of a run or a file, its classes the data's."""
        others = (self.ensemble, self.itself, self.mutual, self.classes)
        alone = all(one is None for one in others) and not self.ready
        return alone and kind_of(self.source) in TRAINED

    def _check_members(self) -> None:
        """Raise ValueError for weights of another number, and for two teachers of one name."""
        members = self.ensemble or ()
        if not isinstance(self.weights, str) and len(self.weights) != len(members):
            raise ValueError(f"weights has {len(self.weights)} values for {len(members)} teachers of the ensemble")
        names = [name_of(number, one) for number, one in enumerate(members)]
        if taken := [name for number, name in enumerate(names) if name in (*names[:number], *RESERVED)]:
            raise ValueError(f"ensemble: the name {taken[0]!r} is taken; give each teacher a name of its own")

    def given(self) -> dict[str, bool]:
        """Return which keys are there, of those that do not go with every source."""
        own = {"labels": self.labels == "same", "per_seed": self.per_seed, "http": self.http is not None}
        return {**super().given(), **own}


def name_of(number: int, member: MemberSection) -> str:
    """Return what a teacher of an ensemble is called; number: its place, from 0."""
    return member.name or str(number + 1)
