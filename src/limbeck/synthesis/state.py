"""The state of an unfinished synthesis: one file, replaced as a whole, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from limbeck.files import write_bytes


@dataclass
class Progress:
    """Where it is. round: the next one; seconds: of work, in all sessions; rounds: in the pool; gauges: so far."""

    round: int = 0
    seconds: float = 0.0
    rounds: list[int] = field(default_factory=list)
    gauges: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    progress: Progress,
) -> None:
    """Write weights, what Adam knows, and progress."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"adam/{name}/{number}/{key}": value for key, value in state.items()}
    plain = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    write_bytes(path, save(plain, metadata={"progress": json.dumps(vars(progress))}))


def load_state(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> Progress | None:
    """Put the state back and return the progress; None where there is no usable file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return None
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, f"{name}/"))
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"adam/{name}/").items():
            number, what = key.split("/", 1)
            state.setdefault(int(number), {})[what] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
