"""Data ready for a run: a pool of samples, the rows of it that train and validate, and a test split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data import arrays
from limbeck.data.arrays import Arrays, Labelled
from limbeck.data.combine import concatenate, count_identical, keep_classes, take, withheld
from limbeck.data.contents import AS_FOUND, ReadOptions, Source
from limbeck.data.items import Item
from limbeck.data.moments import mean_and_std
from limbeck.data.preprocess import Preprocessing, fit
from limbeck.data.samples import Samples
from limbeck.data.scaling import Scaling, fit_scaling
from limbeck.data.source import open_source
from limbeck.data.split import by_hash, split
from limbeck.data.strata import strata_of
from limbeck.data.target import open_target
from limbeck.data.unlabelled import open_unlabelled
from limbeck.errors import DataError, did_you_mean
from limbeck.types import TaskName, known

COUNTED = {"classification": "classes", "regression": "targets", "multi_label": "labels"}


@dataclass(frozen=True, eq=False)
class Data:
    """Everything a run may see, and the split that decides who sees what.

    source: the text it was opened from; classes: C names, of classes or of the columns of labels [N, C]; pool: all
    samples but the test ones; train and validation: int64 rows of the pool, train with the unlabelled samples; test: a
    split that no training reads; split_seed: what the split was drawn by; reading: how pictures were read, None for
    other inputs; validation_fraction: the share of each class that validates, 0..1; preprocessing: what makes a table's
    rows the inputs, learned from the training rows, None for other inputs; in_domain: where there is a target, whose
    test samples are then `test`, the test samples of the source; task: what the labels are; scaling: what regression is
    trained on, learned from the training rows, None for other tasks; unseen_classes: those of which `train` has no
    sample, see `not_showing`; shown: rows that are shown in the place of train, by the name of a control; under
    "labels" those that labels are learned from. Labels here are always in the user's own units.
    """

    source: str
    classes: tuple[str, ...]
    pool: Samples
    train: Tensor
    validation: Tensor
    test: Samples
    split_seed: int
    notes: tuple[str, ...]
    reading: ReadOptions | None
    validation_fraction: float = 0.1
    preprocessing: Preprocessing | None = None
    in_domain: Samples | None = None
    task: TaskName = "classification"
    scaling: Scaling | None = None
    unseen_classes: tuple[str, ...] = ()
    shown: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        source: str,
        *,
        unlabelled: str | None = None,
        target: str | None = None,
        validation: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
        classes: Sequence[str] | None = None,
        options: ReadOptions = AS_FOUND,
    ) -> Data:
        """Open a source by its text ("digits", "diabetes", "idx:DIR", "folder:DIR", "parquet:PATH", "csv:PATH",
        "npz:FILE", "npy:DIR").

        unlabelled: another source whose labels are ignored. target: the other domain of the same classes, whose
        training samples join without labels and whose test samples test. validation: the fraction of the training
        samples of each class held out for choosing (0..1); test: likewise for testing, of all samples; both are used
        only where the source has no such split. classes: keep only these, renumbered in this order.
        options: how it is read, and its task.
        Raises DataError for everything that is missing, broken or too small to be split.
        """
        found = open_source(source, options)
        if classes is not None and found.task != "classification":
            raise DataError(f"data.classes is for classification, but data.task is {found.task}.")
        if classes is not None:
            found = keep_classes(found, classes)
        if unlabelled is not None:
            reading = replace(found.reading or options, task=found.task)
            found = _add_unlabelled(found, *open_unlabelled(unlabelled, reading, found.train))
        if target is None:
            return cls._split(found, validation, test, split_seed)
        if found.task != "classification":
            raise DataError(f"data.target is for classification, but data.task is {found.task}.")
        extra, tested, notes = open_target(
            target, found.reading or options, found.classes, test=test, split_seed=split_seed
        )
        found = _add_unlabelled(found, extra, notes)
        own = cls._split(found, validation, test, split_seed)
        return replace(own, test=tested, in_domain=own.test, notes=(*own.notes, *_leak_notes(own.pool, tested)))

    @classmethod
    def from_arrays(
        cls,
        train: Labelled,
        test: Labelled | None = None,
        unlabelled: Arrays | None = None,
        classes: Sequence[str] | None = None,
        *,
        validation: float = 0.1,
        test_fraction: float = 0.2,
        split_seed: int = 0,
        task: TaskName = "classification",
    ) -> Data:
        """Take NumPy arrays, tensors or lists: train and test are (inputs [N, ...], labels [N]).

        uint8 inputs with three or four dimensions are pictures, others become float32. Labels are whole numbers, -1 for
        none; for the task "regression" numbers [N] or [N, C], a row of NaN for none; for "multi_label" 0 or 1 [N, C], a
        row of -1 for none. classes: names of the classes or of the C columns, else "0", "1", ... `test_fraction` holds
        out test samples where test is None; the other arguments and the errors are those of `open`.
        """
        found = arrays.from_arrays(train, test, unlabelled, classes, task=task)
        return cls._split(found, validation, test_fraction, split_seed)

    @classmethod
    def from_datasets(
        cls,
        train: Dataset[Item],
        test: Dataset[Item] | None = None,
        unlabelled: Dataset[Item] | None = None,
        classes: Sequence[str] | None = None,
        *,
        validation: float = 0.1,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ) -> Data:
        """Take PyTorch map-style data sets of (input, label), each item read once; see `from_arrays`."""
        found = arrays.from_datasets(train, test, unlabelled, classes)
        return cls._split(found, validation, test_fraction, split_seed)

    @classmethod
    def _split(cls, found: Source, validation: float, test: float, seed: int) -> Data:
        _check_fraction("validation", validation)
        labelled, tested = found.train, found.test
        _check_counts(found, least=1 + (tested is None) + (found.validation is None))
        if tested is None:
            _check_fraction("test", test)
            rest, held = split(strata_of(labelled.labels.numpy()), labelled.ids, fraction=test, seed=seed)
            labelled, tested = take(found.train, rest), take(found.train, held)
        if found.validation is None:
            rest, held = split(strata_of(labelled.labels.numpy()), labelled.ids, fraction=validation, seed=seed)
        else:
            rest, held = np.split(np.arange(len(labelled) + len(found.validation)), [len(labelled)])
            labelled = concatenate([labelled, found.validation])
        pool = labelled if found.unlabelled is None else concatenate([labelled, found.unlabelled])
        train = np.concatenate([rest, np.arange(len(labelled), len(pool))])
        _check_test(tested)
        pool, tested, preprocessing, more = _preprocess(found, pool, tested, train)
        return cls(
            source=found.name,
            classes=found.classes,
            pool=pool,
            train=torch.from_numpy(train),
            validation=torch.from_numpy(held),
            test=tested,
            split_seed=seed,
            notes=found.notes + more + _leak_notes(pool, tested),
            reading=found.reading,
            validation_fraction=validation,
            preprocessing=preprocessing,
            task=found.task,
            scaling=fit_scaling(pool.labels[torch.from_numpy(train)], found.classes)
            if found.task == "regression"
            else None,
        )

    def __repr__(self) -> str:
        return (
            f"Data({self.source}: {self.kind} {list(self.shape)}, {len(self.classes)} {COUNTED[self.task]}, "
            f"{len(self.train)} training, {len(self.validation)} validation and {len(self.test)} test samples)"
        )

    @property
    def kind(self) -> Literal["image", "vector"]:
        """What one sample is."""
        return self.pool.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.pool.shape

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of samples, classes, split and preprocessing."""
        rows = [self.train.tolist(), self.validation.tolist()]
        parts: list[object] = [self.pool.fingerprint, self.test.fingerprint, list(self.classes), rows]
        parts += [self.preprocessing.as_json()] if self.preprocessing else []
        parts += [self.task] if self.task != "classification" else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def taught(self) -> Tensor:
        """What a teacher may train on: int64 rows of the pool, `train` and those of classes that it does not show."""
        if not self.unseen_classes:
            return self.train
        hidden = torch.isin(self.pool.labels, self.numbers_of(self.unseen_classes, "data.unseen_classes"))
        hidden[self.validation] = False
        return torch.cat([self.train, hidden.nonzero().squeeze(1)])

    def not_showing(self, classes: Sequence[str]) -> Data:
        """Return the same data without training samples of some classes, which a teacher alone trains on.

        Samples without a label stay, whatever they are of. Raises DataError for a class that there is not, for all
        classes, for another task, and where samples of a target, whose labels nobody looks at, would show them anyway.
        """
        hidden = self.numbers_of(classes, "data.unseen_classes")
        if self.in_domain is not None:
            raise DataError(
                "data.unseen_classes does not go with data.target: samples of the target are shown without looking at "
                "their labels, so these classes would be among them; remove one of the two."
            )
        train = self.train[~torch.isin(self.pool.labels[self.train], hidden)]
        return replace(self, train=train, unseen_classes=tuple(classes))

    def numbers_of(self, classes: Sequence[str], key: str) -> Tensor:
        """Return the numbers of some classes, int64; DataError for unknown ones and for all. key: who names them."""
        if classes and self.task != "classification":
            raise DataError(f"{key} is for classification, but data.task is {self.task}.")
        for name in classes:
            if name not in self.classes:
                hint = did_you_mean(name, self.classes) or f" There are {', '.join(self.classes[:20])}."
                raise DataError(f'{key}: {self.source} has no class "{name}".{hint}')
        if len(set(classes)) == len(self.classes):
            raise DataError(f"{key} names every class, so that no label is left to learn from; leave some out.")
        return torch.tensor([self.classes.index(name) for name in classes], dtype=torch.int64)

    def visible_labels(self, labels_per_class: int | None, seed: int, *, without: Sequence[str] = ()) -> Tensor:
        """Return the labels of the pool that models are trained on, those that are withheld as -1: int64 [len(pool)].

        Of other tasks float32 [len(pool), C], NaN where withheld, and for regression on the scale of training.
        labels_per_class: k labels of each class stay, drawn by the seed, round(validation fraction * k) of
        them (one at least from k = 5 on, none below) from validation rows; None withholds nothing. without: classes
        none of whose labels stay. Raises DataError if a class has fewer than k labels, for k where there are no
        classes, and for what `numbers_of` refuses.
        """
        if without:
            labels, hidden = (
                self.visible_labels(labels_per_class, seed),
                self.numbers_of(without, "data.unlabelled_classes"),
            )
            return torch.where(torch.isin(labels, hidden), -1, labels)
        if labels_per_class is None:
            return self.pool.labels.clone() if self.scaling is None else self.scaling.standardised(self.pool.labels)
        if self.task != "classification":
            raise DataError(f"data.labels_per_class is for classification, but data.task is {self.task}.")
        if labels_per_class < 1:
            raise DataError(f"data.labels_per_class must be 1 or more, but it is {labels_per_class}.")
        order = torch.from_numpy(by_hash(self.pool.ids, seed))
        validates = torch.zeros(len(self.pool), dtype=torch.bool)
        validates[self.validation] = True
        visible = torch.full_like(self.pool.labels, -1)
        for label, name in enumerate(self.classes):
            rows = order[self.pool.labels[order] == label]
            chosen = self._draw(rows[~validates[rows]], rows[validates[rows]], labels_per_class, name)
            visible[chosen] = label
        return visible

    def _draw(self, train: Tensor, validation: Tensor, k: int, name: str) -> Tensor:
        """Take the first rows of either part, k in all."""
        if len(train) + len(validation) < k:
            raise DataError(
                f'data.labels_per_class is {k}, but class "{name}" has '
                f"{len(train) + len(validation)} labelled samples for training and validation; ask for that "
                f"many at most."
            )
        share = max(1, round(self.validation_fraction * k)) if k >= 5 else 0
        share = min(max(share, k - len(train)), len(validation), k)
        return torch.cat([validation[:share], train[: k - share]])

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over the train rows, float32.

        Images: [C] each, on the 0..1 scale; vectors: the shape of one sample. What never varies (deviation
        below 1e-6) gets deviation 1.
        """
        return self._statistics

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        return mean_and_std(self.pool, self.train)


def _preprocess(
    found: Source, pool: Samples, test: Samples, train: NDArray[np.int64]
) -> tuple[Samples, Samples, Preprocessing | None, tuple[str, ...]]:
    """Give the rows of a table their inputs, by what its training rows say alone; leave other samples as they are."""
    if pool.raw is None or found.label is None:
        return pool, test, None, ()
    learned, notes = fit(pool.raw.take(train), found.label)
    return prepared(pool, learned), prepared(test, learned), learned, notes


def prepared(samples: Samples, learned: Preprocessing) -> Samples:
    """Return the rows of a table with their inputs, and with the raw columns that these are made from."""
    assert samples.raw is not None
    inputs = torch.from_numpy(learned(samples.raw))
    return Samples(inputs, samples.labels, samples.ids, samples.raw.choose(learned.columns))


def _add_unlabelled(found: Source, extra: Samples, notes: tuple[str, ...]) -> Source:
    if found.unlabelled is not None:
        extra = concatenate([found.unlabelled, extra])
    if extra.labels.ndim != found.train.labels.ndim:
        extra = replace(extra, labels=withheld(found.train.labels, len(extra)))
    return replace(found, unlabelled=extra, notes=found.notes + notes)


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 < fraction < 1:
        raise DataError(
            f"data.{name} is the fraction of samples to hold out, between 0 and 1, but it is {fraction}; an "
            f"empty split cannot be judged on."
        )


def _check_counts(found: Source, least: int) -> None:
    """Refuse data with too little of something to train on and hold out; least: samples that each part of it needs."""
    if found.task != "classification":
        _check_columns(found, least)
        return
    if len(found.classes) < 2:
        raise DataError(f"{found.name}: two classes are needed at least, but there is only {list(found.classes)}.")
    labels = found.train.labels
    counts = torch.bincount(labels[labels >= 0], minlength=len(found.classes)).tolist()
    few = [f'"{name}" has {n}' for name, n in zip(found.classes, counts, strict=True) if n < least]
    if few:
        raise DataError(
            f"{found.name}: each class needs {least} labelled training samples at least, so that it can be "
            f"trained on and held out, but {', '.join(few)}; add samples or name the classes to keep in "
            f"data.classes."
        )


def _check_columns(found: Source, least: int) -> None:
    labels = found.train.labels[known(found.train.labels)]
    if len(labels) < 2 * least:
        raise DataError(
            f"{found.name}: {2 * least} labelled training samples are needed at least, so that some can be trained on "
            f"and some held out, but there {'is' if len(labels) == 1 else 'are'} {len(labels)}."
        )
    if found.task != "multi_label":
        return
    counts = labels.sum(0).int().tolist()
    few = [
        f'"{name}" has {n}' for name, n in zip(found.classes, counts, strict=True) if min(n, len(labels) - n) < least
    ]
    if few:
        raise DataError(
            f"{found.name}: each label needs {least} labelled training samples with it and {least} without it, "
            f"but of {len(labels):,} {', '.join(few)}; add samples, or leave the label out."
        )


def _check_test(test: Samples) -> None:
    if len(test) == 0:
        raise DataError("The test split is empty; add samples to it, or leave it away to have one drawn.")
    labelled = known(test.labels)
    if not bool(labelled.all()):
        row = int((~labelled).nonzero()[0])
        raise DataError(f'The test sample "{test.ids[row]}" (row {row}) has no label; every test sample needs one.')


def _leak_notes(pool: Samples, test: Samples) -> tuple[str, ...]:
    count = count_identical(test, pool)
    if not count:
        return ()
    return (f"{count} of {len(test)} test samples are identical to a training or validation sample.",)
