"""Models on disk: `model.safetensors` beside `model.json`, never a pickle.

`model.json` is the card: architecture, classes, shape of a sample, normalisation and the hash of the
weights, so that a folder says everything needed to build the model again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.files import write_bytes, write_text
from limbeck.models.trees import Trees

WEIGHTS = "model.safetensors"
CARD = "model.json"


def checksum(model: nn.Module) -> str:
    """Return the SHA-256 (hex) of every parameter and buffer, names and shapes included."""
    return checksum_of(model.state_dict())


def checksum_of(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of tensors with their names and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def save_weights(folder: Path, net: nn.Module, card: dict[str, Any]) -> None:
    """Write weights and card of a module into a folder; the card comes last and so marks them complete."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in net.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(state))
    write_text(folder / CARD, json.dumps({**card, "sha256": checksum(net)}, indent=1))


def read_card(folder: Path) -> dict[str, Any]:
    """Read `model.json` of a folder; ModelError when there is none or it cannot be read."""
    path = folder / CARD
    if not path.is_file():
        raise ModelError(f"{folder} holds no {CARD}; expected a model folder such as RUN/teacher or RUN/student.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not readable JSON ({error}); write the model folder again.") from error
    if not isinstance(card, dict):
        raise ModelError(f"{path} expects a JSON object that describes the model, got {type(card).__name__}.")
    return card


def load_weights(net: nn.Module, path: Path, *, expected: str | None = None) -> None:
    """Load a safetensors file into a module, every name and shape checked; no code of the file is run.

    expected: the SHA-256 that the loaded weights must have. Raises ModelError, naming what differs.
    """
    state = _read_state(path)
    if isinstance(net, Trees):
        net.make_room(state)
    _check_state(net.state_dict(), state, path)
    net.load_state_dict(state)
    if expected is not None and checksum(net) != expected:
        raise ModelError(f"The weights in {path} are not those that its model.json describes (SHA-256 differs).")


def start_from(net: nn.Module, path: Path, head: str | None = None) -> dict[str, Tensor]:
    """Load a safetensors file into a module, but for a head made for other classes; return that head's tensors by name.

    The head is a single module, all of whose tensors that have another shape keep the values they have; or all tensors
    of the one at the path `head`, where that is known to be for other classes. Raises ModelError where other tensors
    differ too.
    """
    state, own = _read_state(path), net.state_dict()
    both = own.keys() & state.keys()
    other = sorted(name for name in both if own[name].shape != state[name].shape or name.rpartition(".")[0] == head)
    if len({name.rpartition(".")[0] for name in other}) > 1:
        other = []
    kept = {name: own[name] for name in other}
    _check_state(own, {**state, **kept}, path)
    net.load_state_dict({**state, **kept})
    return {name: state[name] for name in other}


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"There is no weight file {path}.")
    try:
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}.") from error
    return state


def _check_state(wanted: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unknown:
        raise ModelError(
            f"The weights in {path} belong to another architecture: "
            f"missing {_some(missing)}, not expected {_some(unknown)}."
        )
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            raise ModelError(
                f"The weights in {path} do not fit: {name} has shape {list(found[name].shape)}, the model "
                f"expects {list(tensor.shape)}."
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
