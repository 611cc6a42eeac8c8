"""Augmentation that can be replayed: a view is a pure function of (seed, sample, view number).

The random numbers of a view come from a hash of what is shown, never from a generator's state, so they do
not depend on the order of samples, on the batch they are in, or on the process. View 0 is the untouched
sample. The hash is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
OOPSLA 2014), computed on int64 tensors, whose arithmetic wraps.

Shapes: B samples, C channels, H rows and W columns of pixels, R random numbers for each sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.hashing import hash64
from limbeck.errors import DataError

Showing = TypeVar("Showing", int, Tensor)

GOLDEN = -0x61C8864680B583EB  # the odd constants of SplitMix64, as signed 64-bit integers
MIX_1 = -0x40A7B892E31B1A47
MIX_2 = -0x6B2FB644ECCEEE15


def mix(bits: Tensor) -> Tensor:
    """SplitMix64's output function on int64 of any shape: a bijection whose output bits look independent."""
    bits = (bits ^ _shift_right(bits, 30)) * MIX_1
    bits = (bits ^ _shift_right(bits, 27)) * MIX_2
    return bits ^ _shift_right(bits, 31)


def uniform(salts: Tensor, keys: Tensor, view: Tensor) -> Tensor:
    """Return float32 [B, R] in 0 <= u < 1, a function of salts [R], keys [B] and view [B] (int64) alone."""
    stream = mix(keys[:, None] ^ salts)
    bits = mix(stream + (view * GOLDEN)[:, None])
    return _shift_right(bits, 40).to(torch.float32) * 2.0**-24


class Transform(ABC):
    """A change of a whole batch that takes its randomness from numbers it is given."""

    draws: int
    """R, how many uniform numbers it needs for each sample."""

    def __str__(self) -> str:
        """Return the name with its settings, such as 'shift(pixels=1)': what recipe and report say."""
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__.lower()}({settings})"

    @abstractmethod
    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Return inputs [B, ...] changed by numbers [B, R] in 0 <= u < 1, without touching the inputs."""


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


class PerSample(Transform):
    """A transform of the user's own, called as `transform(x, generator)` for one sample at a time.

    It must draw all its randomness from the generator and return a tensor of the shape of x.
    """

    draws = 2

    def __init__(self, transform: Callable[[Tensor, torch.Generator], Tensor]) -> None:
        self.transform = transform

    def __str__(self) -> str:
        """Return the name of the function, whose address must not decide whether a run may be resumed."""
        named = self.transform if isinstance(self.transform, FunctionType) else type(self.transform)
        return f"persample({named.__name__})"

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Transform inputs [B, ...] one by one; 48 bits of numbers seed the generator of each."""
        parts = (numbers.double().cpu() * 2**24).long()
        seeds = (parts[:, 0] * 2**24 + parts[:, 1]).tolist()
        return torch.stack([self._one(x, seed) for x, seed in zip(inputs, seeds, strict=True)])

    def _one(self, x: Tensor, seed: int) -> Tensor:
        result = self.transform(x.clone(), torch.Generator().manual_seed(seed))
        if result.shape != x.shape:
            raise DataError(
                f"A transform of your own must keep the shape of a sample, but it turned {list(x.shape)} "
                f"into {list(result.shape)}."
            )
        return result.to(x)


class Views:
    """Numbered views of samples, made by transforms one after the other.

    count: how many views there are, or "fresh" for a new one at every showing. Each transform has random
    numbers of its own, found by its class name, so adding another kind of transform leaves them as they are.
    """

    def __init__(
        self, transforms: Sequence[Transform], *, seed: int = 0, count: int | Literal["fresh"] = "fresh"
    ) -> None:
        if count != "fresh" and count < 1:
            raise DataError(f'data.views must be "fresh" or a number from 1, but it is {count}.')
        self.transforms = tuple(transforms)
        self.seed = seed
        self.count = count
        self._salts = torch.tensor(list(_salts(self.transforms, seed)), dtype=torch.int64)

    def number(self, showing: Showing) -> Showing:
        """Say which view the n-th showing of a sample is (showing: an int or int64 of any shape, from 0)."""
        return showing if self.count == "fresh" else showing % self.count

    def __call__(self, inputs: Tensor, keys: Tensor, view: Tensor) -> Tensor:
        """Make the views of inputs [B, C, H, W] (float, 0..1).

        keys: int64 [B], the stable hash of each sample's id; view: int64 [B], 0 is the untouched sample.
        Raises DataError where a transform needs pictures and gets something else.
        """
        if len(inputs) == 0:
            return inputs
        numbers = uniform(self._salts.to(keys.device), keys, view)
        result, first = inputs, 0
        for transform in self.transforms:
            result = transform(result, numbers[:, first : first + transform.draws])
            first += transform.draws
        untouched = (view == 0).view(-1, *[1] * (inputs.ndim - 1))
        return torch.where(untouched, inputs, result)


def _salts(transforms: Sequence[Transform], seed: int) -> Iterator[int]:
    """Yield one salt for each number that the transforms draw."""
    seen: Counter[str] = Counter()
    for transform in transforms:
        name = type(transform).__name__
        yield from (hash64(f"{seed}/{name}/{seen[name]}/{draw}") for draw in range(transform.draws))
        seen[name] += 1


def _shift_right(bits: Tensor, places: int) -> Tensor:
    """Shift int64 to the right as if it were unsigned."""
    return (bits >> places) & ((1 << (64 - places)) - 1)


def picture_shape(inputs: Tensor, name: str) -> tuple[int, int, int, int]:
    """Return B, C, H and W; DataError where the samples are no pictures; name: of the transform."""
    if inputs.ndim != 4:
        raise DataError(
            f"{name} works on pictures [B, C, H, W], but the samples are {list(inputs.shape[1:])}; "
            f"remove it from data.augment."
        )
    count, channels, height, width = inputs.shape
    return count, channels, height, width
