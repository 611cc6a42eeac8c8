"""Answers as they are kept, and what comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from limbeck.errors import ModelError
from limbeck.knowledge.form import TEMPERATURES, Dense, Form, Top, form_for


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 100))
def test_the_top_and_the_sum_of_the_others(classes: int, k: int, seed: int) -> None:
    k = min(k, classes)
    logits = torch.randn(5, classes, generator=torch.manual_seed(seed)) * 8
    form = Top(k, TEMPERATURES)
    found = form.knowledge(form.columns(logits)).topk
    assert found is not None
    rounded = logits.half().double().numpy()
    order = np.sort(rounded, axis=1)[:, ::-1]
    assert np.array_equal(found.values.double().numpy(), order[:, :k])
    assert np.array_equal(np.take_along_axis(rounded, found.classes.numpy(), axis=1), order[:, :k])
    for temperature, tail in found.tails.items():
        others = logsumexp(order[:, k:] / temperature, axis=1) if k < classes else np.full(5, -np.inf)
        np.testing.assert_allclose(tail.numpy(), others, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [Dense(7), Top(3, (1.0, 4.0)), Top(7, (2.0,))])
def test_records_give_the_columns_back(form: Form) -> None:
    columns = form.columns(torch.randn(9, 7))
    records = form.records(torch.arange(9), columns)
    assert records.dtype.itemsize == form.bytes_per_row + 8
    assert records["name"].tolist() == list(range(9))
    assert all(torch.equal(a, b) for a, b in zip(form.columns_of(records), columns, strict=True))


def test_which_form() -> None:
    plain = {"all_logits": False, "top_k": None, "temperatures": TEMPERATURES}
    assert form_for(1000, **plain) == Dense(1000)  # type: ignore[arg-type]
    assert form_for(1001, **plain) == Top(32, TEMPERATURES)  # type: ignore[arg-type]
    assert form_for(1001, **(plain | {"all_logits": True})) == Dense(1001)  # type: ignore[arg-type]
    assert form_for(10, **(plain | {"top_k": 4})) == Top(4, TEMPERATURES)  # type: ignore[arg-type]
    assert form_for(10, **(plain | {"top_k": 40})) == Top(10, TEMPERATURES)  # type: ignore[arg-type]
    assert form_for(10, **(plain | {"top_k": 4, "all_logits": True})) == Dense(10)  # type: ignore[arg-type]


def test_numbers_that_fp16_cannot_hold() -> None:
    with pytest.raises(
        ModelError, match=r"reach 7e\+04, more than a kept answer can hold \(65,504\); set knowledge.mo"
    ):
        Dense(2).columns(torch.tensor([[1.0, -70000.0]]))
    with pytest.raises(ModelError, match="not finite numbers"):
        Top(1, (1.0,)).columns(torch.tensor([[1.0, float("nan")]]))
    assert Dense(2).columns(torch.tensor([[65504.0, 1e-9]]))[0].tolist() == [[65504.0, 0.0]]
