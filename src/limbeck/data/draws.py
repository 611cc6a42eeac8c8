"""Random numbers that follow from what they are for, by a counter-based hash.

The hash is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014),
computed on int64 tensors, whose arithmetic wraps: the same bits in any order, batch, process and on any device.

Shapes: B samples, R random numbers for each.
"""

from __future__ import annotations

import torch
from torch import Tensor

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
    return unit(random_bits(salts, keys, view))


def random_bits(salts: Tensor, keys: Tensor, view: Tensor) -> Tensor:
    """Return int64 [B, R], all 64 bits of them random; see `uniform`."""
    stream = mix(keys[:, None] ^ salts)
    return mix(stream + (view * GOLDEN)[:, None])


def unit(bits: Tensor) -> Tensor:
    """Turn random bits into float32 in 0 <= u < 1, a multiple of 2^-24."""
    return _shift_right(bits, 40).to(torch.float32) * 2.0**-24


def seeds_of(numbers: Tensor) -> Tensor:
    """Return int64 [B] below 2^48, a seed made of two uniform numbers [B, 2]."""
    parts = (numbers.double() * 2**24).long()
    return parts[:, 0] * 2**24 + parts[:, 1]


def _shift_right(bits: Tensor, places: int) -> Tensor:
    """Shift int64 to the right as if it were unsigned."""
    return (bits >> places) & ((1 << (64 - places)) - 1)
