from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from limbeck.errors import ExportError
from limbeck.export.graph import export_graph
from limbeck.export.quantise import Setting, layers_of, quantise, quantised_nodes
from limbeck.export.run_onnx import Session
from limbeck.models import CNN, GRU, MLP, Attention, Linear, ResNet
from limbeck.models.adapt import Adapted, Normalise

MODELS = {
    "mlp": (lambda: MLP((1, 8, 8), 5, hidden=[16, 16]), (1, 8, 8)),
    "cnn": (lambda: CNN((1, 8, 8), 5, width=4), (1, 8, 8)),
    "resnet": (lambda: ResNet((3, 8, 8), 5, depth=8, width=4), (3, 8, 8)),
    "attention": (lambda: Attention((6, 8), 5), (6, 8)),
    "gru": (lambda: GRU((6, 8), 5), (6, 8)),
    "linear": (lambda: Linear((12,), 5), (12,)),
}


def inputs_of(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    if len(shape) == 3:
        return draw.integers(0, 256, (count, *shape), dtype=np.uint8)
    return draw.normal(size=(count, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A maker of float files of the zoo, each exported once."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            build, shape = MODELS[name]
            torch.manual_seed(0)
            picture = len(shape) == 3
            normalise = Normalise([0.4] * shape[0], [0.3] * shape[0]) if picture else None
            model = Adapted(build(), classes=5, normalise=normalise)
            made[name] = tmp_path_factory.mktemp(name) / "float.onnx"
            kind = "image" if picture else "vector"
            export_graph(model, made[name], shape=shape, kind=kind, temperature=2.0)  # type: ignore[arg-type]
        return made[name]

    return make


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_keeps_its_answers_at_every_batch_size(float_file: Any, tmp_path: Path, name: str) -> None:
    source, target, shape = float_file(name), tmp_path / "int8.onnx", MODELS[name][1]
    quantise(source, target, inputs_of(shape, 70), Setting())
    held = inputs_of(shape, 28, seed=1)
    before, _ = Session(source, threads=1).logits_and_probabilities(held)
    found = [Session(target, threads=1).logits_and_probabilities(held, batch_size=size)[0] for size in (1, 2, 7, 28)]
    spread = float(before.std())
    for logits in found:
        assert np.abs(logits - before).mean() < 0.1 * spread
        assert np.abs(logits - found[0]).max() < 0.05 * spread
    assert np.abs(found[0] - before).max() > 0  # something was rounded


def test_weights_are_int8_by_channel_activations_uint8_and_nothing_is_dynamic(float_file: Any, tmp_path: Path) -> None:
    source, target = float_file("cnn"), tmp_path / "int8.onnx"
    quantise(source, target, inputs_of((1, 8, 8), 40), Setting())
    proto = onnx.load(target)
    onnx.checker.check_model(proto, full_check=True)
    assert not {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"} & {node.op_type for node in proto.graph.node}
    values = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    weights = {name: value for name, value in values.items() if name.endswith("weight_quantized")}
    assert len(weights) == 5
    for name, value in weights.items():
        assert value.dtype == np.int8
        assert np.abs(value).max() <= 64  # 7 bits: sums of two products fit into 16 bits without saturation
        assert values[name.replace("_quantized", "_scale")].shape == (len(value),)
    points = {name: value.dtype for name, value in values.items() if name.endswith("zero_point")}
    activations = [kind for name, kind in points.items() if "weight" not in name and "bias" not in name]
    assert set(activations) == {np.dtype(np.uint8)}


def test_what_reads_raw_pixels_and_what_gives_the_answer_stays_in_float(float_file: Any, tmp_path: Path) -> None:
    for name in ("cnn", "mlp"):
        quantise(float_file(name), tmp_path / "int8.onnx", inputs_of((1, 8, 8), 40), Setting())
        graph = onnx.load(tmp_path / "int8.onnx").graph
        makers = {output: node.op_type for node in graph.node for output in node.output}
        for node in graph.node:
            if node.op_type in ("Cast", "Div", "Sub", "Softmax"):
                assert "DequantizeLinear" not in {makers.get(value) for value in node.input}
        assert makers["logits"] == "Gemm"
        assert makers["probabilities"] == "Softmax"
        assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def width_of(path: Path) -> float:
    """The range that the file gives its inputs."""
    values = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    return float(values["features_scale"]) * 255


def test_an_outlier_decides_the_range_by_min_max_but_not_by_percentile(planted: Any) -> None:
    source, target = planted.write(), planted.folder / "int8.onnx"
    inputs, _ = planted.samples((500, 500, 500, 500))
    inputs[7, 0] = 500  # one of 16,000 values
    quantise(source, target, inputs, Setting("min-max"))
    assert width_of(target) == pytest.approx(500)
    quantise(source, target, inputs, Setting("percentile"))
    assert width_of(target) < 499.9


def test_entropy_gives_up_the_tails(planted: Any) -> None:
    source, target = planted.write(), planted.folder / "int8.onnx"
    inputs = np.random.default_rng(0).laplace(size=(500, 8)).astype(np.float32)
    quantise(source, target, inputs, Setting("min-max"))
    whole = width_of(target)
    quantise(source, target, inputs, Setting("entropy"))
    assert width_of(target) < 0.95 * whole


def test_layers_left_in_float_are_exact(planted: Any) -> None:
    source, target = planted.write(), planted.folder / "int8.onnx"
    inputs, _ = planted.samples((20, 20, 20, 20))
    names = [layer.node for layer in layers_of(source)]
    assert names == ["first", "last"]
    assert quantised_nodes(source) == ["first", "relu", "last"]
    quantise(source, target, inputs, Setting(in_float=("first", "last")))
    before, after = (Session(path, threads=1).logits_and_probabilities(inputs)[0] for path in (source, target))
    np.testing.assert_allclose(after, before, rtol=1e-6)
    quantise(source, target, inputs, Setting(in_float=("last",)))
    kinds = Counter(onnx.numpy_helper.to_array(one).dtype for one in onnx.load(target).graph.initializer)
    assert kinds[np.dtype(np.int8)] == 2  # the first layer's weights and their zero points


def test_a_layer_is_called_by_its_module(float_file: Any) -> None:
    layers = layers_of(float_file("cnn"))
    assert [layer.title for layer in layers] == ["body.0.0", "body.1.0", "body.3.0", "body.4.0", "head"]
    assert [layer.weights for layer in layers] == [36, 144, 288, 576, 40]
    sizes = [layer.weights for layer in layers_of(float_file("attention"))]
    assert len(sizes) == 10 and min(sizes) > 0  # products of two activations have no weights


def test_the_same_arguments_give_the_same_bytes_in_another_process(planted: Any) -> None:
    source, inputs = planted.write(), planted.samples((20, 20, 20, 20))[0]
    np.save(planted.folder / "inputs.npy", inputs)
    code = (
        "import sys, numpy as np; from pathlib import Path; from limbeck.export.quantise import Setting, quantise\n"
        "quantise(Path(sys.argv[1]), Path(sys.argv[2]), np.load(sys.argv[3]), Setting())\n"
        "assert 'torch' not in sys.modules"
    )
    arguments = [source, planted.folder / "there.onnx", planted.folder / "inputs.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    quantise(source, planted.folder / "here.onnx", inputs, Setting())
    digests = {hashlib.sha256((planted.folder / name).read_bytes()).digest() for name in ("here.onnx", "there.onnx")}
    assert len(digests) == 1


def test_nothing_is_printed_and_nothing_left_behind(planted: Any, capfd: pytest.CaptureFixture[str]) -> None:
    handlers = list(logging.getLogger().handlers)
    source = planted.write()
    quantise(source, planted.folder / "int8.onnx", planted.samples((9, 9, 9, 9))[0], Setting("entropy"))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers
    assert {path.name for path in planted.folder.iterdir()} == {"float.onnx", "int8.onnx"}
    assert not onnx.load(planted.folder / "int8.onnx").metadata_props


def test_mistakes_are_told_in_a_sentence(planted: Any) -> None:
    source, target = planted.write(), planted.folder / "int8.onnx"
    with pytest.raises(ExportError, match="found on training samples, but none were given"):
        quantise(source, target, np.zeros((0, 8), np.float32), Setting())
    with pytest.raises(ExportError, match=r"float.onnx cannot be quantised: .*\.$"):
        quantise(source, target, np.zeros((4, 3), np.float32), Setting())
    assert not target.exists()


def test_the_file_runs_without_limbeck(planted: Any) -> None:
    inputs, labels = planted.samples((20, 20, 20, 20))
    quantise(planted.write(), planted.folder / "int8.onnx", inputs, Setting())
    session = onnxruntime.InferenceSession(planted.folder / "int8.onnx", providers=["CPUExecutionProvider"])
    assert (session.run(["probabilities"], {"features": inputs})[0].argmax(1) == labels).all()
