"""Errors and R2 against scikit-learn, and the values that they are means of against leaving samples out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from limbeck.evaluate.regression import absolute_errors, r2_values, squared_errors


def drawn(seed: int, count: int = 40, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.normal(size=(count, columns)) * [1, 10, 100][:columns] + 5
    return truth + random.normal(size=truth.shape) * [0.5, 8, 30][:columns], truth


@pytest.mark.parametrize("columns", [1, 3])
def test_figures_are_those_of_scikit_learn(columns: int) -> None:
    predicted, truth = drawn(0, columns=columns)
    assert squared_errors(predicted, truth).mean() == pytest.approx(mean_squared_error(truth, predicted))
    assert absolute_errors(predicted, truth).mean() == pytest.approx(mean_absolute_error(truth, predicted))
    assert r2_values(predicted, truth).mean() == pytest.approx(r2_score(truth, predicted))


def test_r2_values_differ_by_what_leaving_a_sample_out_changes() -> None:
    predicted, truth = drawn(1, count=12)
    left = np.array([r2_score(np.delete(truth, n, 0), np.delete(predicted, n, 0)) for n in range(12)])
    values = r2_values(predicted, truth)
    np.testing.assert_allclose(values - values.mean(), -11 * (left - left.mean()), atol=1e-9)


def test_edges() -> None:
    same = np.full((5, 1), 3.0)
    assert r2_values(same + 1, same).tolist() == [0.0] * 5, "there is no variance to explain"
    assert r2_values(np.ones((1, 2)), np.zeros((1, 2))).tolist() == [0.0]
    with pytest.raises(ValueError, match="one shape"):
        squared_errors(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="diverge"):
        squared_errors(np.full((2, 1), np.nan), np.zeros((2, 1)))
