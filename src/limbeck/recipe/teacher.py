"""The section of the teacher."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from limbeck.models.library import LIBRARIES
from limbeck.recipe.choices import Count, ModelChoice, TrainSection, TransformChoice
from limbeck.recipe.data import NormaliseSection
from limbeck.recipe.schema import Strict, section_of
from limbeck.recipe.sources import BLACK_BOXES, check_keys, kind_of, named_model
from limbeck.teachers.asking import Asking

HttpSection: Any = section_of(Asking, name="Http")


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
