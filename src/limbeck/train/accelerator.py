"""Accelerate's handle for a device."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState


def accelerator_for(device: torch.device) -> Accelerator:
    """Return Accelerate's handle for a device; it keeps one device for a process, so another one starts it anew.

    It wraps the model for several processes. Precision and parts of a batch are the recipe's, whatever its launcher
    was configured to, and its wrapper of the optimizer would cost half of a small step.
    """
    if AcceleratorState._shared_state and AcceleratorState().device.type != device.type:
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no")
