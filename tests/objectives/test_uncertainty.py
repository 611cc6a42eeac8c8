"""Weights of tasks by their uncertainty, against the formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from limbeck.data.further import FurtherTask
from limbeck.objectives import CrossEntropy, SoftLabels, WeightPenalty
from limbeck.objectives.objective import Objective
from limbeck.objectives.of_task import OfTask
from limbeck.objectives.uncertainty import Uncertainty
from limbeck.types import Batch, Knowledge, Outputs

PARITY = FurtherTask("parity", ("even", "odd"), torch.tensor([0, 1, 0, 1, -1]))


def slow(logits: np.ndarray, labels: list[int]) -> float:
    """Cross-entropy, row by row."""
    return float(
        np.mean([math.log(sum(math.exp(one) for one in row)) - row[y] for row, y in zip(logits, labels, strict=True)])
    )


def objective_of() -> Objective:
    pairs = [(0.5, CrossEntropy()), (2.0, OfTask(CrossEntropy(), PARITY)), (3.0, CrossEntropy())]
    return Objective(pairs, balance="uncertainty")


def shown(seed: int = 0, count: int = 5) -> tuple[Outputs, Batch]:
    draw = torch.Generator().manual_seed(seed)
    main, other = (torch.randn(count, size, generator=draw, dtype=torch.float64).requires_grad_() for size in (4, 2))
    labels = torch.randint(0, 4, (count,), generator=draw)
    return Outputs(logits=main, heads={"parity": other}), Batch(torch.zeros(count, 1), labels)


@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 20))
def test_loss_and_gradients_are_those_of_the_formula(main: float, parity: float, seed: int) -> None:
    objective, (outputs, batch) = objective_of(), shown(seed)
    assert objective.uncertainty is not None and batch.labels is not None
    objective.uncertainty.log_variances.data = torch.tensor([main, parity], dtype=torch.float64)
    loss, parts = objective(outputs, Knowledge(), batch)
    labels = batch.labels.tolist()
    first = slow(outputs.logits.detach().numpy(), labels)
    second = slow(outputs.heads["parity"].detach().numpy(), [one % 2 for one in labels])
    wanted = math.exp(-main) * 3.5 * first + main + math.exp(-parity) * 2 * second + parity
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-6)
    assert [float(one) for one in parts.values()] == pytest.approx([first, second, first], rel=1e-6)
    loss.backward()
    found = objective.uncertainty.log_variances.grad
    assert found is not None
    slopes = [1 - math.exp(-main) * 3.5 * first, 1 - math.exp(-parity) * 2 * second]
    assert found.tolist() == pytest.approx(slopes, rel=1e-5, abs=1e-6)


def test_it_starts_as_a_plain_sum_and_settles_where_each_task_weighs_one() -> None:
    objective, (outputs, batch) = objective_of(), shown(1)
    assert objective.uncertainty is not None
    plain = Objective([(weight, term) for weight, term in zip(objective.weights, objective.terms, strict=True)])
    torch.testing.assert_close(objective(outputs, Knowledge(), batch)[0], plain(outputs, Knowledge(), batch)[0])
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        loss, parts = objective(outputs, Knowledge(), batch)
        loss.backward()
        optimizer.step()
    main, parity, again = (float(one) for one in parts.values())
    learned = objective.learned["uncertainty"]
    assert learned["main"] * (0.5 * main + 3 * again) == pytest.approx(1, rel=1e-3)
    assert learned["parity"] * 2 * parity == pytest.approx(1, rel=1e-3)


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    objective, (outputs, batch) = objective_of(), shown(2, 6)
    assert objective.uncertainty is not None and batch.labels is not None
    objective.uncertainty.log_variances.data += 0.7
    whole = objective(outputs, Knowledge(), batch)[0]
    total: Tensor | float = 0.0
    for part, share in ((slice(0, 2), 1 / 3), (slice(2, 6), 2 / 3)):
        some = Outputs(logits=outputs.logits[part], heads={"parity": outputs.heads["parity"][part]})
        few = Batch(batch.inputs[part], batch.labels[part])
        total = total + objective(some, Knowledge(), few, torch.full((3,), share))[0]
    torch.testing.assert_close(total, whole)


def test_terms_on_shared_weights_belong_to_the_main_task_and_the_sum_says_how_it_is_weighed() -> None:
    objective = Objective([(1.0, WeightPenalty()), (1.0, OfTask(SoftLabels(), PARITY))], balance="uncertainty")
    assert objective.uncertainty is not None and objective.uncertainty.tasks == ("main", "parity")
    assert objective.describe().endswith(", tasks weighed by uncertainty")
    assert sorted(name for name, _ in objective.named_parameters()) == ["uncertainty.log_variances"]
    assert objective.at_peak().uncertainty is None
    assert Uncertainty(["main", "parity", "main"]).factors().tolist() == [1, 1, 1]
