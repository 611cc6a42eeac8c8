"""A small network that knows the digits, and digits that it has not seen.

Shapes: n samples, 1 channel of 8 x 8 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Victim:
    """model: from pictures in 0..1 to logits, in training mode, with batch norm and dropout; other: one that was
    trained on the same; inputs, labels: of the test half."""

    model: nn.Module
    other: nn.Module
    inputs: Tensor
    labels: Tensor

    def accuracy(self, inputs: Tensor) -> float:
        """Return the share of the samples whose attacked inputs are still given their label."""
        return float((_said(self.model, inputs) == self.labels).double().mean())


def _said(model: nn.Module, inputs: Tensor) -> Tensor:
    before = model.training
    with torch.no_grad():
        said = model.eval()(inputs).argmax(1)
    model.train(before)
    return said


def _trained(inputs: Tensor, labels: Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(256, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    return net


@pytest.fixture(scope="session")
def victim() -> Victim:
    digits = load_digits()
    inputs = torch.from_numpy(digits.images).float()[:, None] / 16
    labels = torch.from_numpy(digits.target).long()
    with torch.random.fork_rng():
        model, other = (_trained(inputs[::2], labels[::2], seed) for seed in (0, 1))
    return Victim(model, other, inputs[1:801:2], labels[1:801:2])
