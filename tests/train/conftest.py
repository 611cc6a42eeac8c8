from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.models import CNN
from limbeck.models.adapt import Adapted, Normalise
from limbeck.train.loop import Lesson

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]


@pytest.fixture
def make_lesson() -> MakeLesson:
    """Pictures of 8 x 8 whose class is the brightest third; every fourth label withheld, the last 12 validate."""

    def make(count: int = 60, views: Views | None = None, validation: int = 12) -> Lesson:
        generator = torch.Generator().manual_seed(5)
        labels = torch.randint(0, 3, (count,), generator=generator)
        inputs = torch.randint(0, 128, (count, 1, 9, 9), generator=generator)
        for row, label in enumerate(labels.tolist()):
            inputs[row, 0, 3 * label : 3 * label + 3] += 100
        samples = Samples(inputs.to(torch.uint8), labels, tuple(f"sample {i}" for i in range(count)))
        visible = labels.clone()
        visible[: count - validation : 4] = -1
        rows = torch.arange(count)
        return Lesson(samples, rows[: count - validation], rows[count - validation :], visible, views)

    return make


@pytest.fixture
def make_model() -> MakeModel:
    """A small network with batch norm and dropout."""

    def make(seed: int = 0, dropout: float = 0.3) -> Adapted:
        torch.manual_seed(seed)
        net = CNN((1, 9, 9), 3, width=2, dropout=dropout)
        return Adapted(net, classes=3, normalise=Normalise([0.4], [0.3]))

    return make
