"""What a model costs: parameters, bytes, multiply-adds, latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.work import multiply_adds

WARM_UP_RUNS = 10
TIMED_RUNS = 200
TIMED_SECONDS = 0.5


@dataclass(frozen=True)
class Size:
    """parameters: their number; bytes: of parameters and buffers; macs: multiply-adds for one sample, None where there
    are none, as in a tree.
    """

    parameters: int
    bytes: int
    macs: int | None


def size(model: Adapted, sample: Tensor) -> Size:
    """Return the size of a model; sample: one input [1, ...].

    Multiply-adds count matrix products and convolutions (PyTorch's flop counter, halved).
    """
    return Size(
        parameters=sum(parameter.numel() for parameter in model.net.parameters()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in model.net.state_dict().values()),
        macs=multiply_adds(model.eval(), sample) or None,
    )


@torch.inference_mode()
def latency(model: Adapted, sample: Tensor, threads: Sequence[int]) -> list[dict[str, float]]:
    """Return {threads, p50, p95} in milliseconds for a batch of one, in evaluation mode, for each thread count."""
    before = torch.get_num_threads()
    model.eval()
    try:
        return [_latency(model, sample, count) for count in threads]
    finally:
        torch.set_num_threads(before)


def _latency(model: Adapted, sample: Tensor, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    for _ in range(WARM_UP_RUNS):
        model(sample)
    times: list[float] = []
    while len(times) < TIMED_RUNS and sum(times) < TIMED_SECONDS:
        start = time.perf_counter()
        model(sample)
        times.append(time.perf_counter() - start)
    low, high = np.percentile(times, [50, 95]) * 1000
    return {"threads": threads, "p50": round(float(low), 4), "p95": round(float(high), 4)}
