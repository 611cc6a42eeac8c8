"""Frames, teachers and guides for tests, small and untrained."""

from __future__ import annotations

import torch

from limbeck.models.adapt import Adapted
from limbeck.models.cnn import CNN
from limbeck.models.mlp import MLP
from limbeck.models.stages import stages_of
from limbeck.synthesis.contrastive import Memory
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.statistics import known_moments
from limbeck.synthesis.weights import Weights

EVERY = Weights(1, 1, 0.1, 1, 0.5, 0.1, 0.1, 0.1)


def pictures(channels: int = 1, height: int = 8, width: int = 8) -> Frame:
    return Frame((channels, height, width), True, torch.full((channels,), 0.3), torch.full((channels,), 0.4))


def features(count: int = 6) -> Frame:
    return Frame((count,), False, torch.arange(count).float(), torch.ones(count) + torch.arange(count))


def guide_for(frame: Frame, weights: Weights = EVERY, *, seed: int = 0) -> Guide:
    """Return a guide with an untrained teacher of 3 classes, batch norms where the samples are pictures."""
    torch.manual_seed(seed)
    nets = [
        CNN(frame.shape, 3, width=4, depth=1) if frame.pictures else MLP(frame.shape, 3, hidden=(8,)) for _ in range(2)
    ]
    teacher, student = (Adapted(net, classes=3).eval().requires_grad_(False) for net in nets)
    layer = stages_of(teacher, torch.zeros(2, *frame.shape))[-1]
    teacher.listen_to((layer,))
    memory = Memory(20, 4 if frame.pictures else 8)
    return Guide(teacher, weights, known_moments(teacher), layer, student, memory)
