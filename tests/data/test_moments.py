from __future__ import annotations

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from limbeck.data.moments import mean_and_std
from limbeck.data.samples import Samples


def samples(inputs: torch.Tensor) -> Samples:
    return Samples(inputs, torch.zeros(len(inputs)).long(), tuple(str(row) for row in range(len(inputs))))


def test_vectors_agree_with_scikit_learn() -> None:
    values = torch.randn(50, 4) * torch.tensor([1.0, 5, 0.1, 0]) + 1000
    rows = torch.arange(10, 50)
    scaler = StandardScaler().fit(values[10:].double().numpy())
    mean, std = mean_and_std(samples(values), rows)
    np.testing.assert_allclose(mean.numpy(), scaler.mean_, rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), scaler.scale_, rtol=1e-5)
    assert std[3] == 1
    assert mean.dtype == std.dtype == torch.float32


def test_pictures_are_measured_per_channel_on_the_0_to_1_scale() -> None:
    pixels = torch.randint(0, 256, (20, 3, 5, 4), dtype=torch.uint8)
    pixels[:, 2] = 7
    rows = torch.tensor([3, 1, 8, 19])
    flat = pixels[rows].numpy().transpose(1, 0, 2, 3).reshape(3, -1) / 255
    for inputs in (pixels, pixels.float() / 255):
        mean, std = mean_and_std(samples(inputs), rows)
        np.testing.assert_allclose(mean.numpy(), flat.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(std.numpy(), [*flat.std(axis=1)[:2], 1], rtol=1e-5)
