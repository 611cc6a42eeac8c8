"""A bounded store of samples with the teacher's answers: the newest batches take the place of the oldest.

Shapes: N samples at most, B in a batch, C classes. On disk a batch is a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from limbeck.files import delete, write_bytes
from limbeck.synthesis.frame import Frame


class Pool:
    """Room for some batches. frame: of the samples; size: N, a multiple of batch; batch: B; classes: C."""

    def __init__(self, frame: Frame, *, size: int, batch: int, classes: int) -> None:
        self.frame, self.batch, self.slots = frame, batch, size // batch
        device = frame.mean.device
        kind = torch.uint8 if frame.pictures else torch.float32
        self.inputs = torch.zeros(self.slots, batch, *frame.shape, dtype=kind, device=device)
        self.logits = torch.zeros(self.slots, batch, classes, device=device)
        self.rounds: list[int] = []  # what is in, oldest first
        self._new: set[int] = set()  # that is not on disk yet

    def __len__(self) -> int:
        return len(self.rounds) * self.batch

    def add(self, number: int, samples: Tensor, logits: Tensor) -> None:
        """Keep the batch of a round: samples [B, ...] as a model takes them, logits [B, C]."""
        self.inputs[number % self.slots] = self.frame.stored(samples)
        self.logits[number % self.slots] = logits
        self.rounds = [*self.rounds, number][-self.slots :]
        self._new.add(number)

    def classes(self) -> Tensor:
        """Return the teacher's top class of each sample, in the order of the slots: int64 [len]."""
        return self.logits[: len(self.rounds)].flatten(0, 1).argmax(1)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Return samples [count, ...] and logits [count, C], every class that there is as likely as the others."""
        top = self.classes()
        often = torch.bincount(top, minlength=self.logits.shape[-1])
        rows = torch.multinomial(1.0 / often[top].float(), count, replacement=True)
        inputs = self.inputs[: len(self.rounds)].flatten(0, 1)[rows]
        return self.frame.shown(inputs), self.logits[: len(self.rounds)].flatten(0, 1)[rows]

    def contents(self) -> tuple[Tensor, Tensor]:
        """Return all samples as they are stored, oldest first, and their logits."""
        order = torch.tensor([number % self.slots for number in self.rounds], device=self.inputs.device)
        return self.inputs[order].flatten(0, 1), self.logits[order].flatten(0, 1)

    def write(self, folder: Path) -> None:
        """Write the batches that are not on disk yet, a file each."""
        for number in sorted(self._new.intersection(self.rounds)):
            place = number % self.slots
            batch = {"inputs": self.inputs[place].cpu(), "logits": self.logits[place].cpu()}
            write_bytes(folder / file_of(number), save(batch))
        self._new.clear()

    def sweep(self, folder: Path) -> None:
        """Delete the files of batches that are not in the pool any more."""
        kept = {file_of(number) for number in self.rounds}
        for path in folder.glob("*.batch"):
            if path.name not in kept:
                delete(path)

    def read(self, folder: Path, rounds: Sequence[int]) -> None:
        """Take the batches of rounds from disk in the place of what is there."""
        self.rounds = list(rounds)
        for number in rounds:
            found = load_file(folder / file_of(number))
            self.inputs[number % self.slots] = found["inputs"].to(self.inputs.device)
            self.logits[number % self.slots] = found["logits"].to(self.inputs.device)
        self._new.clear()


def file_of(number: int) -> str:
    """Return the name of a round's file."""
    return f"{number:07}.batch"
