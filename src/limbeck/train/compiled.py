"""Whether the steps of a fit are compiled.

torch.compile fuses what lies between convolutions. It takes seconds, most of them once for all fits of the same network
and batch on a machine, because what it made is kept on disk. Where it is worth that was measured on processors by
benchmarks/compiling.py; elsewhere it is compiled when the recipe says so. The choice follows from the model, the batch,
the number of steps and the machine, never from a clock.

Shapes: B samples of a step.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import Literal, cast

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError, TrainingError
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import Arithmetic
from limbeck.train import ranks
from limbeck.train.threads import SMALL_STEP

Compile = Literal["auto", "always", "never"]

WORTH_COMPILING = 3_000_000_000_000  # multiply-adds of the forward passes of a whole fit
WINDOWED = (nn.MaxPool2d, nn.AvgPool2d)  # compiled, their backward passes are slower


def wants_compiling(wish: Compile, model: Adapted, device: torch.device, work: int, steps: int) -> bool:
    """Whether a fit's steps shall be compiled; work: multiply-adds of a step's forward pass, of all its samples.

    A model that somebody listens to is not: nobody calls its hooks when it is compiled. Raises TrainingError where
    "always" is wished of such a model, or of several processes.
    """
    if model.is_heard:
        if wish == "always":
            raise TrainingError(
                "train.compile is always, but a term looks inside the student, or it answers for further tasks, and "
                "nobody can listen to a compiled network; leave it out."
            )
        return False
    if ranks.world() > 1:
        if wish == "always":
            raise TrainingError("train.compile is always, but nothing is compiled in several processes; leave it out.")
        return False
    return wish == "always" or (wish == "auto" and _is_worth_it(model, device, work, steps))


def _is_worth_it(model: Adapted, device: torch.device, work: int, steps: int) -> bool:
    modules = list(model.modules())
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules)
    unfit = any(isinstance(module, WINDOWED) or _drops(module) for module in modules)
    large = work >= SMALL_STEP and work * steps >= WORTH_COMPILING
    return device.type == "cpu" and large and normed and not unfit and has_compiler()


def _drops(module: nn.Module) -> bool:
    """Whether it draws random numbers, which would be others when compiled."""
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch.compile calls."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def compiled(model: Adapted, arithmetic: Arithmetic, inputs: Tensor, *, insist: bool = False) -> Adapted | None:
    """Return the model as torch.compile makes it, tried forward and backward on the inputs [B, ...] of a step.

    Weights, buffers and random numbers are as before. None where it does not work; with `insist`, ModelError says why.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # "No CUDA runtime", where none is wanted
    torch._dynamo.reset()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    fast = torch.compile(model, dynamic=False)
    parameters = [one for one in model.parameters() if one.requires_grad]
    try:
        with torch.random.fork_rng(devices=[]):
            outputs = arithmetic.forward(fast, inputs)
            torch.autograd.grad(outputs.logits.sum(), parameters, allow_unused=True)
    except (RuntimeError, OSError) as error:
        if insist:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"train.compile is always, but the model cannot be compiled: {reason}") from None
        return None
    finally:
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(buffers[name])
    return cast(Adapted, fast)
