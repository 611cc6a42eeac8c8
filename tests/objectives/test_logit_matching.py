from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.objectives.logit_matching import LogitMatching
from limbeck.types import Batch, Knowledge, Outputs


@pytest.mark.parametrize("classes", [2, 50])
def test_is_half_the_squared_distance_never_divided_by_the_classes(classes: int) -> None:
    random = np.random.default_rng(classes)
    student, teacher = random.normal(size=(7, classes)), random.normal(size=(7, classes))
    value = LogitMatching()(
        Outputs(torch.from_numpy(student)), Knowledge(logits=torch.from_numpy(teacher)), Batch(torch.zeros(7, 1))
    )
    assert value.item() == pytest.approx(np.mean([np.linalg.norm(s - t) ** 2 / 2 for s, t in zip(student, teacher)]))
