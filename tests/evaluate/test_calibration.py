"""Temperature fitting against planted temperatures and a grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax

from limbeck.evaluate.calibration import fit_temperature, softmax


def drawn(temperature: float, samples: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = 3.0 * generator.normal(size=(samples, 5))
    chances = scipy_softmax(logits / temperature, axis=1)
    labels = (chances.cumsum(axis=1) < generator.random((samples, 1))).sum(axis=1)
    return logits, np.minimum(labels, 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_planted_temperature_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.08)


def test_no_other_temperature_is_better() -> None:
    logits, labels = drawn(1.7, samples=300)

    def nll(temperature: float) -> float:
        return -np.log(scipy_softmax(logits / temperature, axis=1)[np.arange(300), labels]).mean()

    best = nll(fit_temperature(logits, labels))
    assert best <= min(nll(t) for t in np.geomspace(0.05, 20, 400)) + 1e-6


def test_of_very_many_logits_some_rows_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = drawn(2.0, samples=9000)
    whole = fit_temperature(logits, labels)
    monkeypatch.setattr("limbeck.evaluate.calibration.MOST_LOGITS", 5 * 3000)
    some = fit_temperature(logits, labels)
    assert some == fit_temperature(logits[::3], labels[::3]) != whole
    assert some == pytest.approx(whole, rel=0.05)


def test_few_rows_leave_the_temperature_alone() -> None:
    logits, labels = drawn(3.0, samples=49)
    assert fit_temperature(logits, labels) == 1.0


def test_faultless_and_hopeless_models_stay_within_bounds() -> None:
    labels = np.arange(60) % 3
    assert 0.05 <= fit_temperature(np.eye(3)[labels] * 50, labels) < 20
    assert 10 < fit_temperature(np.eye(3)[(labels + 1) % 3] * 50, labels) <= 20


@settings(max_examples=30)
@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6), st.floats(0.05, 20))
def test_softmax_is_scipys_and_sums_to_one(row: list[float], temperature: float) -> None:
    logits = np.array([row])
    chances = softmax(logits, temperature)
    np.testing.assert_allclose(chances, scipy_softmax(logits / temperature, axis=1), atol=1e-12)
    assert chances.sum() == pytest.approx(1.0)


def test_softmax_of_half_precision_is_computed_in_double() -> None:
    assert softmax(np.array([[1.0, 2.0]], dtype=np.float16)).dtype == np.float64


def test_wrong_arguments_are_explained() -> None:
    with pytest.raises(ValueError, match="temperature above 0; got 0"):
        softmax(np.zeros((1, 2)), 0.0)
    with pytest.raises(ValueError, match="labels"):
        fit_temperature(np.zeros((3, 2)), np.zeros(2, dtype=int))
    with pytest.raises(ValueError, match="row 1 is not"):
        fit_temperature(np.array([[0.0, 1.0], [np.inf, 0.0]]), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"0\.\.1; got -1 to 0"):
        fit_temperature(np.zeros((2, 2)), np.array([0, -1]))
