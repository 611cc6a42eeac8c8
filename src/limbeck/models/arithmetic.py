"""How a model computes: the precision of its products and the order of its pictures in memory.

Weights, statistics of batch norm, losses and optimizer stay float32 in any case. What is chosen follows from the model,
the batch and the processor alone, never from a clock, so equal fits on one machine are equal.

Shapes: B samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted
from limbeck.types import Outputs

Precision = Literal["fp32", "bf16"]
Wish = Literal["auto", "fp32", "bf16"]

WORTH_BF16 = 64_000_000  # multiply-adds of a forward pass of the whole batch
CUDA_WITH_BF16 = (8, 0)


@dataclass(frozen=True)
class Arithmetic:
    """Precision of matrix products and convolutions, and whether pictures are stored with their channels last."""

    precision: Precision = "fp32"
    channels_last: bool = False

    def forward(self, module: Callable[[Tensor], Outputs], inputs: Tensor) -> Outputs:
        """Return a module's outputs for inputs [B, ...] as float32, computed this way."""
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        if self.precision == "fp32":
            return module(inputs)
        with self.casting(inputs.device):
            outputs = module(inputs)
        return replace(
            outputs,
            logits=outputs.logits.float(),
            heads={name: value.float() for name, value in outputs.heads.items()},
            features={name: value.float() for name, value in outputs.features.items()},
        )

    def casting(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context that products are computed in on a device."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    @contextmanager
    def laid_out(self, net: nn.Module) -> Iterator[None]:
        """Keep a network's weights and gradients in this order; weights are in the usual one again after."""
        if not self.channels_last:
            yield
            return
        pools = [module for module in net.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
        hooks = [pool.register_forward_pre_hook(_gradient_in_order) for pool in pools]
        net.to(memory_format=torch.channels_last)
        try:
            yield
        finally:
            net.to(memory_format=torch.contiguous_format)
            for hook in hooks:
                hook.remove()


PLAIN = Arithmetic()


def has_matrix_units(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 in units of their own: AMX, or CUDA from Ampere on."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= CUDA_WITH_BF16
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def choose(wish: Wish, model: Adapted, inputs: Tensor, work: int) -> Arithmetic:
    """Return how a model on its device should compute.

    wish: auto is bf16 where the device has units for it and `work`, the multiply-adds of a forward pass of the whole
    batch, is at least WORTH_BF16. inputs: a few samples [B, ...], on which every choice but fp32 in the usual order is
    tried first: a network that cannot do it (many reshape with `view`) is left as it is. Its state does not change.
    Raises ModelError where bf16 is wished and does not work.
    """
    wanted = work >= WORTH_BF16 and has_matrix_units(inputs.device)
    precision: Precision = ("bf16" if wanted else "fp32") if wish == "auto" else wish
    last = inputs.ndim == 4 and inputs.device.type != "mps" and _convolves(model)
    candidates = [Arithmetic(precision, last), Arithmetic(precision, False), Arithmetic("fp32", last)]
    for one in candidates if wish == "auto" else candidates[:2]:
        if one == PLAIN or _works(one, model, inputs):
            return one
    if wish == "bf16":
        raise ModelError("The model cannot compute in bf16 on this device; set train.precision to fp32 or auto.")
    return PLAIN


def _convolves(model: Adapted) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def _works(arithmetic: Arithmetic, model: Adapted, inputs: Tensor) -> bool:
    """Whether a model in evaluation mode gets through a forward pass, and a backward one where that is in bf16."""
    parameters = [one for one in model.parameters() if one.requires_grad] if arithmetic.precision == "bf16" else []
    try:
        with torch.random.fork_rng(devices=[]), arithmetic.laid_out(model.net):
            with torch.set_grad_enabled(bool(parameters)):
                logits = arithmetic.forward(model, inputs).logits
            if parameters:
                torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    except RuntimeError:
        return False
    return True


def _gradient_in_order(pool: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give what is pooled a gradient with its channels last: that of a mean over space comes in no order at all.

    Everything before the pool goes backward through it as it lies in memory; 9 % of a small network's step.
    """
    if inputs[0].requires_grad:
        inputs[0].register_hook(_channels_last)  # type: ignore[no-untyped-call]


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
