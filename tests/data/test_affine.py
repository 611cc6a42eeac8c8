from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from limbeck.data.affine import Rotate, Scale
from limbeck.data.views import Shift, Transform, Views
from limbeck.errors import DataError

PICTURES = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(1))
KEYS = torch.randint(-(2**63), 2**63 - 1, (9,), generator=torch.Generator().manual_seed(2))


def slowly(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """SciPy's resampling: output pixel o comes from matrix @ (o - middle) + middle, in (row, column)."""
    middle = (np.array(picture.shape[1:]) - 1) / 2
    offset = middle - matrix @ middle
    padded = [np.pad(plane, 1) for plane in picture]  # bilinear against 0 just outside
    shifted = offset + 1 - matrix @ np.zeros(2)
    return np.stack([
        ndimage.affine_transform(plane, matrix, shifted, order=1, output_shape=picture.shape[1:]) for plane in padded
    ])  # fmt: skip


@given(st.floats(0, 0.999), st.floats(0, 180))
@settings(max_examples=40, deadline=None)
def test_rotate_equals_scipy(number: float, degrees: float) -> None:
    turned = Rotate(degrees)(PICTURES[:2], torch.full((2, 1), number))
    angle = np.deg2rad((2 * np.float32(number) - 1) * degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for one, other in zip(PICTURES, turned, strict=False):
        np.testing.assert_allclose(other.numpy(), slowly(one.numpy(), matrix), atol=2e-4)


@given(st.floats(0, 0.999), st.floats(0, 0.9))
@settings(max_examples=40, deadline=None)
def test_scale_equals_scipy(number: float, share: float) -> None:
    scaled = Scale(share)(PICTURES[:2], torch.full((2, 1), number))
    matrix = np.eye(2) / (1 + (2 * np.float32(number) - 1) * share)
    for one, other in zip(PICTURES, scaled, strict=False):
        np.testing.assert_allclose(other.numpy(), slowly(one.numpy(), matrix), atol=2e-4)


@pytest.mark.parametrize("transform", [Rotate(30), Scale(0.3)])
def test_a_view_is_the_same_in_any_batch_and_order(transform: Transform) -> None:
    views = Views([transform, Shift(1)], seed=5)
    numbers = torch.arange(1, 10)
    whole = views(PICTURES, KEYS, numbers)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    assert torch.equal(views(PICTURES[order], KEYS[order], numbers[order]), whole[order])
    assert torch.equal(
        torch.cat([views(PICTURES[i : i + 1], KEYS[i : i + 1], numbers[i : i + 1]) for i in range(9)]), whole
    )


def test_nothing_asked_is_nothing_done() -> None:
    for transform in (Rotate(0), Scale(0)):
        torch.testing.assert_close(transform(PICTURES, torch.rand(9, 1)), PICTURES)


def test_a_quarter_turn_moves_pixels_exactly() -> None:
    turned = Rotate(90)(PICTURES, torch.ones(9, 1))
    torch.testing.assert_close(turned, PICTURES.rot90(-1, (2, 3)).rot90(2, (2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("make", "said"), [
    (lambda: Rotate(200), "degrees must be between 0 and 180, but it is 200"),
    (lambda: Rotate(-1), "degrees"),
    (lambda: Scale(1), "share must be 0 or more and below 1, but it is 1"),
    (lambda: Scale()(torch.rand(2, 5), torch.rand(2, 1)), r"scale works on pictures"),
])  # fmt: skip
def test_mistakes_get_a_sentence(make, said) -> None:
    with pytest.raises(DataError, match=said):
        make()
