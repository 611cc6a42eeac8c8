"""Loops written by hand for the distillation of benchmarks/speed.py, from a plain one to an expert's. PyTorch alone."""

from __future__ import annotations

import copy
import ctypes
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from speed_case import BATCH, DECAY, RATE, STUDENT, Case, loss_of, network, normalised, rate
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Shown = tuple[Tensor, Tensor, Tensor | None]  # inputs [B, 1, 28, 28], labels [B], stored answers [B, 10]


@dataclass(frozen=True)
class Ways:
    """What makes a loop fast, one by one; the plain loop has none of it.

    kept: freed memory stays with the process, of which that is a setting for good; workers: of the DataLoader.
    """

    stored: bool = False
    bf16: bool = False
    channels_last: bool = False
    resident: bool = False
    fused: bool = False
    kept: bool = False
    compiled: bool = False
    workers: int = 0


PLAIN = Ways()
EXPERT = Ways(stored=True, bf16=True, channels_last=True, resident=True, fused=True)


@dataclass(frozen=True)
class Timed:
    """What a loop took, in seconds: before the first step (labelling, compiling), and each epoch."""

    before: float
    epochs: tuple[float, ...]
    student: nn.Module

    def whole(self, epochs: int) -> float:
        """Return the seconds of a run of this many epochs, each as long as the mean of those that were run."""
        return self.before + epochs * sum(self.epochs) / len(self.epochs)


def train(case: Case, ways: Ways, *, epochs: int, run: int, seed: int = 0) -> Timed:
    """Distil the case's teacher; epochs: of the schedule, run: how many of them are run."""
    torch.manual_seed(seed)
    if ways.kept:
        keep_memory()
    form = torch.channels_last if ways.channels_last else torch.contiguous_format
    student, teacher = network(STUDENT).to(memory_format=form), copy.deepcopy(case.teacher).to(memory_format=form)
    optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY, fused=ways.fused or None)
    forward = torch.compile(student) if ways.compiled else student
    began = time.perf_counter()
    answers = label(case, ways, teacher) if ways.stored else None
    batches = Resident(case, answers) if ways.resident else Loaded(case, answers, ways.workers)
    before, seconds, total = time.perf_counter() - began, [], epochs * len(batches)
    student.train()
    for epoch in range(run):
        began = time.perf_counter()
        for number, (shown, labels, stored) in enumerate(batches):
            inputs = shown.contiguous(memory_format=form)
            with torch.autocast("cpu", torch.bfloat16, enabled=ways.bf16):
                taught = answer(teacher, inputs) if stored is None else stored
                logits = forward(inputs)
            loss = loss_of(logits.float(), taught.float(), labels)
            for group in optimizer.param_groups:
                group["lr"] = rate(epoch * len(batches) + number, total)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - began)
    return Timed(before, tuple(seconds), student.to(memory_format=torch.contiguous_format))


def keep_memory() -> None:
    """Let glibc keep what is freed: up to 2 GiB, of pieces up to 32 MiB."""
    library = ctypes.CDLL(None)
    library.mallopt(-1, 2**31 - 1)
    library.mallopt(-3, 32 * 2**20)


@torch.no_grad()
def answer(teacher: nn.Module, inputs: Tensor) -> Tensor:
    """Return the teacher's logits [B, 10]."""
    logits: Tensor = teacher(inputs)
    return logits


def label(case: Case, ways: Ways, teacher: nn.Module) -> Tensor:
    """Return the teacher's answers to all training pictures, [N, 10]."""
    form = torch.channels_last if ways.channels_last else torch.contiguous_format
    with torch.autocast("cpu", torch.bfloat16, enabled=ways.bf16):
        parts = [
            answer(teacher, normalised(part).contiguous(memory_format=form)).float() for part in case.images.split(256)
        ]
    return torch.cat(parts)


class Loaded:
    """Batches from a DataLoader over tensors that are normalised already."""

    def __init__(self, case: Case, answers: Tensor | None, workers: int) -> None:
        tensors = [normalised(case.images), case.labels, *([] if answers is None else [answers])]
        self.loader = DataLoader(
            TensorDataset(*tensors), batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Shown]:
        for inputs, labels, *answers in self.loader:
            yield inputs, labels, answers[0] if answers else None


class Resident:
    """Batches gathered from uint8 pictures in memory."""

    def __init__(self, case: Case, answers: Tensor | None) -> None:
        self.case, self.answers = case, answers

    def __len__(self) -> int:
        return math.ceil(len(self.case.images) / BATCH)

    def __iter__(self) -> Iterator[Shown]:
        for rows in torch.randperm(len(self.case.images)).split(BATCH):
            taught = None if self.answers is None else self.answers[rows]
            yield normalised(self.case.images[rows]), self.case.labels[rows], taught
