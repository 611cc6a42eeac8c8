from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from limbeck.errors import DataError
from limbeck.robustness.corruption import SEVERITIES, Corruption
from limbeck.robustness.corruptions import CORRUPTIONS, named
from limbeck.robustness.rows import ROWS

every_corruption = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.name)


def pictures(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    """Return smooth pictures with some sharp edges, such as photos have."""
    random = torch.Generator().manual_seed(height)
    coarse = torch.rand(count, channels, 5, 5, generator=random)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True).clamp(0, 1)
    for one in smooth:
        for value in (1, 0):
            top, left = (int(torch.randint(0, length * 2 // 3, (1,), generator=random)) for length in (height, width))
            one[:, top : top + height // 4 + 1, left : left + width // 4 + 1] = value
    return smooth


def keys(count: int) -> torch.Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (count,), generator=torch.Generator().manual_seed(5))


@every_corruption
@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 8, 8), (3, 8, 9), (1, 28, 28), (3, 40, 32), (3, 224, 224)]
)
def test_pictures_of_any_size_stay_in_range_and_grow_worse(corruption, channels, height, width) -> None:
    count = 60 if height < 100 else 4
    given = pictures(count, channels, height, width)
    before, far = given.clone(), []
    for severity in SEVERITIES:
        made = corruption(given, severity, seed=0, index=keys(count))
        assert made.shape == given.shape
        assert made.dtype == given.dtype
        assert float(made.min()) >= 0
        assert float(made.max()) <= 1
        far.append(float((made - given).square().mean().sqrt()))
    assert far[0] > 0
    assert all(one < two for one, two in itertools.pairwise(far)), far
    assert torch.equal(given, before), "the pictures that are given are left alone"


@every_corruption
def test_it_is_the_same_again_in_any_batch_and_order(corruption) -> None:
    given, index = pictures(13, 3, 21, 17), keys(13)
    whole = corruption(given, 4, seed=7, index=index)
    assert torch.equal(whole, corruption(given, 4, seed=7, index=index))
    parts = [corruption(given[i : i + 3], 4, seed=7, index=index[i : i + 3]) for i in range(0, 13, 3)]
    assert torch.equal(whole, torch.cat(parts))
    order = torch.randperm(13, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole[order], corruption(given[order], 4, seed=7, index=index[order]))
    assert len(corruption(given[:0], 4, seed=7, index=index[:0])) == 0


@every_corruption
def test_chance_hangs_on_seed_and_sample(corruption) -> None:
    given = pictures(1, 1, 16, 16).expand(40, 1, 16, 16)
    made = corruption(given, 5, seed=1, index=keys(40))
    again = corruption(given, 5, seed=2, index=keys(40))
    distinct = len({tuple(one.flatten().tolist()) for one in made})
    if corruption.draws == 0:
        assert distinct == 1
        assert torch.equal(made, again)
    else:
        assert distinct >= 2
        assert not torch.equal(made, again)


def test_what_there_is() -> None:
    names = [one.name for one in CORRUPTIONS]
    assert names == [
        "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
        "gaussian_blur", "motion_blur", "defocus_blur",
        "shift", "rotate", "scale", "shear",
        "brightness", "contrast", "fog",
        "jpeg", "pixelate",
        "occlusion", "stripe",
    ]  # fmt: skip
    assert named(None, pictures=True) == CORRUPTIONS
    assert named(None, pictures=False) == ROWS


def test_names_and_families_choose() -> None:
    assert [one.name for one in named(["jpeg", "blur", "jpeg"], pictures=True)] == [
        "jpeg", "gaussian_blur", "motion_blur", "defocus_blur",
    ]  # fmt: skip
    assert [one.name for one in named(["drift"], pictures=False)] == ["drift"]


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(DataError, match=r"no corruption 'jpg' of pictures; did you mean jpeg\?"):
        named(["jpg"], pictures=True)
    with pytest.raises(DataError, match="no corruption 'gaussian_noise' of rows; there are row_noise, missing_values"):
        named(["gaussian_noise"], pictures=False)
    shift = next(one for one in CORRUPTIONS if one.name == "shift")
    with pytest.raises(DataError, match="shift: severity is a whole number from 1 to 5, but it is 6"):
        shift(pictures(2, 1, 8, 8), 6, seed=0, index=keys(2))
    with pytest.raises(DataError, match=r"shift works on pictures \[B, C, H, W\], but the shape is \[2, 5\]"):
        shift(torch.rand(2, 5), 1, seed=0, index=keys(2))


def test_a_corruption_that_leaves_the_range_is_cut() -> None:
    loud = Corruption("loud", "noise", (1, 2, 3, 4, 5), "times", 0, lambda pixels, strength, _: pixels * 9 - 4)
    made = loud(pictures(3, 1, 8, 8), 1, seed=0, index=keys(3))
    assert set(made.unique().tolist()) >= {0.0, 1.0}


def test_the_guide_names_every_corruption_and_its_strengths() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "robustness.md").read_text(encoding="utf-8")
    lines = [line for line in guide.splitlines() if line.startswith("| `") and line.count("|") == 4]  # attacks: 3
    rows = {line.split("`")[1]: line.split("|")[3] for line in lines}
    strengths = {one.name: list(one.strengths) for one in (*CORRUPTIONS, *ROWS)}
    told = {name: row for name, row in rows.items() if not name.startswith("--")}  # the others are options
    assert {name: [float(value) for value in row.split(",")] for name, row in told.items()} == strengths
