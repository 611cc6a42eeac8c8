"""The state of a fit on disk: one safetensors file, replaced as a whole, never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from limbeck.files import write_bytes

RNG = "rng"


def save_checkpoint(
    path: Path,
    *,
    modules: dict[str, nn.Module],
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> None:
    """Write weights, the best weights so far, optimizer state, random state and progress (JSON values)."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    tensors |= {f"best/{key}": value for key, value in best.items()}
    scalars: dict[str, float] = {}
    for number, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{number}/{key}"] = value
            elif value is not None:
                scalars[f"{number}/{key}"] = value
    tensors[RNG] = torch.get_rng_state()
    plain = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    metadata = {"progress": json.dumps(progress), "scalars": json.dumps(scalars)}
    write_bytes(path, save(plain, metadata=metadata))


def load_checkpoint(
    path: Path, *, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Put the state back and return (best weights, progress); None when there is no usable checkpoint."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return None
    if metadata is None or not {"progress", "scalars"} <= metadata.keys():
        return None
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, f"{name}/"))
    _restore_optimizer(optimizer, tensors, json.loads(metadata["scalars"]))
    torch.set_rng_state(tensors[RNG])
    return _below(tensors, "best/"), json.loads(metadata["progress"])


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], scalars: dict[str, float]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in _below(tensors, "optimizer/").items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = value
    for key, scalar in scalars.items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = scalar
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            _lay_out_like(parameter, optimizer.state.get(parameter, {}))


def _lay_out_like(parameter: Tensor, state: dict[str, Any]) -> None:
    """Keep what is stored of a parameter in its own order in memory: fused optimizers go through both side by side."""
    for key, value in state.items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
