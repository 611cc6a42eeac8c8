from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from limbeck.errors import DataError
from limbeck.robustness.corruption import SEVERITIES
from limbeck.robustness.rows import ROWS

OF = {one.name: one for one in ROWS}
DEVIATION = torch.tensor([0.5, 1.0, 2.0, 10.0, 0.0, 3.0, 1.0, 1.0, 1.0, 1.0])
VALUES = torch.randn(300, 10, generator=torch.Generator().manual_seed(0)) * DEVIATION
INDEX = torch.randint(-(2**63), 2**63 - 1, (300,), generator=torch.Generator().manual_seed(1))


def made(name: str, severity: int, rows: slice = slice(None), seed: int = 0) -> torch.Tensor:
    return OF[name](VALUES[rows], severity, deviation=DEVIATION, seed=seed, index=INDEX[rows])


@pytest.mark.parametrize("name", OF)
def test_it_is_the_same_in_any_batch_and_grows_worse(name) -> None:
    whole = made(name, 3)
    parts = torch.cat([made(name, 3, slice(i, i + 77)) for i in range(0, 300, 77)])
    torch.testing.assert_close(whole, parts, rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(whole.nan_to_num(99), made(name, 3, seed=1).nan_to_num(99))
    far = [(made(name, severity).nan_to_num(30) - VALUES).abs().mean() for severity in SEVERITIES]
    assert far[0] > 0
    assert all(one <= two for one, two in itertools.pairwise(far))
    assert far[0] < far[-1]


def test_noise_is_in_deviations_of_the_column() -> None:
    noise = (made("row_noise", 4) - VALUES)[:, DEVIATION > 0] / DEVIATION[DEVIATION > 0]
    assert stats.kstest(noise.numpy().ravel() / 0.7, "norm").pvalue > 0.01
    assert torch.equal(made("row_noise", 4)[:, 4], VALUES[:, 4])


def test_missing_values_are_a_share_of_all() -> None:
    assert float(made("missing_values", 5).isnan().float().mean()) == pytest.approx(0.5, abs=0.03)
    each = made("missing_values", 5).isnan().float().mean(0).numpy()
    np.testing.assert_allclose(each, 0.5, atol=0.12)


def test_dropped_columns_are_dropped_in_every_row() -> None:
    for severity, count in zip(SEVERITIES, (1, 1, 2, 4, 5), strict=True):
        lost = made("dropped_columns", severity).isnan()
        assert bool((lost.all(0) | ~lost.any(0)).all())
        assert int(lost[0].sum()) == count


def test_drift_moves_each_column_by_its_deviation() -> None:
    moved = (made("drift", 5) - VALUES)[:, DEVIATION > 0] / DEVIATION[DEVIATION > 0]
    torch.testing.assert_close(moved.abs(), torch.ones_like(moved), atol=1e-4, rtol=0)
    assert len(moved.sign().unique(dim=0)) == 1
    assert set(moved[0].round().tolist()) == {-1, 1}


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(DataError, match="drift: severity is a whole number from 1 to 5, but it is 0"):
        made("drift", 0)
    with pytest.raises(DataError, match=r"drift works on rows \[B, D\] with a deviation for each column"):
        OF["drift"](VALUES, 1, deviation=DEVIATION[:3], seed=0, index=INDEX)
