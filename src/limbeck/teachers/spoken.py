"""What is said to a server and understood of its answers: the Open Inference Protocol v2, or plain JSON.

The protocol is spoken by KServe, Triton and MLServer: POST {"inputs": [{"name", "shape", "datatype", "data"}]} to
/v2/models/NAME/infer gives {"outputs": [{"name", "shape", "datatype", "data"}]}. Plain JSON is POST {"inputs": [[...]]}
gives {"probabilities": [[...]]}. Shapes: n samples in a request, T classes of the teacher.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.teachers.asking import Asking
from limbeck.teachers.scores import TOLERANCE, logarithms, look_like_probabilities

Says = Literal["probabilities", "logits", "labels"]
KINDS = {"FP32": np.float32, "FP64": np.float64, "UINT8": np.uint8}


class Misunderstood(Exception):
    """An answer is not what it should be; the message says what was expected and what came."""


def say_v2(fed: NDArray[Any], asking: Asking, name: str) -> bytes:
    """Return the body of a request for samples [n, ...]; name: of the input."""
    tensor = {"name": name, "shape": list(fed.shape), "datatype": asking.datatype, "data": fed.ravel().tolist()}
    wanted = {} if asking.output is None else {"outputs": [{"name": asking.output}]}
    return json.dumps({"inputs": [tensor], **wanted}).encode()


def say_plain(fed: NDArray[Any], asking: Asking) -> bytes:
    """Return the body of a request for samples [n, ...]."""
    return json.dumps({asking.input or "inputs": fed.tolist()}).encode()


def input_name(body: bytes) -> str:
    """Return the name of the only input that a model's metadata (v2) lists."""
    names = [one.get("name") for one in _list(_object(body), "inputs") if isinstance(one, dict)]
    if len(names) != 1 or not isinstance(names[0], str):
        told = ", ".join(str(name) for name in names) or "none"
        raise Misunderstood(f"one input is expected, the server's metadata lists {told}; teacher.http.input names one")
    return names[0]


def values_v2(body: bytes, asking: Asking) -> NDArray[Any]:
    """Return the answer of a v2 server as an array in the shape that it names."""
    outputs = [one for one in _list(_object(body), "outputs") if isinstance(one, dict)]
    wanted = asking.output or asking.says
    named = [one for one in outputs if one.get("name") == wanted]
    if not named and asking.output is None and len(outputs) == 1:
        named = outputs
    if len(named) != 1:
        told = ", ".join(str(one.get("name")) for one in outputs) or "none"
        raise Misunderstood(f'an output "{wanted}" is expected, got {told}; teacher.http.output names one')
    shape = _list(named[0], "shape")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise Misunderstood(f"a shape of whole numbers is expected, got {_short(shape)}")
    flat = _array(named[0].get("data")).ravel()
    if flat.size != math.prod(shape):
        raise Misunderstood(f"{math.prod(shape):,} values are expected in the shape {shape}, got {flat.size:,}")
    return flat.reshape(shape)


def values_plain(body: bytes, asking: Asking) -> NDArray[Any]:
    """Return the answer of a server that speaks plain JSON."""
    found = _object(body)
    name = asking.output or asking.says
    if name not in found:
        told = ", ".join(found) or "none"
        raise Misunderstood(f'a key "{name}" is expected, got {told}; teacher.http.says or output names another')
    return _array(found[name])


def understood(values: NDArray[Any], says: Says, count: int, classes: int, names: Sequence[str] | None) -> Tensor:
    """Return logits or log probabilities [n, T], or labels int64 [n].

    count: n; classes: T; names: of the teacher's classes, for labels that are names. Raises Misunderstood for other
    shapes, for values that are not finite numbers, for probabilities that are none and logits that are.
    """
    if says == "labels":
        return _labels(values, count, classes, names)
    if values.shape != (count, classes):
        raise Misunderstood(f"{says} of the shape {[count, classes]} are expected, got {list(values.shape)}")
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise Misunderstood(f"finite numbers are expected, got {_odd(values)}")
    scores = np.ascontiguousarray(values.astype(np.float32))
    like = look_like_probabilities(scores)
    if says == "probabilities" and not like:
        raise Misunderstood(
            f"probabilities are expected in 0..1, each row with the sum 1 within {TOLERANCE:g}; the first row's sum is "
            f"{scores[0].sum():.4g} (teacher.http.says may be logits)"
        )
    if says == "logits" and like:
        raise Misunderstood("logits are expected, got rows in 0..1 with the sum 1; teacher.http.says: probabilities")
    return logarithms(scores) if says == "probabilities" else torch.from_numpy(scores)


def _labels(values: NDArray[Any], count: int, classes: int, names: Sequence[str] | None) -> Tensor:
    flat = values.reshape(count) if values.shape in ((count,), (count, 1)) else None
    if flat is None:
        raise Misunderstood(f"labels of the shape {[count]} are expected, got {list(values.shape)}")
    if flat.dtype.kind in "US":
        known = {name: number for number, name in enumerate(names or ())}
        unknown = [str(one) for one in flat if str(one) not in known]
        if unknown:
            raise Misunderstood(f"names of its classes are expected, got {_short(unknown[0])}")
        return torch.tensor([known[str(one)] for one in flat])
    whole = flat.dtype.kind in "iu" or (flat.dtype.kind == "f" and bool((flat == np.floor(flat)).all()))
    if not whole or not bool(((flat >= 0) & (flat < classes)).all()):
        raise Misunderstood(f"labels 0..{classes - 1} are expected, got {_short(flat.tolist())}")
    return torch.from_numpy(flat.astype(np.int64))


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Misunderstood(f"JSON is expected, got {len(body):,} bytes that are none") from None
    if not isinstance(found, dict):
        raise Misunderstood("a JSON object is expected, got another value")
    return found


def _list(found: dict[str, Any], key: str) -> list[Any]:
    value = found.get(key)
    if not isinstance(value, list):
        raise Misunderstood(f'a list "{key}" is expected in the answer, got {_short(value)}')
    return value


def _array(value: Any) -> NDArray[Any]:
    """Return a list of numbers or names, in lists of equal length, as an array."""
    if not isinstance(value, list):
        raise Misunderstood(f"a list of values is expected, got {_short(value)}")
    try:
        found = np.array(value)
    except (ValueError, OverflowError):
        raise Misunderstood("rows of one length are expected, got several lengths") from None
    if found.dtype.kind not in "iufUS":
        raise Misunderstood(f"numbers or names are expected, got {_short(value)}")
    return found


def _odd(values: NDArray[Any]) -> str:
    if values.dtype.kind not in "iuf":
        return _short(values.tolist())
    row, column = np.argwhere(~np.isfinite(values))[0]
    return f"{values[row, column]} in row {row}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
