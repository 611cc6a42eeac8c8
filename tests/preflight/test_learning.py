from __future__ import annotations

import pytest
import torch
from torch import nn

import limbeck
from limbeck.preflight.cost import duration
from limbeck.preflight.neighbours import guess_by_neighbours


@pytest.fixture(scope="module")
def digits():
    return limbeck.Data.open("digits")


def small(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), *more, nn.ReLU(), nn.Linear(16, 10))


def found(data, student, **options):
    return {f.name: f for f in limbeck.check(None, student, data, device="cpu", objective=ALONE, **options)}


ALONE = limbeck.Objective([(1.0, limbeck.CrossEntropy())])


def test_bias_before_a_norm_is_exempt(digits):
    findings = found(digits, lambda: small(nn.BatchNorm1d(16)))

    assert {f.level for f in findings.values()} == {"note"}


def test_unused_head_is_a_warning(digits):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.spare = small(), nn.Linear(3, 3)

        def forward(self, x):
            return self.body(x)

    assert found(digits, Two)["gradient"].level == "warning"


def test_student_that_cannot_be_trained_gets_a_sentence(digits):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = small()

        def forward(self, x):
            if self.training:
                raise RuntimeError("not today")
            return self.body(x)

    assert "The student cannot be trained: RuntimeError: not today." in {
        f.sentence for f in found(digits, Broken).values()
    }


def test_frozen_student_is_a_fault(digits):
    assert found(digits, small().requires_grad_(False))["frozen"].level == "fault"


@pytest.mark.parametrize(("seconds", "words"), [(0.1, "1 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")])
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_neighbours_know_digits(digits):
    rows = digits.train[:500]
    batch = digits.pool.batch(rows)

    right = guess_by_neighbours(batch.inputs, batch.labels) == batch.labels

    assert float(right.float().mean()) > 0.9


@pytest.mark.parametrize(("count", "warned"), [(60, False), (600, True)])
def test_a_few_pictures_without_likeness_say_nothing_about_labels(count, warned):
    dice = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (count, 3, 8, 8), generator=dice, dtype=torch.uint8)
    labels = torch.arange(count) % 2
    net = lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2))  # noqa: E731
    findings = found(limbeck.Data.from_arrays((pictures, labels)), net)

    assert ("labels" in findings) is warned
