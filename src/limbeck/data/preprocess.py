"""From rows of a table to what models see: fitted on the training rows, kept as plain numbers and texts.

Shapes: N rows, n columns of numbers, m of categories, D features: n scaled numbers, one flag for each column of numbers
that lacked values in training, one flag for each category of each column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.table import Columns, Table
from limbeck.errors import DataError

MOST_FEATURES = 20_000
FARTHEST = 1e6  # scales from the mean; what lies further off, as where all but equal numbers differ, counts as that
MANY = 100  # categories of a column that deserve a look, if they are also half as many as there are rows


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: less the mean and over the scale, at most FARTHEST; the median where it is missing.

    flag: whether there is a feature that says where it is missing.
    """

    name: str
    median: float
    mean: float
    scale: float
    flag: bool


@dataclass(frozen=True)
class Categories:
    """A column of categories: one flag for each known text, "" being a missing one; an unknown text raises no flag."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """What was learned from the training rows. label: the name of the class column, or of each label column."""

    label: str | tuple[str, ...]
    numbers: tuple[Numbers, ...]
    categories: tuple[Categories, ...]

    @property
    def columns(self) -> Columns:
        """The columns that are used."""
        return Columns(tuple(one.name for one in self.numbers), tuple(one.name for one in self.categories))

    def __call__(self, table: Table) -> NDArray[np.float32]:
        """Return the features [N, D] of a table that has the columns."""
        table = table.choose(self.columns)
        missing = np.isnan(table.numbers)
        filled = np.where(missing, [one.median for one in self.numbers], table.numbers.astype(np.float64))
        scaled = (filled - [one.mean for one in self.numbers]) / [one.scale for one in self.numbers]
        scaled = np.clip(scaled, -FARTHEST, FARTHEST)
        flags = missing[:, [one.flag for one in self.numbers]]
        hot = [_one_hot(texts, one.texts) for texts, one in zip(table.categories.T, self.categories, strict=True)]
        return np.concatenate([scaled.astype(np.float32), flags.astype(np.float32), *hot], axis=1)

    def as_json(self) -> dict[str, Any]:
        """Return it as the values of a JSON file."""
        found: dict[str, Any] = asdict(self)
        return found

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Preprocessing:
        """Return what `as_json` described."""
        return cls(
            label=tuple(saved["label"]) if isinstance(saved["label"], list) else saved["label"],
            numbers=tuple(Numbers(**one) for one in saved["numbers"]),
            categories=tuple(Categories(one["name"], tuple(one["texts"])) for one in saved["categories"]),
        )

    def difference(self, other: Preprocessing) -> str | None:
        """Return the name of the first column that the other prepares otherwise, or lacks; None if all are equal."""
        mine: tuple[Numbers | Categories, ...] = self.numbers + self.categories
        theirs: tuple[Numbers | Categories, ...] = other.numbers + other.categories
        apart = [one.name for one in mine if one not in theirs] + [one.name for one in theirs if one not in mine]
        moved = [one.name for one, two in zip(mine, theirs, strict=False) if one != two]
        return next(iter([*apart, *moved]), None)


def fit(table: Table, label: str | tuple[str, ...]) -> tuple[Preprocessing, tuple[str, ...]]:
    """Learn from the rows of a table, which should be the training rows; give it with the notes.

    Left out with a note: a column with one value in all rows, and one of texts that all differ. Raises DataError where
    nothing is left, or where there would be more than 20,000 features.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    kept, notes = _useful(table)
    if not kept.names:
        raise DataError(f"No column says anything about the class column: {' '.join(notes)}")
    table = table.choose(kept)
    numbers: tuple[Numbers, ...] = ()
    categories: tuple[Categories, ...] = ()
    if kept.numbers:
        values = table.numbers.astype(np.float64)
        imputer = SimpleImputer(strategy="median").fit(values)
        scaler = StandardScaler().fit(imputer.transform(values))
        figures = np.stack([imputer.statistics_, scaler.mean_, scaler.scale_], axis=1).tolist()
        numbers = tuple(
            Numbers(name, median, mean, scale, flag=bool(np.isnan(column).any()))
            for name, (median, mean, scale), column in zip(kept.numbers, figures, values.T, strict=True)
        )
    if kept.categories:
        found = OneHotEncoder().fit(table.categories).categories_
        pairs = zip(kept.categories, found, strict=True)
        categories = tuple(Categories(name, tuple(map(str, texts))) for name, texts in pairs)
    _refuse_too_many(numbers, categories)
    return Preprocessing(label, numbers, categories), (*notes, *_many(categories, len(table)))


def _useful(table: Table) -> tuple[Columns, tuple[str, ...]]:
    """Return the columns that a model can learn something from, and why the others were left out."""
    reasons = {
        **{name: _why_not_number(one) for name, one in zip(table.columns.numbers, table.numbers.T, strict=True)},
        **{name: _why_not_text(one) for name, one in zip(table.columns.categories, table.categories.T, strict=True)},
    }
    kept = Columns(
        tuple(name for name in table.columns.numbers if not reasons[name]),
        tuple(name for name in table.columns.categories if not reasons[name]),
    )
    return kept, tuple(f'The column "{name}" was left out: {why}.' for name, why in reasons.items() if why)


def _why_not_number(values: NDArray[np.float32]) -> str:
    missing = np.isnan(values)
    same = missing.all() or (not missing.any() and (values == values[0]).all())
    return "it has the same value in every training row" if same else ""


def _why_not_text(texts: NDArray[np.object_]) -> str:
    there = [text for text in texts.tolist() if text]
    if len(set(texts.tolist())) == 1:
        return "it has the same value in every training row"
    if 2 * len(there) > len(texts) and len(set(there)) == len(there):
        return "its text differs in every training row, as an id does"
    return ""


def _many(categories: tuple[Categories, ...], rows: int) -> Iterator[str]:
    for one in categories:
        if len(one.texts) > MANY and 2 * len(one.texts) > rows:
            yield (
                f'The column "{one.name}" has {len(one.texts):,} different texts in {rows:,} training rows, most of '
                f"them too rare to learn from; is it an id? data.drop leaves it out."
            )


def _refuse_too_many(numbers: tuple[Numbers, ...], categories: tuple[Categories, ...]) -> None:
    count = len(numbers) + sum(one.flag for one in numbers) + sum(len(one.texts) for one in categories)
    if count <= MOST_FEATURES:
        return
    widest = max(categories, key=lambda one: len(one.texts), default=None)
    told = f'; the column "{widest.name}" alone has {len(widest.texts):,} different texts' if widest else ""
    raise DataError(
        f"The table would make {count:,} features, more than {MOST_FEATURES:,}{told}; leave columns out with data.drop."
    )


def _one_hot(texts: NDArray[np.object_], known: tuple[str, ...]) -> NDArray[np.float32]:
    """Return a flag for each known text: float32 [N, K], no flag in a row whose text is unknown."""
    places = {text: place for place, text in enumerate(known)}
    found = np.array([places.get(text, -1) for text in texts.tolist()], dtype=np.int64)
    flags = np.zeros((len(texts), len(known)), dtype=np.float32)
    rows = np.flatnonzero(found >= 0)
    flags[rows, found[rows]] = 1
    return flags
