from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from limbeck.data.draws import GOLDEN, mix
from limbeck.data.noise import Noise
from limbeck.data.views import Views
from limbeck.errors import DataError

GREY = torch.full((40, 1, 10, 10), 0.5)
KEYS = torch.randint(-(2**63), 2**63 - 1, (40,), generator=torch.Generator().manual_seed(2))
ONE = torch.ones(40, dtype=torch.long)


def test_noise_is_normal_and_nowhere_correlated() -> None:
    noise = ((Views([Noise(0.05)])(GREY, KEYS, ONE) - 0.5) / 0.05).numpy()
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert abs(noise.std() - 1) < 0.03
    flat = noise.reshape(40, 100)
    assert abs(np.corrcoef(flat[:, 1:].ravel(), flat[:, :-1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(flat[1:].ravel(), flat[:-1].ravel())[0, 1]) < 0.05


def test_noise_equals_a_slow_one() -> None:
    numbers = torch.tensor([[0.25, 0.75], [2.0**-24, 0.0]])
    made = Noise(0.1)(GREY[:2, :, :3, :3], numbers)
    for picture, (first, second) in zip(made, numbers.tolist(), strict=True):
        seed = int(first * 2**24) * 2**24 + int(second * 2**24)
        for place, pixel in enumerate(picture.flatten().tolist()):
            bits = int(mix(mix(torch.tensor([seed])) + torch.tensor([place // 4]) * GOLDEN))
            part = (bits >> 16 * (place % 4)) & 0xFFFF
            assert pixel == pytest.approx(np.clip(0.5 + 0.1 * stats.norm.ppf((part + 0.5) / 2**16), 0, 1), abs=1e-6)


def test_no_noise_is_no_change_and_much_stays_within_the_range() -> None:
    assert torch.equal(Noise(0)(GREY, torch.rand(40, 2)), GREY)
    loud = Noise(5)(GREY, torch.rand(40, 2))
    assert float(loud.min()) == 0
    assert float(loud.max()) == 1


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(DataError, match=r"noise: sigma must be 0 or more, but it is -1"):
        Noise(-1)
    with pytest.raises(DataError, match="noise works on pictures"):
        Noise()(torch.rand(2, 5), torch.rand(2, 2))
