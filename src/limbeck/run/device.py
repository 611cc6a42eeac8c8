"""Which device a run uses."""

from __future__ import annotations

import torch

from limbeck.errors import UserError


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name; "auto" is the first of cuda, mps and cpu that there is."""
    if name == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device expects auto, cpu, cuda or mps, got {name!r}.") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if ":" in name:
        raise UserError(
            f"--device expects a kind, not a number; choose the card with CUDA_VISIBLE_DEVICES, got {name!r}."
        )
    if not there.get(device.type, False):
        raise UserError(f"There is no device {name!r} on this machine; leave out --device to use what there is.")
    return device
