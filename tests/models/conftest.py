from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from limbeck.export.graph import export_graph
from limbeck.export.parity import check_parity
from limbeck.export.trace import Kind, trace_graph
from limbeck.models.adapt import Adapted, Normalise

CLASSES = 3


@pytest.fixture
def export(tmp_path: Path) -> Callable[[nn.Module, tuple[int, ...], Kind], onnx.ModelProto]:
    """Export a net of 3 classes, check that the file gives its answers at several batch sizes, and return the graph."""

    def exported(net: nn.Module, shape: tuple[int, ...], kind: Kind) -> onnx.ModelProto:
        torch.manual_seed(0)
        for _ in range(3):  # moves the statistics of batch norm
            net(torch.randn(16, *shape))
        size = shape[:1] if kind == "image" else shape
        model = Adapted(net, classes=CLASSES, normalise=Normalise(torch.rand(size), torch.rand(size) + 0.5))
        samples = torch.randint(0, 256, (9, *shape)).to(torch.uint8) if kind == "image" else torch.randn(9, *shape)
        path = tmp_path / "net.onnx"
        trace = trace_graph(model, shape=shape, kind=kind)
        export_graph(model, path, shape=shape, kind=kind, trace=trace)
        found = check_parity(model, path, samples)
        assert found["agreement"] == 1 and found["parity_batches"] == [1, 2, 7]
        proto = onnx.load(path)
        assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        return proto

    return exported


@pytest.fixture
def losses() -> Callable[[nn.Module, tuple[int, ...]], list[float]]:
    """Train a net of 3 classes for 12 steps on 24 samples, classed by their sum; return the loss before each step."""

    def trained(net: nn.Module, shape: tuple[int, ...]) -> list[float]:
        torch.manual_seed(0)
        inputs = torch.randn(24, *shape)
        labels = inputs.flatten(1).sum(1).argsort().argsort() // 8
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        found: list[float] = []
        for _ in range(12):
            loss = nn.functional.cross_entropy(net(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
        return found

    return trained


@pytest.fixture
def silent() -> Callable[[nn.Module, tuple[int, ...]], list[str]]:
    """Return the names of the parameters of a net that a loss on 8 random samples gives no gradient at all."""

    def without_gradient(net: nn.Module, shape: tuple[int, ...]) -> list[str]:
        torch.manual_seed(0)
        net(torch.randn(8, *shape)).square().sum().backward()
        return [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]

    return without_gradient
