from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.data.hashing import hash64_all
from limbeck.robustness.corrupting import Corrupting
from limbeck.robustness.corruption import Corruption
from limbeck.robustness.corruptions import CORRUPTIONS

SOME = tuple(one for one in CORRUPTIONS if one.name in ("gaussian_noise", "jpeg", "shift"))


def shown(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    keys = torch.from_numpy(hash64_all(f"sample {row}" for row in range(count)))
    return torch.rand(count, 1, 8, 8, generator=generator), keys


def test_it_is_the_same_in_any_batch_and_another_at_the_next_showing() -> None:
    pixels, keys = shown(60)
    corrupting = Corrupting(SOME, (1, 3), 0.6, 0)
    first = torch.zeros(60, dtype=torch.int64)
    whole = corrupting(pixels, keys, first)
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    parts = [corrupting(pixels[part], keys[part], first[part]) for part in torch.split(rows, 7)]
    assert torch.equal(torch.cat(parts), whole[rows])
    assert not torch.equal(corrupting(pixels, keys, first + 1), whole)
    assert not torch.equal(Corrupting(SOME, (1, 3), 0.6, 1)(pixels, keys, first), whole)
    assert float(whole.min()) >= 0 and float(whole.max()) <= 1


def test_a_share_is_corrupted_by_every_corruption_and_severity_as_often() -> None:
    """Corruptions that say who they are: a picture becomes its kind's and severity's number."""
    marks = tuple(
        Corruption(f"mark {kind}", "noise", (0.11, 0.12, 0.13, 0.14, 0.15), "", 1,
                   lambda pixels, strength, _, kind=kind: torch.full_like(pixels, strength + kind / 5))
        for kind in range(3)
    )  # fmt: skip
    pixels, keys = shown(6000)
    found = Corrupting(marks, (2, 5), 0.4, 0)(pixels, keys, torch.zeros(6000, dtype=torch.int64))
    untouched = (found == pixels).flatten(1).all(1)
    assert float(untouched.double().mean()) == pytest.approx(0.6, abs=0.02)
    values, counts = np.unique(found[~untouched][:, 0, 0, 0].double().numpy().round(4), return_counts=True)
    marked = sorted(strength + kind / 5 for kind in range(3) for strength in (0.12, 0.15))
    assert values.tolist() == pytest.approx(marked)
    assert counts / counts.sum() == pytest.approx(np.full(6, 1 / 6), abs=0.03)


def test_a_whole_share_leaves_none_and_the_inputs_are_not_touched() -> None:
    pixels, keys = shown(20)
    before = pixels.clone()
    noise = Corrupting(SOME[:1], (5,), 1.0, 0)
    found = noise(pixels, keys, torch.arange(20))
    assert torch.equal(pixels, before)
    assert bool((found != pixels).flatten(1).any(1).all())


def test_it_says_what_it_does() -> None:
    assert str(Corrupting(SOME, (1, 3), 0.5, 0)) == (
        "gaussian_noise, shift, jpeg at severity 1, 3, 50 % of what student and controls are shown"
    )
