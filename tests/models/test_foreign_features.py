"""Networks of other libraries are listened to as they are, whatever their modules return."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from limbeck.models.adapt import Adapted
from limbeck.models.stages import stages_of


def stages(net: nn.Module, side: int) -> list[tuple[int, ...]]:
    """Return the shapes of the layers that auto may take, without the batch; the last layer's gradient arrives."""
    model, inputs = Adapted(net, classes=5).train(), torch.rand(2, 3, side, side)
    model.listen_to(stages_of(model, inputs))
    outputs = model(inputs)
    list(outputs.features.values())[-1].sum().backward()
    assert any(one.grad is not None and bool(one.grad.any()) for one in net.parameters())
    return [tuple(value.shape[1:]) for value in outputs.features.values()]


def test_a_vision_transformer_of_transformers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        config = transformers.ViTConfig(
            hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
            num_labels=5,
        )  # fmt: skip
        assert stages(transformers.ViTForImageClassification(config), 8) == [(5, 8)] * 3


def test_a_residual_network_of_transformers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 2], num_labels=5)
        found = stages(transformers.ResNetForImageClassification(config), 32)
    assert found == [(4, 8, 8), (8, 4, 4), (8,)]


def test_networks_of_timm_and_torchvision() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=(ImportError, RuntimeError))
        found = stages(timm.create_model("test_resnet", num_classes=5), 32)
    assert found == [(32, 16, 16), (32, 8, 8), (48, 4, 4), (192, 2, 2), (96, 1, 1), (96,)]
