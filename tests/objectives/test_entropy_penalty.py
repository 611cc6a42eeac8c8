from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import entropy as reference

from limbeck.objectives.entropy_penalty import EntropyPenalty, entropy
from limbeck.objectives.objective import Objective
from limbeck.types import Batch, Knowledge, Outputs

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_equals_the_entropy_by_scipy() -> None:
    assert entropy(LOGITS).item() == pytest.approx(reference(LOGITS.softmax(1).numpy(), axis=1).mean())
    assert entropy(torch.zeros(3, 5)).item() == pytest.approx(math.log(5))


@pytest.mark.parametrize(("weight", "sign"), [(0.5, -1), (-0.5, 1)])
def test_a_positive_weight_sharpens_and_a_negative_one_flattens(weight: float, sign: int) -> None:
    logits = LOGITS.clone().requires_grad_(True)
    loss, _ = Objective([(weight, EntropyPenalty())])(Outputs(logits), Knowledge(), Batch(logits))
    loss.backward()
    assert logits.grad is not None
    change = entropy(logits - logits.grad) - entropy(logits)
    assert change.item() * sign > 1e-4
