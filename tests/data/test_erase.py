from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from limbeck.data.erase import Erase
from limbeck.data.views import Views
from limbeck.errors import DataError

PICTURES = torch.rand(8, 3, 9, 12, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25


def slowly(picture: np.ndarray, numbers: list[float], share: float, fill: np.ndarray) -> np.ndarray:
    _, height, width = picture.shape
    area, wider, right, down = numbers
    area, wider = area * share * height * width, math.exp((2 * wider - 1) * math.log(3))
    wide = min(max(round(math.sqrt(area * wider)), 1), width)
    tall = min(max(round(math.sqrt(area / wider)), 1), height)
    left, top = int(right * (width - wide + 1)), int(down * (height - tall + 1))
    result = picture.copy()
    result[:, top : top + tall, left : left + wide] = fill[:, None, None]
    return result


@given(share=st.floats(0.01, 1), fill=st.sampled_from(["zero", "mean"]), seed=st.integers(0, 10**6))
@settings(max_examples=50)
def test_erase_equals_a_slow_one(share: float, fill: str, seed: int) -> None:
    numbers = torch.rand(8, 4, generator=torch.Generator().manual_seed(seed))
    erased = Erase(share, fill)(PICTURES, numbers)
    for picture, drawn, got in zip(PICTURES.numpy(), numbers.double().tolist(), erased.numpy(), strict=True):
        colour = picture.mean((1, 2)) if fill == "mean" else np.zeros(3)
        np.testing.assert_allclose(got, slowly(picture, drawn, share, colour), atol=1e-5)


def test_every_place_and_share_is_equally_likely() -> None:
    white = torch.ones(8000, 1, 20, 20)
    keys = torch.arange(8000)
    covered = Views([Erase(0.5)])(white, keys, torch.ones_like(keys)) == 0
    shares = covered.float().mean((1, 2, 3))
    counts = torch.histc(shares, bins=10, min=0, max=0.5)
    assert float(shares.max()) < 0.55
    assert stats.chisquare(counts[1:9].numpy()).pvalue > 1e-4  # whole pixels make the ends uneven
    where = covered.float().mean((0, 1))
    torch.testing.assert_close(where, where.flip(0), atol=0.03, rtol=0)
    torch.testing.assert_close(where, where.flip(1), atol=0.03, rtol=0)


@pytest.mark.parametrize(("make", "said"), [
    (lambda: Erase(0), "erase: share must be above 0 and at most 1, but it is 0"),
    (lambda: Erase(fill="grey"), "erase: fill must be \"zero\" or \"mean\", but it is 'grey'"),
    (lambda: Erase()(torch.rand(2, 5), torch.rand(2, 4)), "erase works on pictures"),
])  # fmt: skip
def test_mistakes_get_a_sentence(make, said) -> None:
    with pytest.raises(DataError, match=said):
        make()
