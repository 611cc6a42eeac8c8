from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from limbeck.data.affine import Affine, Crop, Rotate, Scale
from limbeck.data.draws import uniform
from limbeck.data.views import Shift, Transform, Views, _salts
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
@settings(max_examples=40)
def test_rotate_equals_scipy(number: float, degrees: float) -> None:
    turned = Rotate(degrees)(PICTURES[:2], torch.full((2, 1), number))
    angle = np.deg2rad((2 * np.float32(number) - 1) * degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for one, other in zip(PICTURES, turned, strict=False):
        np.testing.assert_allclose(other.numpy(), slowly(one.numpy(), matrix), atol=2e-4)


@given(st.floats(0, 0.999), st.floats(0, 0.9))
@settings(max_examples=40)
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
    (lambda: Crop(0), "crop: area must be above 0 and at most 1, but it is 0"),
    (lambda: Crop(0.5, 0.9), "crop: aspect must be 1 or more, but it is 0.9"),
    (lambda: Scale(1), "share must be 0 or more and below 1, but it is 1"),
    (lambda: Scale()(torch.rand(2, 5), torch.rand(2, 1)), r"scale works on pictures"),
])  # fmt: skip
def test_mistakes_get_a_sentence(make, said) -> None:
    with pytest.raises(DataError, match=said):
        make()


@given(st.lists(st.floats(0, 0.9990234375, width=32), min_size=4, max_size=4), st.floats(0.05, 1), st.floats(1, 3))
@settings(max_examples=40)
def test_crop_equals_scipy(numbers: list[float], area: float, aspect: float) -> None:
    cropped = Crop(area, aspect)(PICTURES[:2], torch.tensor([numbers] * 2))
    share, ratio = area + numbers[0] * (1 - area), aspect ** (2 * numbers[1] - 1)
    wide, tall = min(1, (share * ratio) ** 0.5), min(1, (share / ratio) ** 0.5)
    left = (2 * numbers[2] - 1) * (1 - wide) * 3.5 + 3.5 * (1 - wide)
    top = (2 * numbers[3] - 1) * (1 - tall) * 3.5 + 3.5 * (1 - tall)
    places = np.mgrid[:8, :8] * np.array([tall, wide])[:, None, None] + np.array([top, left])[:, None, None]
    for one, other in zip(PICTURES, cropped, strict=False):
        slow = [ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in one.numpy()]
        np.testing.assert_allclose(other.numpy(), np.stack(slow), atol=2e-4)


def test_a_crop_takes_nothing_from_outside() -> None:
    keys = torch.arange(500)
    made = Views([Crop(0.05, 3)])(torch.ones(500, 1, 8, 8), keys, torch.ones_like(keys))
    torch.testing.assert_close(made, torch.ones(500, 1, 8, 8), atol=1e-4, rtol=0)


def test_shares_of_area_are_equally_likely() -> None:
    numbers = uniform(torch.arange(4), torch.arange(20_000), torch.ones(20_000).long()).double()
    matrix = Crop(0.5, 1.2).matrix(numbers, 8, 8)
    shares = matrix[:, 0, 0] * matrix[:, 1, 1]
    counts = torch.histc(shares, bins=20, min=0.5, max=1)[:12]  # wide windows are cut to the picture
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 31.3  # 11 degrees of freedom, p = 0.001


@given(st.permutations([Rotate(40), Scale(0.4), Crop(0.4, 1.5)]), st.integers(0, 10**6))
@settings(max_examples=30)
def test_neighbours_are_one_resampling_by_the_product_of_matrices(changes: list[Affine], seed: int) -> None:
    views = Views(changes, seed=seed)
    made = views(PICTURES, KEYS, torch.ones(9).long())
    salts = torch.tensor(list(_salts(changes, seed)))
    numbers = uniform(salts, KEYS, torch.ones(9).long()).double()
    for row in range(9):
        product, first = np.eye(3), 0
        for change in changes:
            part = change.matrix(numbers[row : row + 1, first : first + change.draws], 8, 8)[0].numpy()
            product, first = product @ np.vstack([part, [0, 0, 1]]), first + change.draws
        x, y = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5)
        from_x, from_y, _ = product @ np.stack([x.ravel(), y.ravel(), np.ones(64)])
        places = np.stack([from_y + 4.5, from_x + 4.5])  # in the picture with a border of 0
        slow = [ndimage.map_coordinates(np.pad(plane, 1), places, order=1, cval=0.0) for plane in PICTURES[row].numpy()]
        np.testing.assert_allclose(made[row].numpy(), np.stack(slow).reshape(3, 8, 8), atol=3e-4)


def test_a_joined_transform_keeps_the_numbers_of_each() -> None:
    one = torch.ones(9).long()
    assert torch.equal(Views([Rotate(30), Scale(0)])(PICTURES, KEYS, one), Views([Rotate(30)])(PICTURES, KEYS, one))
