"""Samples that a teacher known by its answers alone is led to by chance and choice: an evolution strategy.

Shapes: N samples, C classes. Each sample is to become a class; what it turns into by chance is kept where the teacher
is at least as sure of that class. It needs many questions for what a gradient tells in one, and what it comes to is
less like real samples: weaker than the presets that look into the teacher.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from limbeck.errors import TrainingError
from limbeck.files import delete, write_bytes
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.gauges import Gauge, GaugeJson, answered
from limbeck.synthesis.maker import every_class
from limbeck.synthesis.synthesise import GAUGES, SAVED_SECONDS, seed_of

STATE = "evolution.safetensors"
SURE = 0.95  # of a class: surer than that is no better, so that samples go on changing
BORROWED = 0.5  # of the changes are a part of another sample
PATIENCE = 0.5  # of the generations before too few classes end it
COARSEST = 2  # cells along a side of the coarsest noise

Ask = Callable[[Tensor], Tensor]
"""From samples [N, ...], as a model takes them, to log probabilities [N, C]."""


@dataclass
class Population:
    """samples: [N, ...] as a model takes them; wanted: the class that each is to become, int64 [N]; scores: the
    teacher's log probabilities [N, C]; generation: how many there were, the first drawn; seconds: of work."""

    samples: Tensor
    wanted: Tensor
    scores: Tensor
    generation: int = 1
    seconds: float = 0.0

    @property
    def fitness(self) -> Tensor:
        """How sure the teacher is of what each sample is to become, up to SURE: log probability [N]."""
        own = self.scores.gather(1, self.wanted[:, None])[:, 0]
        return own.clamp_max(torch.tensor(SURE).log().item())


def evolve(
    frame: Frame, ask: Ask, *, count: int, classes: int, generations: int, seed: int, folder: Path
) -> tuple[Population, list[GaugeJson]]:
    """Return N = count samples after some generations, each of which asks about N, and the gauges over time.

    generations: 1 or more, the first of them drawn. State is kept in the folder, so that a kill loses seconds of work;
    what a generation does follows from the seed and its number. Raises TrainingError, with the reason, where the
    teacher sees half of the classes at most.
    """
    found, gauges = _load(folder / STATE) or (None, [])
    with torch.random.fork_rng(devices=[]):
        if found is None:
            torch.manual_seed(seed_of(seed, 0))
            samples = frame.shown(frame.stored(_first(frame, count)))
            found = Population(samples, every_class(count, classes, torch.device("cpu")), ask(samples))
        begun, saved = time.monotonic() - found.seconds, time.monotonic()
        while True:
            if GAUGES * found.generation >= generations * len(gauges):
                gauges.append(asdict(_gauge(frame, found)))
                _check(found, classes, generations)
            if found.generation >= generations:
                return found, gauges
            torch.manual_seed(seed_of(seed, found.generation))
            _turn(frame, found, ask)
            found.seconds = time.monotonic() - begun
            if time.monotonic() - saved > SAVED_SECONDS:
                _save(folder / STATE, found, gauges)
                saved = time.monotonic()


def forget(folder: Path) -> None:
    """Delete what only an unfinished evolution needs."""
    delete(folder / STATE)


def _first(frame: Frame, count: int) -> Tensor:
    """Return samples to begin with: pictures of coarse noise, or vectors of normal numbers."""
    drawn = torch.randn(count, *frame.shape)
    noise = _coarse(drawn) if frame.pictures else drawn
    return _within(frame, frame.spread(frame.mean.cpu()) + frame.spread(frame.std.cpu()) * noise)


def _turn(frame: Frame, now: Population, ask: Ask) -> None:
    """Change every sample by chance, and keep the changes that are no worse."""
    borrowed = torch.rand(len(now.samples)) < BORROWED
    others = now.samples[torch.randperm(len(now.samples))]
    changed = torch.where(_each(borrowed, others), _crossed(frame, now.samples, others), _shaken(frame, now.samples))
    changed = frame.shown(frame.stored(changed))
    said = Population(changed, now.wanted, ask(changed))
    kept = said.fitness >= now.fitness
    now.samples = torch.where(_each(kept, changed), changed, now.samples)
    now.scores = torch.where(kept[:, None], said.scores, now.scores)
    now.generation += 1


def _shaken(frame: Frame, samples: Tensor) -> Tensor:
    """Return samples with noise of their own strength and, of pictures, of a common coarseness."""
    strength = _each(torch.exp(torch.randn(len(samples)) - 1.0), samples)
    noise = _coarse(torch.randn_like(samples)) if frame.pictures else torch.randn_like(samples) * _mask(samples)
    return _within(frame, samples + strength * frame.spread(frame.std.cpu()) * noise)


def _crossed(frame: Frame, samples: Tensor, others: Tensor) -> Tensor:
    """Return samples with a part of others: a rectangle of pictures, some values of vectors."""
    if not frame.pictures:
        return torch.where(_mask(samples) > 0, others, samples)
    inside = torch.ones(len(samples), 1, *samples.shape[2:], dtype=torch.bool)
    for axis, length in ((2, samples.shape[2]), (3, samples.shape[3])):
        ends = torch.sort(torch.randint(length + 1, (len(samples), 2)), dim=1).values
        place = torch.arange(length)
        within = (place >= ends[:, :1]) & (place < ends[:, 1:])
        inside &= within[:, None, :, None] if axis == 2 else within[:, None, None, :]
    return torch.where(inside, others, samples)


def _mask(samples: Tensor) -> Tensor:
    """Return 1 for some values of each sample and 0 for the others, another share of them for each."""
    return (torch.rand_like(samples) < _each(torch.rand(len(samples)), samples)).float()


def _coarse(noise: Tensor) -> Tensor:
    """Return noise [N, K, H, W] as coarse as chance has it, from half of a side to a pixel, of deviation near 1."""
    height, width = noise.shape[2:]
    most = max(min(height, width), COARSEST)
    cells = round(COARSEST * (most / COARSEST) ** float(torch.rand(())))
    small = noise[:, :, :cells, :cells]
    return functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=True)


def _within(frame: Frame, samples: Tensor) -> Tensor:
    return samples.clamp(0, 1) if frame.pictures else samples


def _each(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def _gauge(frame: Frame, now: Population) -> Gauge:
    sure = float(now.scores.gather(1, now.wanted[:, None]).exp().mean())
    return answered(frame, now.samples, now.scores, now.generation, now.seconds, {"sure": sure})


def _check(now: Population, classes: int, generations: int) -> None:
    """End the work where the teacher sees half of the classes at most, once there was time for others to come up."""
    seen = int((torch.bincount(now.scores.argmax(dim=1), minlength=classes) > 0).sum())
    if seen <= classes // 2 and now.generation >= PATIENCE * generations:
        raise TrainingError(
            f"Generating samples stopped in generation {now.generation}: the teacher sees only {seen} of {classes} "
            f"classes in the samples; raise data.generated.queries, or take the preset proxy."
        )


def _save(path: Path, now: Population, gauges: list[GaugeJson]) -> None:
    tensors = {"samples": now.samples, "wanted": now.wanted, "scores": now.scores}
    told = {"generation": str(now.generation), "seconds": str(now.seconds), "gauges": json.dumps(gauges)}
    write_bytes(path, save({name: one.contiguous() for name, one in tensors.items()}, metadata=told))


def _load(path: Path) -> tuple[Population, list[GaugeJson]] | None:
    """Return what was reached, and the gauges until then; None where there is no usable file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            told, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return None
    now = Population(**tensors, generation=int(told["generation"]), seconds=float(told["seconds"]))
    return now, json.loads(told["gauges"])
