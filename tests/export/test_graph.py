from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn

from limbeck.errors import ExportError
from limbeck.export.graph import export_graph
from limbeck.export.trace import Trace, architecture, trace_graph
from limbeck.models.adapt import Adapted, Normalise

SHAPE = (1, 8, 8)


def lenet(seed: int = 0) -> Adapted:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Conv2d(6, 12, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(48, 10),
    )
    model = Adapted(net, classes=10, normalise=Normalise([0.3], [0.4]))
    for _ in range(3):  # moves the batch norm's statistics away from 0 and 1
        model(torch.rand(16, *SHAPE))
    return model


def pixels(count: int = 7, seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, *SHAPE), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def answers(path: Path, **inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return tuple(session.run(["logits", "probabilities"], inputs))


def expected(model: Adapted, inputs: Tensor) -> np.ndarray:
    training = model.training
    with torch.no_grad():
        logits = model.eval()(inputs).logits.numpy()
    model.train(training)
    return logits


@pytest.fixture(scope="module")
def trace() -> Trace:
    return trace_graph(lenet(), shape=SHAPE, kind="image")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_raw_pixels_give_the_logits_of_the_model_in_eval_mode(tmp_path: Path, trace: Trace, count: int) -> None:
    model = lenet().train()
    path = tmp_path / "student.onnx"
    export_graph(model, path, shape=SHAPE, kind="image", temperature=2.5, trace=trace)
    raw = pixels(count)
    logits, probabilities = answers(path, pixels=raw.numpy())
    wanted = expected(model, raw.float() / 255)
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(wanted / 2.5, axis=1), atol=1e-6)


def test_the_model_is_left_as_it_was_and_the_bytes_depend_on_it_alone(tmp_path: Path, trace: Trace) -> None:
    model = lenet().train()
    model.net[4].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    export_graph(model, tmp_path / "a.onnx", shape=SHAPE, kind="image")
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    content = (tmp_path / "a.onnx").read_bytes()
    export_graph(lenet().eval(), tmp_path / "b.onnx", shape=SHAPE, kind="image", trace=trace)
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert b".py" not in content  # no file path of this machine
    assert b"stack_trace" not in content


def test_a_trace_takes_the_weights_of_another_model(tmp_path: Path, trace: Trace) -> None:
    model = lenet(seed=5)
    model.normalise = Normalise([0.1], [0.9])
    assert trace.fits(model)
    began = time.perf_counter()
    export_graph(model, tmp_path / "a.onnx", shape=SHAPE, kind="image", temperature=3.0, trace=trace)
    assert time.perf_counter() - began < 0.5
    logits, probabilities = answers(tmp_path / "a.onnx", pixels=pixels().numpy())
    wanted = expected(model, pixels().float() / 255)
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(wanted / 3.0, axis=1), atol=1e-6)


def test_architecture_sees_activations_shapes_and_shared_weights() -> None:
    def two(activation: nn.Module, width: int = 4) -> nn.Module:
        return nn.Sequential(nn.Linear(4, width), activation, nn.Linear(width, 4))

    tied = two(nn.ReLU())
    tied[2].weight = tied[0].weight
    models = [two(nn.ReLU()), two(nn.GELU()), two(nn.ReLU(), 5), tied]
    assert len({architecture(model) for model in models}) == 4
    assert architecture(two(nn.ReLU())) == architecture(two(nn.ReLU()))


class TwoHeads(nn.Module):
    """Returns a dict, takes a vector, and shares a weight between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.second(torch.relu(self.first(x)))
        return {"logits": self.last(hidden), "hidden": hidden}


def test_vectors_are_taken_as_they_are_and_nothing_is_printed(
    tmp_path: Path, trace: Trace, capfd: pytest.CaptureFixture[str]
) -> None:
    filters, level = list(warnings.filters), logging.getLogger("torch.onnx").level
    torch.manual_seed(0)
    model = Adapted(TwoHeads(), classes=3, normalise=Normalise(torch.arange(5), torch.full((5,), 2.0)))
    path = tmp_path / "a.onnx"
    assert not trace.fits(model)
    export_graph(model, path, shape=(5,), kind="vector", trace=trace)  # another architecture: traced anew
    assert capfd.readouterr() == ("", "")
    assert warnings.filters == filters
    assert logging.getLogger("torch.onnx").level == level
    features = torch.randn(7, 5) * 10
    logits, probabilities = answers(path, features=features.numpy())
    np.testing.assert_allclose(logits, expected(model, features), atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(expected(model, features), axis=1), atol=1e-6)


def test_the_file_is_whole_and_its_batch_is_named(tmp_path: Path, trace: Trace) -> None:
    path = tmp_path / "a.onnx"
    export_graph(lenet(), path, shape=SHAPE, kind="image", trace=trace)
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    proto = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(proto, full_check=True)
    assert not any(one.external_data for one in proto.graph.initializer)
    entry = proto.graph.input[0]
    assert entry.name == "pixels"
    assert entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert entry.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [one.name for one in proto.graph.output] == ["logits", "probabilities"]


class OneBatchOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.reshape(2, 64))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)[:, :10]
        return flat * 2 if float(flat.sum()) > 0 else flat


def test_a_batch_size_baked_in_is_found(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"OneBatchOnly works for one batch size only: .* is 2\."):
        export_graph(Adapted(OneBatchOnly(), classes=10), tmp_path / "a", shape=SHAPE, kind="image")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_traced_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(ExportError, match=r"Branching could not be .* any batch size") as caught:
        export_graph(Adapted(Branching(), classes=10), path, shape=SHAPE, kind="image")
    assert caught.value.__cause__ is not None
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_must_be_positive(tmp_path: Path, temperature: float) -> None:
    with pytest.raises(ExportError, match=r"temperature .* above 0"):
        export_graph(lenet(), tmp_path / "a", shape=SHAPE, kind="image", temperature=temperature)


def test_a_model_too_large_for_one_file_is_refused(tmp_path: Path) -> None:
    net = nn.Linear(2**15, 2**15, device="meta")
    with pytest.raises(ExportError, match="4,295,098,368 bytes"):
        export_graph(Adapted(net, classes=2**15), tmp_path / "a", shape=(2**15,), kind="vector")
