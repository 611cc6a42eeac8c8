"""Augmentation that can be replayed: a view is a pure function of (seed, sample, view number).

The random numbers of a view come from a hash of what is shown, never from a generator's state, so they do
not depend on the order of samples, on the batch they are in, or on the process. View 0 is the untouched
sample.

Shapes: B samples, C channels, H rows and W columns of pixels, R random numbers for each sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.draws import random_bits, uniform
from limbeck.data.hashing import hash64
from limbeck.data.kept_views import KeptViews
from limbeck.data.mixup import Mixup, Partners
from limbeck.errors import DataError

Showing = TypeVar("Showing", int, Tensor)


class Transform(ABC):
    """A change of a whole batch that takes its randomness from numbers it is given."""

    draws: int
    """R, how many uniform numbers it needs for each sample."""

    is_own: ClassVar[bool] = False
    """Whether it is known to run code of the user's own; a subclass from outside Limbeck always does."""

    def __str__(self) -> str:
        """Return the name with its settings, such as 'shift(pixels=1)': what recipe and report say."""
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__.lower()}({settings})"

    @abstractmethod
    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Return inputs [B, ...] changed by numbers [B, R] in 0 <= u < 1, without touching the inputs."""

    def then(self, later: Transform) -> Transform | None:
        """Return one transform that does this and then the later one, by the numbers of both; None if there is none."""
        return None


class Shift(Transform):
    """Move pictures by whole pixels; what is vacated is 0.

    pixels: the farthest move in x and in y.
    """

    draws = 2

    def __init__(self, pixels: int = 1) -> None:
        if pixels < 0:
            raise DataError(f"shift: pixels must be 0 or more, but it is {pixels}.")
        self.pixels = pixels

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Shift inputs [B, C, H, W]; every one of the (2 pixels + 1)^2 moves is equally likely."""
        count, channels, height, width = picture_shape(inputs, "shift")
        edge = self.pixels
        padded = F.pad(inputs, (edge, edge, edge, edge))
        tall, wide = padded.shape[2:]
        down, right = (numbers * (2 * edge + 1)).long().unbind(1)
        planes = torch.arange(count * channels, device=inputs.device).view(count, channels, 1) * (tall * wide)
        rows = (down[:, None] + torch.arange(height, device=inputs.device)) * wide + right[:, None]
        windows = padded.flatten().unfold(0, width, 1)  # every run of `width` pixels, as a view
        return windows.index_select(0, (planes + rows[:, None]).flatten()).view_as(inputs)


class Flip(Transform):
    """Mirror pictures left to right.

    probability: of each picture, 0..1.
    """

    draws = 1

    def __init__(self, probability: float = 0.5) -> None:
        if not 0 <= probability <= 1:
            raise DataError(f"flip: probability must be between 0 and 1, but it is {probability}.")
        self.probability = probability

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Mirror those of inputs [B, C, H, W] whose number is below the probability."""
        picture_shape(inputs, "flip")
        return torch.where(numbers[:, :, None, None] < self.probability, inputs.flip(3), inputs)


@dataclass(frozen=True, eq=False)
class Mix:
    """What is mixed into a batch. partner: int64 [B], rows; share: float32 [B], of the sample itself, 0..1."""

    partner: Tensor
    share: Tensor


class Views:
    """Numbered views of samples, made by transforms one after the other.

    count: how many views there are, the untouched sample among them, or "fresh" for a new one at every showing;
    partners: whom a mixup, which comes last, may mix with; kept: where views that were made stay. Each transform has
    random numbers of its own, found by its class name, so adding another kind of transform leaves them as they are.
    """

    def __init__(
        self,
        transforms: Sequence[Transform | Mixup],
        *,
        seed: int = 0,
        count: int | Literal["fresh"] = "fresh",
        partners: Partners | None = None,
        kept: KeptViews | None = None,
    ) -> None:
        if count != "fresh" and count < 1:
            raise DataError(f'data.views must be "fresh" or a number from 1, but it is {count}.')
        self.transforms = tuple(transforms)
        self.seed = seed
        self.count = count
        self._mixup = _mixup_of(self.transforms)
        if self._mixup is not None and partners is None:
            raise DataError("mixup needs to know whom it may mix with; give Views the partners.")
        self.partners, self.kept = partners, kept
        changes = [one for one in self.transforms if isinstance(one, Transform)]
        self._changes = _joined(changes)
        self._salts = torch.tensor(list(_salts(changes, seed)), dtype=torch.int64)
        mixing = [] if self._mixup is None else [self._mixup]
        self._mixing_salts = torch.tensor(list(_salts(mixing, seed)), dtype=torch.int64)

    @property
    def has_own_transforms(self) -> bool:
        """Whether a transform is code of the user's own, which may change unseen."""
        return any(
            isinstance(one, Transform) and (one.is_own or type(one).__module__.partition(".")[0] != "limbeck")
            for one in self.transforms
        )

    def number(self, showing: Showing) -> Showing:
        """Say which view the n-th showing of a sample is (showing: an int or int64 of any shape, from 0)."""
        return showing if self.count == "fresh" else showing % self.count

    def __call__(self, inputs: Tensor, keys: Tensor, view: Tensor) -> Tensor:
        """Make the views of inputs [B, C, H, W] (float, 0..1), before they are mixed.

        keys: int64 [B], the stable hash of each sample's id; view: int64 [B], 0 is the untouched sample.
        Raises DataError where a transform needs pictures and gets something else.
        """
        if len(inputs) == 0:
            return inputs
        self._salts = self._salts.to(keys.device)
        numbers = uniform(self._salts, keys, view)
        result, first = inputs, 0
        for transform in self._changes:
            result = transform(result, numbers[:, first : first + transform.draws])
            first += transform.draws
        untouched = (view == 0).view(-1, *[1] * (inputs.ndim - 1))
        return torch.where(untouched, inputs, result)

    def mix(self, rows: Tensor, keys: Tensor, view: Tensor, known: Tensor) -> Mix | None:
        """Say what is mixed into rows [B] of the data set that the partners are from; None without mixup.

        keys and view: as above; known: bool [B], whether the row has a label in the data. View 0 is left alone.
        """
        if self._mixup is None or self.partners is None:
            return None
        if self._mixing_salts.device != keys.device:
            self._mixing_salts, self.partners = self._mixing_salts.to(keys.device), self.partners.to(keys.device)
        bits = random_bits(self._mixing_salts, keys, view)
        partner, share = self.partners.find(bits[:, 0], known), self._mixup.share(bits[:, 1])
        return Mix(torch.where(view == 0, rows, partner), torch.where(view == 0, torch.ones_like(share), share))


def _mixup_of(transforms: Sequence[Transform | Mixup]) -> Mixup | None:
    if not any(isinstance(one, Mixup) for one in transforms):
        return None
    last = transforms[-1]
    if not isinstance(last, Mixup) or sum(isinstance(one, Mixup) for one in transforms) > 1:
        raise DataError("mixup must be the last of data.augment, and only once: it mixes pictures that are finished.")
    return last


def _joined(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    """Do neighbours in one go where they can be."""
    result: list[Transform] = []
    for transform in transforms:
        both = result[-1].then(transform) if result else None
        result = [*result, transform] if both is None else [*result[:-1], both]
    return tuple(result)


def _salts(transforms: Sequence[Transform | Mixup], seed: int) -> Iterator[int]:
    """Yield one salt for each number that the transforms draw."""
    seen: Counter[str] = Counter()
    for transform in transforms:
        name = type(transform).__name__
        yield from (hash64(f"{seed}/{name}/{seen[name]}/{draw}") for draw in range(transform.draws))
        seen[name] += 1


def picture_shape(inputs: Tensor, name: str) -> tuple[int, int, int, int]:
    """Return B, C, H and W; DataError where the samples are no pictures; name: of the transform."""
    if inputs.ndim != 4:
        raise DataError(
            f"{name} works on pictures [B, C, H, W], but the samples are {list(inputs.shape[1:])}; "
            f"remove it from data.augment."
        )
    count, channels, height, width = inputs.shape
    return count, channels, height, width
