"""How an answer is kept: all its logits, or the K highest and the sum of the others.

Shapes: n rows, C classes, K listed classes, T temperatures, D numbers of a vector. Numbers of answers are fp16 but for
the sums, which are fp32; so are vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.types import Knowledge, TopK

Columns = tuple[Tensor, ...]
Records = NDArray[np.void]
LARGEST = 65504.0  # of fp16
DENSE_CLASSES = 1000  # up to so many, all logits are kept unless K is given
DEFAULT_K = 32
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)


class Form(ABC):
    """Columns of a table of answers, and what they say."""

    dtype: np.dtype[Any]
    """A record of a file: the name of the row and its columns, without gaps."""

    @abstractmethod
    def columns(self, logits: Tensor) -> Columns:
        """Return the columns [n, ...] for logits [n, C]; ModelError where fp16 cannot hold them."""

    @abstractmethod
    def knowledge(self, columns: Columns) -> Knowledge:
        """Return what columns of some rows say, in float32."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what makes this form another than its like, for the manifest."""

    @property
    def bytes_per_row(self) -> int:
        """Of a row in memory, without its name."""
        return self.dtype.itemsize - 8

    def records(self, names: Tensor, columns: Columns) -> Records:
        """Return records [n] of rows by their names (int64 [n])."""
        found = np.empty(len(names), dtype=self.dtype)
        for field, values in zip(self.dtype.names or (), (names, *columns), strict=True):
            found[field] = values.cpu().numpy()
        return found

    def columns_of(self, records: Records) -> Columns:
        """Return the columns of records."""
        return tuple(torch.from_numpy(np.ascontiguousarray(records[field])) for field in (self.dtype.names or ())[1:])


@dataclass(frozen=True)
class Dense(Form):
    """All C logits, 2 C + 8 bytes."""

    classes: int

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Name and logits."""
        return np.dtype([("name", "<i8"), ("logits", "<f2", (self.classes,))])

    def columns(self, logits: Tensor) -> Columns:
        """Return the logits as fp16."""
        return (to_half(logits),)

    def knowledge(self, columns: Columns) -> Knowledge:
        """Return the logits [n, C]."""
        return Knowledge(logits=columns[0].float())

    def describe(self) -> dict[str, Any]:
        """Return the name alone: the classes are counted elsewhere."""
        return {"layout": "dense", "top_k": None, "temperatures": None}


@dataclass(frozen=True)
class Top(Form):
    """The k highest logits with their classes, and the sum of the others at each temperature: 6 K + 4 T + 8 bytes."""

    k: int
    temperatures: tuple[float, ...]

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Name, values, classes and sums."""
        fields = [("name", "<i8"), ("values", "<f2", (self.k,)), ("classes", "<i4", (self.k,))]
        return np.dtype([*fields, ("tails", "<f4", (len(self.temperatures),))])

    def columns(self, logits: Tensor) -> Columns:
        """Return values, classes and the log-sum-exp of the other logits, which are rounded to fp16 before."""
        rounded = to_half(logits)
        values, classes = rounded.topk(self.k, dim=1)
        others = rounded.float().scatter(1, classes, -torch.inf)
        tails = torch.stack([(others / one).logsumexp(dim=1) for one in self.temperatures], dim=1)
        return values, classes.int(), tails

    def knowledge(self, columns: Columns) -> Knowledge:
        """Return the top K with the sums by temperature."""
        values, classes, tails = columns
        by_temperature = dict(zip(self.temperatures, tails.unbind(1), strict=True))
        return Knowledge(topk=TopK(values.float(), classes.long(), by_temperature))

    def describe(self) -> dict[str, Any]:
        """Return K and the temperatures."""
        return {"layout": "top", "top_k": self.k, "temperatures": list(self.temperatures)}


@dataclass(frozen=True)
class Named(Form):
    """The number of a class, for a teacher that says no more: 12 bytes."""

    dtype = np.dtype([("name", "<i8"), ("label", "<i4")])

    def columns(self, logits: Tensor) -> Columns:
        """Return labels, int64 [n], which stand in for logits here."""
        return (logits.int(),)

    def knowledge(self, columns: Columns) -> Knowledge:
        """Return the labels [n]."""
        return Knowledge(labels=columns[0].long())

    def describe(self) -> dict[str, Any]:
        """Return the name alone."""
        return {"layout": "labels", "top_k": None, "temperatures": None}


@dataclass(frozen=True)
class Vectors(Form):
    """What a frozen network gives a classifier, D numbers in fp32 as it would get them: 4 D + 8 bytes."""

    width: int

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Name and vector."""
        return np.dtype([("name", "<i8"), ("vector", "<f4", (self.width,))])

    def columns(self, logits: Tensor) -> Columns:
        """Return vectors [n, D], which stand in for logits here."""
        if not bool(torch.isfinite(logits).all()):
            raise ModelError("The frozen part gives features that are not finite numbers; check its weights.")
        return (logits.float(),)

    def knowledge(self, columns: Columns) -> Knowledge:
        """Return the vectors [n, D] in the place of logits."""
        return Knowledge(logits=columns[0])

    def describe(self) -> dict[str, Any]:
        """Return the name alone: the numbers are counted elsewhere."""
        return {"layout": "vectors", "top_k": None, "temperatures": None}


def form_for(classes: int, *, all_logits: bool, top_k: int | None, temperatures: tuple[float, ...]) -> Form:
    """Return the form for answers in so many classes.

    all_logits: whether somebody needs them; top_k: how many to keep, None for all up to 1,000 classes, else 32.
    """
    kept = min(top_k or (classes if classes <= DENSE_CLASSES else DEFAULT_K), classes)
    return Dense(classes) if all_logits or (top_k is None and kept == classes) else Top(kept, temperatures)


def to_half(logits: Tensor) -> Tensor:
    """Return logits [n, C] as fp16; ModelError for what it cannot hold."""
    if not bool(torch.isfinite(logits).all()):
        raise ModelError("The teacher gives logits that are not finite numbers; check what it is fed with.")
    highest = float(logits.abs().max()) if logits.numel() else 0.0
    if highest > LARGEST:
        raise ModelError(
            f"The teacher's logits reach {highest:.3g}, more than a kept answer can hold ({LARGEST:,.0f}); set "
            f"knowledge.mode to live, or scale the teacher's logits down."
        )
    return logits.half()
