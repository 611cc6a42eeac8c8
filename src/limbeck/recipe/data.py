"""The section of the data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from limbeck.data.source import OTHER_TASKS
from limbeck.recipe.choices import Count, TransformChoice
from limbeck.recipe.corruptions import CorruptionsSection
from limbeck.recipe.generated import GeneratedSection
from limbeck.recipe.schema import Strict
from limbeck.types import TaskName

Share = Annotated[float, Field(gt=0, lt=1)]


class DataSection(Strict):
    """Where samples come from, how they are read, split and augmented.

    source: `digits`, `glyphs` (the letters A to J) or, for regression, `diabetes` (all built in), `idx:DIR` (MNIST
    files), `folder:DIR` (pictures), `parquet:PATH` (pictures in a table), `csv:PATH` (a table), `npz:FILE` (arrays) or
    `npy:DIR` (arrays larger than memory); `$VARIABLES` are filled in.
    task: what the labels are: one class of several, values (`regression`), or several labels of 0 or 1 (`multi_label`);
    the last two from `csv:`, `npz:` or `diabetes`.
    unlabelled: another source whose labels are ignored; the teacher answers for its samples.
    target: the other domain of the same classes: its training samples are shown without labels, its test samples test.
    size: pixels of a side, or [height, width], to which pictures are brought; may be left out where all have one size.
    channels: colour or grey; `auto` is grey where every picture is grey.
    resize: squash to the size, crop the middle, or pad with the background.
    background: what is padded, and what lies behind transparent pixels.
    corrupt: whether a picture that cannot be read is an error or left out.
    memory: GiB of decoded pictures that may be held in memory, 60 % of what is free unless given; more go into a file.
    label: a table's column that holds the class or the value, label, target, class or y unless given; a list of columns
    for several values or labels.
    drop: columns of a table to leave out, such as names and numbers of rows.
    categorical: columns of a table whose numbers are names.
    validation: share of each class's training samples that picks the best epoch and control.
    test: share of all samples held out for the report, where the source has no test split of its own.
    split_seed: what the splits are drawn by; they never depend on `seed`.
    labels_per_class: labels of each class that student, controls and validation may see, drawn anew for each seed; all
    unless given.
    unlabelled_classes: classes that student, controls and validation see no label of; their samples are shown.
    unseen_classes: classes that they see no sample of either; a teacher that is trained here still does.
    label_noise: share of training labels, the teacher's too, that is given another class by chance; those of validation
    and test samples stay right.
    classes: keep these classes alone, numbered in this order; all unless given.
    augment: changes of the pictures, applied in this order.
    views: how many views there are of a sample, the untouched one among them (epoch e shows view e mod N), or fresh
    ones for each epoch.
    corruptions: what student and controls are shown corrupted in training, while the teacher sees it as it is.
    generated: samples that are made from the teacher, which the student learns from in the place of the source's.
    """

    source: str = "digits"
    task: TaskName = "classification"
    unlabelled: str | None = None
    target: str | None = None
    size: Count | tuple[Count, Count] | None = None
    channels: Literal["rgb", "grey", "auto"] = "auto"
    resize: Literal["squash", "crop", "pad"] = "squash"
    background: Literal["white", "black"] = "white"
    corrupt: Literal["error", "skip"] = "error"
    memory: Annotated[float, Field(ge=0)] | None = None
    label: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    validation: Share = 0.1
    test: Share = 0.2
    split_seed: int = 0
    labels_per_class: Count | None = None
    unlabelled_classes: tuple[str, ...] = ()
    unseen_classes: tuple[str, ...] = ()
    label_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    classes: tuple[str, ...] | None = None
    augment: tuple[TransformChoice, ...] = ()
    views: Count | Literal["fresh"] = "fresh"
    corruptions: CorruptionsSection | None = None
    generated: GeneratedSection | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_are_text(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        keys = ("classes", "unlabelled_classes", "unseen_classes", "drop", "categorical", "label")
        lists = {key: given[key] for key in keys if isinstance(given.get(key), list)}
        told = {key: [str(name) for name in names] for key, names in lists.items()}
        return {**given, **told} | ({"label": str(given["label"])} if isinstance(given.get("label"), int) else {})

    @model_validator(mode="after")
    def _keys_that_fit(self) -> DataSection:
        table = self.source.startswith("csv:")
        of_pictures = {"size": self.size, "augment": self.augment, "corruptions": self.corruptions}
        of_tables = {"label": self.label, "drop": self.drop, "categorical": self.categorical}
        for key in (key for key, value in (of_pictures if table else of_tables).items() if value):
            raise ValueError(f"{key} is for {'pictures' if table else 'tables (csv:)'}, got the source {self.source!r}")
        return self

    @model_validator(mode="after")
    def _generated_that_fits(self) -> DataSection:
        if self.generated is None:
            return self
        others: dict[str, object] = {"unlabelled": self.unlabelled, "target": self.target, "augment": self.augment}
        others |= {"corruptions": self.corruptions}
        others |= {"unlabelled_classes": self.unlabelled_classes, "unseen_classes": self.unseen_classes}
        for key in (key for key, value in others.items() if value):
            more = "; teacher.train.augment is for the teacher alone" if key == "augment" else ""
            raise ValueError(f"{key} is about real samples of the student, got generated ones{more}; leave it out")
        if self.source.startswith("csv:"):
            raise ValueError("generated samples are pictures or vectors (npz:), got a table, whose columns have kinds")
        if self.task != "classification":
            raise ValueError(f"generated samples are made for classes, got task {self.task!r}")
        return self

    @model_validator(mode="after")
    def _classes_hidden_once(self) -> DataSection:
        if self.label_noise and (self.unseen_classes or self.unlabelled_classes):
            raise ValueError(
                "label_noise would give away hidden classes; expected it without unseen_classes and unlabelled_classes"
            )
        if self.unseen_classes and self.target is not None:
            raise ValueError("unseen_classes does not go with target, whose samples are shown whatever they are of")
        if both := [name for name in self.unlabelled_classes if name in self.unseen_classes]:
            raise ValueError(
                f"{both[0]!r} is in unlabelled_classes, whose samples are shown, and in unseen_classes, whose are not; "
                f"name it once"
            )
        return self

    @model_validator(mode="after")
    def _task_that_fits(self) -> DataSection:
        if self.source == "diabetes" and self.task != "regression":
            raise ValueError(f"source diabetes has a number to predict; set task: regression, got task {self.task!r}")
        if self.task == "classification":
            return self
        if self.source.partition(":")[0] not in OTHER_TASKS:
            raise ValueError(
                f"task {self.task} reads labels from csv:, npz: or diabetes, got the source {self.source!r}"
            )
        of_classes: dict[str, object] = {"label_noise": self.label_noise or None}
        of_classes |= {"labels_per_class": self.labels_per_class, "classes": self.classes, "target": self.target}
        of_classes |= {"unlabelled_classes": self.unlabelled_classes, "unseen_classes": self.unseen_classes}
        for key, there in of_classes.items():
            if there not in (None, ()):
                raise ValueError(f"{key} is for classification, where a sample has one class, got task {self.task!r}")
        if any(change.name == "mixup" for change in self.augment):
            raise ValueError(f"mixup mixes classes, got task {self.task!r}; leave it out of augment")
        return self


class NormaliseSection(Strict):
    """Mean and standard deviation, per channel in 0..1 or per feature.

    mean: is subtracted; std: then divides, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]
