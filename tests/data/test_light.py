from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.light import Brightness, Contrast, channel_means
from limbeck.errors import DataError

PICTURES = torch.rand(6, 3, 7, 9, generator=torch.Generator().manual_seed(1))


@given(st.floats(0, 0.9990234375, width=32), st.floats(0, 1))
@settings(max_examples=40)
def test_brightness_and_contrast_equal_slow_ones(number: float, share: float) -> None:
    numbers = torch.full((6, 1), number)
    factor = 1 + (2 * number - 1) * share
    for picture, bright, contrasted in zip(
        PICTURES.double().numpy(),
        Brightness(share)(PICTURES, numbers).numpy(),
        Contrast(share)(PICTURES, numbers).numpy(),
        strict=True,
    ):
        np.testing.assert_allclose(bright, np.clip(picture * factor, 0, 1), atol=1e-6)
        mean = picture.mean()
        np.testing.assert_allclose(contrasted, np.clip(mean + (picture - mean) * factor, 0, 1), atol=1e-4)


def test_means_are_means_and_the_same_in_any_batch() -> None:
    large = torch.rand(300, 1, 28, 28)
    torch.testing.assert_close(channel_means(large), large.mean((2, 3)), atol=1e-5, rtol=0)
    assert torch.equal(torch.cat([channel_means(one[None]) for one in large]), channel_means(large))


def test_black_stays_black_when_made_brighter() -> None:
    assert torch.equal(Brightness(1)(torch.zeros(3, 1, 4, 4), torch.ones(3, 1)), torch.zeros(3, 1, 4, 4))


@pytest.mark.parametrize(("make", "said"), [
    (lambda: Brightness(1.5), "brightness: share must be between 0 and 1, but it is 1.5"),
    (lambda: Contrast(-0.1), "contrast: share must be between 0 and 1, but it is -0.1"),
    (lambda: Brightness()(torch.rand(2, 5), torch.rand(2, 1)), "brightness works on pictures"),
    (lambda: Contrast()(torch.rand(2, 5), torch.rand(2, 1)), "contrast works on pictures"),
])  # fmt: skip
def test_mistakes_get_a_sentence(make, said) -> None:
    with pytest.raises(DataError, match=said):
        make()
