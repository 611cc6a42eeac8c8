"""Corruptions against SciPy, Pillow or a slow way of saying the same."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats

from limbeck.robustness.blur import BLUR, disc
from limbeck.robustness.colour import COLOUR
from limbeck.robustness.corruption import draw, sign
from limbeck.robustness.cover import COVER
from limbeck.robustness.digital import DIGITAL
from limbeck.robustness.geometry import GEOMETRY
from limbeck.robustness.noise import NOISE

OF = {one.name: one for one in (*NOISE, *BLUR, *GEOMETRY, *COLOUR, *DIGITAL, *COVER)}
INDEX = torch.arange(6) * 7919
PICTURES = torch.rand(6, 3, 20, 25, generator=torch.Generator().manual_seed(3))


def made(name: str, severity: int = 4, pixels: torch.Tensor = PICTURES) -> np.ndarray:
    index = torch.arange(len(pixels)) * 7919
    return OF[name](pixels, severity, seed=3, index=index).double().numpy()


def numbers(name: str) -> list[list[float]]:
    return draw(f"3/{name}", OF[name].draws, INDEX).tolist()


def strength(name: str, severity: int = 4) -> float:
    return OF[name].strengths[severity - 1]


def test_gaussian_blur_equals_scipy() -> None:
    deviation = strength("gaussian_blur") * 20
    expected = ndimage.gaussian_filter(PICTURES.double().numpy(), (0, 0, deviation, deviation), mode="nearest")
    np.testing.assert_allclose(made("gaussian_blur"), expected, atol=1e-6)


def test_defocus_equals_scipy() -> None:
    weights = disc(0.5 + strength("defocus_blur") * 20)
    expected = ndimage.correlate(PICTURES.double().numpy(), weights[None, None], mode="nearest")
    np.testing.assert_allclose(made("defocus_blur"), expected, atol=1e-6)


def test_a_disc_covers_its_area() -> None:
    weights = disc(3.0)
    assert weights.sum() == pytest.approx(1)
    assert weights[3, 3] == pytest.approx(1 / (math.pi * 9), rel=0.01)
    np.testing.assert_allclose(weights, weights.T)
    assert disc(0.5).shape == (1, 1)


def test_motion_blur_equals_pictures_moved_by_scipy() -> None:
    length = strength("motion_blur") * 20
    taps = 2 * math.ceil(length / 2) + 1
    for picture, one, (angle,) in zip(
        PICTURES.double().numpy(), made("motion_blur"), numbers("motion_blur"), strict=True
    ):
        way = np.array([math.sin(math.pi * angle), math.cos(math.pi * angle)])
        moved = [
            ndimage.shift(picture, (0, *(-way * far)), order=1, mode="nearest")
            for far in np.linspace(-length / 2, length / 2, taps)
        ]
        np.testing.assert_allclose(one, np.mean(moved, axis=0), atol=1e-5)


def test_shift_equals_scipy() -> None:
    far = strength("shift") * 20
    for picture, one, (angle,) in zip(PICTURES.double().numpy(), made("shift"), numbers("shift"), strict=True):
        way = 0, -far * math.sin(2 * math.pi * angle), -far * math.cos(2 * math.pi * angle)
        np.testing.assert_allclose(one, ndimage.shift(picture, way, order=1, mode="nearest"), atol=1e-5)


@pytest.mark.parametrize("name", ["rotate", "scale", "shear"])
def test_turns_equal_scipy(name) -> None:
    value = strength(name)
    for picture, one, (number,) in zip(PICTURES.double().numpy(), made(name), numbers(name), strict=True):
        way = -1 if number < 0.5 else 1
        angle = math.radians(way * value)
        matrix = {  # of (y, x): where the pixel comes from
            "rotate": [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]],
            "scale": [[value**way, 0], [0, value**way]],
            "shear": [[1, 0], [way * value, 1]],
        }[name]
        middle = np.array([9.5, 12.0])
        for plane, found in zip(picture, one, strict=True):
            expected = ndimage.affine_transform(
                plane, np.array(matrix), middle - np.array(matrix) @ middle, order=1, mode="nearest"
            )
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gaussian_noise_is_normal_and_speckle_grows_with_the_pixel() -> None:
    grey = torch.full((40, 1, 20, 20), 0.5)
    noise = (made("gaussian_noise", 1, grey) - 0.5) / strength("gaussian_noise", 1)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    speckle = (made("speckle_noise", 1, grey) - 0.5) / (0.5 * strength("speckle_noise", 1))
    assert stats.kstest(speckle.ravel(), "norm").pvalue > 0.01
    assert not made("speckle_noise", 5, torch.zeros(2, 1, 8, 8)).any()


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_shot_noise_counts_as_poisson_does(severity) -> None:
    rate = strength("shot_noise", severity)
    level = 100 / 255
    counts = np.round(made("shot_noise", severity, torch.full((60, 1, 30, 30), level)) * rate).ravel()
    below = counts < rate  # a pixel cannot be brighter than 1
    values = np.arange(int(rate))
    expected = stats.poisson.pmf(values, rate * level)
    seen = np.array([(counts[below] == value).mean() * below.mean() for value in values])
    np.testing.assert_allclose(seen, expected, atol=0.008)
    assert not made("shot_noise", 5, torch.zeros(2, 1, 8, 8)).any()


def test_impulse_noise_hits_its_share_with_black_and_white_alike() -> None:
    hit = made("impulse_noise", 5, torch.full((60, 1, 20, 20), 0.5))
    share = strength("impulse_noise", 5)
    assert (hit == 0).mean() == pytest.approx(share / 2, abs=0.006)
    assert (hit == 1).mean() == pytest.approx(share / 2, abs=0.006)
    assert set(np.unique(hit)) == {0, 0.5, 1}


def test_brightness_and_contrast_equal_their_formulas() -> None:
    given = PICTURES.double().numpy()
    ways = sign(draw("3/brightness", 1, INDEX))[:, :, None, None].numpy()
    assert set(ways.ravel()) == {-1, 1}
    np.testing.assert_allclose(made("brightness"), np.clip(given + ways * strength("brightness"), 0, 1), atol=1e-6)
    mean = given.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(made("contrast"), mean + (given - mean) * (1 - strength("contrast")), atol=1e-4)


def test_fog_equals_grids_interpolated_by_scipy() -> None:
    share = strength("fog")
    for picture, one, drawn in zip(PICTURES.double().numpy(), made("fog"), numbers("fog"), strict=True):
        cloud, first = np.zeros((20, 25)), 0
        for cells, height in ((2, 4 / 7), (4, 2 / 7), (8, 1 / 7)):
            grid = np.array(drawn[first : first + (cells + 1) ** 2]).reshape(cells + 1, cells + 1)
            places = np.meshgrid(np.linspace(0, cells, 20), np.linspace(0, cells, 25), indexing="ij")
            cloud += height * ndimage.map_coordinates(grid, places, order=1)
            first += (cells + 1) ** 2
        np.testing.assert_allclose(one, picture * (1 - share) + (0.4 + 0.6 * cloud) * share, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_equals_pillow(channels) -> None:
    given = (PICTURES[:, :channels] * 255).round() / 255
    for picture, one in zip(given, made("jpeg", 4, given), strict=True):
        whole = (picture * 255).round().byte().permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(whole if channels == 3 else whole[:, :, 0]).save(file, "JPEG", quality=10)
        read = np.asarray(Image.open(file)).reshape(20, 25, channels)
        np.testing.assert_array_equal(np.round(one.transpose(1, 2, 0) * 255), read)


def test_four_channels_are_stored_one_by_one() -> None:
    given = torch.rand(2, 4, 9, 9)
    found = made("jpeg", 2, given)
    np.testing.assert_array_equal(found[:, 2:3], made("jpeg", 2, given[:, 2:3]))


def test_pixelate_shows_means_of_blocks() -> None:
    given = PICTURES[:, :, :, :24]
    blocks = given.double().numpy().reshape(6, 3, 10, 2, 12, 2).mean((3, 5))
    np.testing.assert_allclose(made("pixelate", 3, given), blocks.repeat(2, 2).repeat(2, 3), atol=1e-6)


def test_pixelate_divides_pixels_that_lie_on_a_line() -> None:
    row = torch.tensor([0.0, 0.9, 0.3]).expand(2, 1, 8, 3)
    found = made("pixelate", 2, row)  # 3 pixels, 2 cells of 1.5
    left, right = (0 + 0.9 / 2) / 1.5, (0.9 / 2 + 0.3) / 1.5
    np.testing.assert_allclose(found[:, 0], np.tile([left, (left + right) / 2, right], (2, 8, 1)), atol=1e-6)


def test_occlusion_covers_its_share_of_the_area_with_grey() -> None:
    share = strength("occlusion")
    found = made("occlusion", 4, torch.zeros(40, 1, 20, 30))
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0.5 * share**2, rtol=1e-4)
    middles = [ndimage.center_of_mass(one[0]) for one in found]
    assert np.std([y for y, _ in middles]) > 1
    assert np.std([x for _, x in middles]) > 1
    assert found.max() <= 0.5


def test_stripe_inverts_a_band_of_its_width() -> None:
    found = made("stripe", 4, torch.zeros(200, 1, 40, 40))[:, 0]
    for one, (angle, offset) in zip(found, draw("3/stripe", 2, torch.arange(200) * 7919).tolist(), strict=True):
        along = math.pi * angle
        y, x = np.mgrid[:40, :40] - 19.5
        away = np.abs(x * math.cos(along) + y * math.sin(along) - (offset - 0.5) * 20)
        width = strength("stripe") * 40
        assert (one[away < width / 2 - 0.5] > 0.999).all()
        assert (one[away > width / 2 + 0.5] < 0.001).all()
