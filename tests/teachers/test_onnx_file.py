from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from limbeck.errors import ModelError
from limbeck.models.adapt import Normalise
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.onnx_file import OnnxTeacher
from limbeck.types import Batch

GREY = torch.randint(0, 256, (7, 1, 2, 3), generator=torch.Generator().manual_seed(0)) / 255
COLOUR = torch.rand(7, 3, 4, 5, generator=torch.Generator().manual_seed(1))
WEIGHT = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def graph(path: Path, shape: list[Any], *nodes: Any, outputs: dict[str, int], kind: int = TensorProto.FLOAT) -> Path:
    """Write a graph over the input x and the constant w."""
    constant = onnx.numpy_helper.from_array(WEIGHT, "w")
    ends = [helper.make_tensor_value_info(name, element, None) for name, element in outputs.items()]
    made = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], ends, [constant])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def linear(
    path: Path, shape: list[Any], *, kind: int = TensorProto.FLOAT, name: str = "output", more: Any = ()
) -> Path:
    """Write flatten(x) @ w, of pictures or features."""
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("Flatten", ["f"], ["flat"])]
    nodes += [helper.make_node("MatMul", ["flat", "w"], [name]), *more]
    ends = {name: TensorProto.FLOAT, **{one.output[0]: TensorProto.FLOAT for one in more}}
    return graph(path, shape, *nodes, outputs=ends, kind=kind)


def answer(path: Path, inputs: torch.Tensor, feeding: Feeding | None = None) -> torch.Tensor:
    said = OnnxTeacher(path, inputs[:2], feeding or Feeding())(Batch(inputs)).logits
    assert said is not None
    return said


def expected(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).float() @ torch.from_numpy(WEIGHT)


@pytest.mark.parametrize("batch", ["n", 1, 2, 4])
def test_any_batch_size(tmp_path: Path, batch: Any) -> None:
    path = linear(tmp_path / "m.onnx", [batch, 1, 2, 3])
    for count in (1, 2, 7):
        torch.testing.assert_close(answer(path, GREY[:count]), expected(GREY[:count]))


def test_types_of_pixels(tmp_path: Path) -> None:
    for kind, scale in ((TensorProto.UINT8, 255), (TensorProto.DOUBLE, 1), (TensorProto.FLOAT16, 1)):
        found = answer(linear(tmp_path / "m.onnx", ["n", 1, 2, 3], kind=kind), GREY)
        torch.testing.assert_close(found, expected(GREY * scale), rtol=2e-3, atol=5e-3)


def test_scale_and_normalisation(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx", ["n", 1, 2, 3])
    torch.testing.assert_close(answer(path, GREY, Feeding(scale=255)), expected(GREY * 255))
    found = answer(path, GREY, Feeding(scale=255, normalise=Normalise([100.0], [50.0])))
    torch.testing.assert_close(found, expected((GREY * 255 - 100) / 50))
    fed = Feeding(scale=255, normalise=Normalise([100.0], [50.0]))
    raw = answer(linear(tmp_path / "u.onnx", ["n", 1, 2, 3], kind=TensorProto.UINT8), GREY, fed)
    torch.testing.assert_close(raw, expected(GREY * 255)), "a graph that takes uint8 does the rest itself"


@pytest.mark.parametrize(
    ("shape", "layout", "last"),
    [(["n", 4, 5, 3], None, True), (["n", 3, 4, 5], None, False), (["n", "a", "b", "c"], None, False),
     (["n", "a", "b", "c"], "nhwc", True)],
)  # fmt: skip
def test_layout_is_read_off_the_graph_or_given(tmp_path: Path, shape: list[Any], layout: Any, last: bool) -> None:
    pool = helper.make_node("ReduceMean", ["x", "axes"], ["output"], keepdims=0)
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1, 2] if last else [2, 3])
    path = graph(tmp_path / "m.onnx", shape, axes, pool, outputs={"output": TensorProto.FLOAT})
    torch.testing.assert_close(answer(path, COLOUR, Feeding(layout=layout)), COLOUR.mean((2, 3)))


def test_pictures_are_flattened_and_resized(tmp_path: Path) -> None:
    torch.testing.assert_close(answer(linear(tmp_path / "m.onnx", ["n", 6]), GREY), expected(GREY))
    torch.testing.assert_close(answer(linear(tmp_path / "m.onnx", ["n", 6]), GREY.flatten(1)), expected(GREY))
    wide = torch.ones(3, 1, 8, 9) * 0.5
    path = linear(tmp_path / "m.onnx", ["n", 1, 2, 3])
    torch.testing.assert_close(answer(path, wide, Feeding(size=(2, 3))), expected(torch.full((3, 6), 0.5)))


def test_which_output_and_what_it_says(tmp_path: Path) -> None:
    chances = helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)
    both = OnnxTeacher(linear(tmp_path / "b.onnx", ["n", 6], name="logits", more=[chances]), GREY, Feeding())
    assert both.provides == {"logits", "probs", "labels"} and both.classes == 4
    hidden = helper.make_node("Softmax", ["hidden"], ["answer"], axis=1)
    two = linear(tmp_path / "t.onnx", ["n", 6], name="hidden", more=[hidden])
    with pytest.raises(ModelError, match=r"one of several called logits or probabilities; it has hidden \[7, 4\]"):
        OnnxTeacher(two, GREY, Feeding())
    model = onnx.load(two)
    del model.graph.output[0]
    onnx.save(model, two)
    one = OnnxTeacher(two, GREY, Feeding())
    assert one.provides == {"probs", "labels"}
    torch.testing.assert_close(one(Batch(GREY)).logits.exp(), expected(GREY).softmax(1))


def test_what_it_counts_and_remembers(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx", ["n", 6])
    teacher, again = (OnnxTeacher(path, GREY, Feeding()) for _ in range(2))
    teacher(Batch(GREY))
    assert teacher.asked == 7
    assert teacher.fingerprint == again.fingerprint == teacher.current_fingerprint()
    assert teacher.fingerprint != OnnxTeacher(path, GREY, Feeding(scale=255)).fingerprint
    assert set(teacher.latency(GREY[:1])[0]) == {"threads", "p50", "p95"}


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        OnnxTeacher(tmp_path / "no.onnx", GREY, Feeding())
    (tmp_path / "bad.onnx").write_text("no")
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        OnnxTeacher(tmp_path / "bad.onnx", GREY, Feeding())
    small = linear(tmp_path / "s.onnx", ["n", 1, 2, 3])
    with pytest.raises(ModelError, match=r"expects tensor\(float\) \['n', 1, 2, 3\], got float32 \[7, 3, 4, 5\]"):
        OnnxTeacher(small, COLOUR, Feeding())
    text = linear(tmp_path / "i.onnx", ["n", 6], kind=TensorProto.INT64)
    with pytest.raises(ModelError, match="one input .* of uint8 or float; it has x"):
        OnnxTeacher(text, GREY, Feeding())


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    roots = helper.make_node("Sqrt", ["x"], ["output"])
    path = graph(tmp_path / "m.onnx", ["n", 6], roots, outputs={"output": TensorProto.FLOAT})
    teacher = OnnxTeacher(path, GREY, Feeding())
    with pytest.raises(ModelError, match="not finite numbers"):
        teacher(Batch(-1 - GREY))
