from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from limbeck.data.elastic import Elastic
from limbeck.data.views import Views
from limbeck.errors import DataError

PICTURES = torch.rand(4, 2, 12, 9, generator=torch.Generator().manual_seed(1))


@given(pixels=st.floats(0, 3), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_with_a_point_at_each_corner_it_is_the_sampling_of_scipy(pixels: float, seed: int) -> None:
    """Between the corners' moves a bicubic field is steep in the middle; scipy samples at the places it gives."""
    numbers = torch.rand(4, 8, generator=torch.Generator().manual_seed(seed))
    bent = Elastic(pixels, grid=2)(PICTURES, numbers)
    moves = ((2 * numbers.double() - 1) * pixels).view(4, 2, 2, 2).numpy()
    rows, columns = np.meshgrid(np.arange(12), np.arange(9), indexing="ij")
    down, right = cubic(np.linspace(0, 1, 12)), cubic(np.linspace(0, 1, 9))
    for picture, move, got in zip(PICTURES.numpy(), moves, bent.numpy(), strict=True):
        x, y = (down @ each @ right.T for each in move)
        for channel, found in zip(picture, got, strict=True):
            wanted = ndimage.map_coordinates(np.pad(channel, 8), [rows + y + 8, columns + x + 8], order=1)
            np.testing.assert_allclose(found, wanted, atol=1e-4)


def cubic(places: np.ndarray) -> np.ndarray:
    """Weights [n, 2] of two points at places 0..1, by cubic convolution with a = -0.75 and edges that repeat."""

    def weight(distance: np.ndarray) -> np.ndarray:
        d, a = np.abs(distance), -0.75
        near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    base = np.minimum(np.floor(places), 1)
    found = np.zeros((len(places), 2))
    for offset in (-1, 0, 1, 2):
        point = np.clip(base + offset, 0, 1).astype(int)
        found[np.arange(len(places)), point] += weight(places - base - offset)
    return found


def test_points_that_all_move_alike_shift_the_picture() -> None:
    numbers = torch.full((4, 50), 0.5)
    numbers[:, :25] = 0.75  # half of 2 pixels: each pixel comes from its right neighbour
    bent = Elastic(2, grid=5)(PICTURES, numbers)
    torch.testing.assert_close(bent[..., :-1], PICTURES[..., 1:], atol=1e-5, rtol=0)
    assert float(bent[..., -1].abs().max()) < 1e-5


def test_no_move_is_no_change() -> None:
    for transform, numbers in ((Elastic(0), torch.rand(4, 50)), (Elastic(2), torch.full((4, 50), 0.5))):
        torch.testing.assert_close(transform(PICTURES, numbers), PICTURES, atol=1e-5, rtol=0)


def test_no_pixel_moves_much_farther_than_the_points() -> None:
    ramp = torch.arange(28.0).expand(1, 1, 28, 28)
    views = Views([Elastic(2)])
    keys = torch.arange(200)
    bent = views(ramp.expand(200, 1, 28, 28), keys, torch.ones(200, dtype=torch.int64))
    moved = (bent - ramp)[..., 4:-4, 4:-4]
    assert 1.5 < float(moved.abs().max()) < 2 * 1.27**2  # what cubic convolution overshoots, along both axes
    assert abs(float(moved.mean())) < 0.05


def test_its_name_says_its_settings() -> None:
    assert str(Elastic(1.5, 4)) == "elastic(pixels=1.5, grid=4)"


@pytest.mark.parametrize(
    ("options", "says"), [({"pixels": -1}, "pixels must be 0 or more"), ({"grid": 1}, "grid must be 2 or more")]
)
def test_mistakes_are_sentences(options: dict[str, int], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Elastic(**options)
    with pytest.raises(DataError, match="works on pictures"):
        Elastic()(torch.zeros(2, 5), torch.zeros(2, 50))
