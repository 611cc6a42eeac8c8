"""Several processes that carry out one run together, each with a slice of every batch.

A launcher (`torchrun`, `accelerate launch`) starts them; each is a rank, 0 to world - 1. All go through the same fits
and take the same decisions. The first one writes the run folder; what the others must know of it, they get from it.
With one process every function here does nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, distributed, nn

from limbeck.errors import LostError
from limbeck.files import delete, write_bytes

WAIT = timedelta(days=1)  # for one another: the first one may evaluate for hours
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # as launchers tell them


def join(device: torch.device) -> None:
    """Meet the other processes that a launcher has started, if it has."""
    if world() == 1 and any(int(os.environ.get(name, "1")) > 1 for name in SIZES):
        PartialState(cpu=device.type == "cpu", **InitProcessGroupKwargs(timeout=WAIT).to_kwargs())
        atexit.register(_leave)


def world() -> int:
    """Return how many processes carry out this run."""
    return distributed.get_world_size() if _met() else 1


def rank() -> int:
    """Return which of them this is."""
    return distributed.get_rank() if _met() else 0


def is_first() -> bool:
    """Whether this is the process that writes the run folder."""
    return rank() == 0


def slice_of(values: Tensor) -> Tensor:
    """Return this rank's slice of the rows of values [B, ...]; slices differ by one row at most."""
    return values.tensor_split(world())[rank()]


def total(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all ranks, the same on each."""
    if world() == 1:
        return values
    values = values.to(_wire(), copy=True)
    distributed.all_reduce(values)
    return values


def average_gradients(module: nn.Module) -> None:
    """Average the gradients of a module over the ranks; for those that no wrapper of Accelerate's averages."""
    if world() > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad.copy_(total(parameter.grad) / world())


def share_buffers(module: nn.Module) -> None:
    """Give every rank the first one's buffers: statistics of batch norm, which each gathers from its own slices."""
    if world() > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)


def seed_step(seed: int, step: int) -> None:
    """Draw a step's random numbers anew: other ones on each rank, and the same when a fit is resumed.

    With one process nothing happens, and the numbers of a fit are one stream.
    """
    if world() > 1:
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}/{step}/{rank()}".encode()).digest()[:7]))


def agree(said: bool) -> bool:
    """Return what the first rank said."""
    return from_first(b"1" if said else None) is not None


def from_first(content: bytes | None) -> bytes | None:
    """Return the first rank's content; what the others give is not looked at."""
    if world() == 1:
        return content
    size = torch.tensor([-1 if content is None else len(content)], device=_wire())
    distributed.broadcast(size, 0)
    count = int(size)
    if count < 1:
        return None if count < 0 else b""
    given = bytearray(content) if is_first() and content is not None else bytearray(count)
    data = torch.frombuffer(given, dtype=torch.uint8).to(_wire())
    distributed.broadcast(data, 0)
    return bytes(data.cpu().numpy())


def mirror(folder: Path, names: Sequence[str]) -> None:
    """Make files of a folder what they are on the first rank, where that one's folder stands for this one."""
    if world() == 1:
        return
    for name in names:
        path = folder / name
        content = from_first(path.read_bytes() if is_first() and path.is_file() else None)
        if is_first():
            continue
        if content is None:
            delete(path)
        else:
            write_bytes(path, content)


@contextlib.contextmanager
def copied(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a folder with files of the first rank's folder: that one itself, and a copy for the others while it lasts.

    folder: the first one's; the others wait until it has got so far.
    """
    with contextlib.nullcontext(folder) if is_first() else scratch() as mine:
        mirror(mine, names)
        yield mine


@contextlib.contextmanager
def missing() -> Iterator[None]:
    """Turn the loss of another process into a LostError."""
    try:
        yield
    except RuntimeError as error:
        if world() == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        raise LostError(
            f"Another of the {world()} processes ended before its time; its own message, if any, says why. Start all "
            f"of them again with --resume."
        ) from error


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield the folder that a rank which is not the first works in; it is thrown away."""
    with tempfile.TemporaryDirectory(prefix="limbeck-rank-") as folder:
        yield Path(folder)


def _met() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _wire() -> torch.device:
    """Return where tensors must be to travel."""
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


def _leave() -> None:
    if _met():
        distributed.destroy_process_group()
