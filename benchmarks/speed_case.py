"""The distillation that benchmarks/speed.py times: two networks, data, settings. Needs PyTorch alone.

Shapes: N samples, B of them in a batch, 10 classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

TEACHER, STUDENT = (48, 96, 96, 192, 192), (16, 32, 32, 64, 64)
STRIDES = (1, 2, 1, 2, 1)
TEMPERATURE, SOFT = 4.0, 0.9
BATCH, RATE, DECAY = 128, 0.003, 0.01
MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels, 0..1


def network(widths: Sequence[int]) -> nn.Sequential:
    """Return five blocks of 3 x 3 convolution, batch norm and ReLU, a mean over space, and a linear layer."""
    layers: list[nn.Module] = []
    channels = 1
    for width, stride in zip(widths, STRIDES, strict=True):
        layers.append(nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


@dataclass(frozen=True)
class Case:
    """MNIST as uint8 [N, 1, 28, 28] with int64 labels [N], for training and for testing, and a trained teacher."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    teacher: nn.Sequential

    def save(self, path: Path) -> None:
        """Write it as one file of arrays."""
        weights = {f"teacher/{name}": value.numpy() for name, value in self.teacher.state_dict().items()}
        own = {name: getattr(self, name).numpy() for name in ("images", "labels", "test_images", "test_labels")}
        np.savez(path, **own, **weights)

    @classmethod
    def load(cls, path: Path) -> Case:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        teacher = network(TEACHER)
        teacher.load_state_dict(
            {name.removeprefix("teacher/"): arrays.pop(name) for name in list(arrays) if name.startswith("teacher/")}
        )
        return cls(**arrays, teacher=teacher.eval())


def normalised(images: Tensor) -> Tensor:
    """Return pictures as a network of this case takes them, float32."""
    return images.float().div_(255).sub_(MEAN).div_(STD)


def loss_of(logits: Tensor, taught: Tensor, labels: Tensor) -> Tensor:
    """Return 0.9 T^2 KL(teacher || student) at T 4 + 0.1 cross-entropy, of logits [B, 10] and labels [B]."""
    target = torch.log_softmax(taught / TEMPERATURE, dim=1)
    mine = torch.log_softmax(logits / TEMPERATURE, dim=1)
    soft = functional.kl_div(mine, target, reduction="batchmean", log_target=True) * TEMPERATURE**2
    return SOFT * soft + (1 - SOFT) * functional.cross_entropy(logits, labels)


def rate(step: int, total: int) -> float:
    """Return the learning rate of a step: up to 0.003 by half a cosine over the first 30 %, down to 0 after."""
    done = step / total
    if done < 0.3:
        return RATE * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * done / 0.3)) / 2)
    return RATE * (1 + math.cos(math.pi * (done - 0.3) / 0.7)) / 2


@torch.no_grad()
def accuracy(net: nn.Module, case: Case) -> float:
    """Return the share of test pictures that a network gets right, in float32."""
    net.eval()
    hits = [
        (net(normalised(images)).argmax(1) == labels).sum()
        for images, labels in zip(case.test_images.split(500), case.test_labels.split(500), strict=True)
    ]
    return int(sum(hits)) / len(case.test_labels)
