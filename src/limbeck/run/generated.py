"""Generated samples in a run: made after the teacher, kept in generated/, and put in the place of the training samples.

From there on everything goes its ordinary way: the teacher answers for the pool, student and controls learn from it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.errors import FolderError, ModelError, UserError
from limbeck.files import write_bytes, write_text
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import Arithmetic, choose
from limbeck.models.stages import stages_of
from limbeck.models.weights import checksum
from limbeck.models.work import multiply_adds
from limbeck.objectives.domain_term import vectors
from limbeck.recipe.generated import GeneratedSection
from limbeck.run.chains import BySeed
from limbeck.run.evolved import evolved, teacher_of
from limbeck.run.fits import Workshop
from limbeck.run.plan import Plan
from limbeck.run.stand_in import frame_of, stand_in
from limbeck.synthesis.batch_norm import Moments
from limbeck.synthesis.contrastive import Memory
from limbeck.synthesis.evolution import forget
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.from_generator import FromGenerator
from limbeck.synthesis.from_latents import FromLatents
from limbeck.synthesis.from_pixels import FromPixels
from limbeck.synthesis.gan import Gan
from limbeck.synthesis.gauges import Gauge, GaugeJson
from limbeck.synthesis.grid import grid
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.learner import Learner
from limbeck.synthesis.maker import Maker
from limbeck.synthesis.noise import gaussian_noise
from limbeck.synthesis.pool import Pool, file_of
from limbeck.synthesis.presets import PRESETS, Preset
from limbeck.synthesis.state import Progress
from limbeck.synthesis.statistics import known_moments, recorded_moments
from limbeck.synthesis.synthesise import Course, forget_state, synthesise
from limbeck.train import ranks
from limbeck.train.threads import fitting_threads
from limbeck.types import known

FOLDER, MANIFEST, GRID = "generated", "manifest.json", "grid.png"
MEMORY = 4096  # samples that new ones are told from
RECORDED_AT_ONCE = 500


def generated(workshop: Workshop, teachers: BySeed) -> Workshop:
    """Return the workshop with generated samples in the place of its training samples; itself where there are none.

    They are read where an earlier process has finished them, else made. Raises TrainingError where they come to
    nothing.
    """
    plan = workshop.plan
    section = plan.generated
    if section is None:
        return workshop
    if ranks.world() > 1:
        raise UserError("data.generated is made by one process; start the run without accelerate launch.")
    inputs = _inputs(workshop, section, teachers)
    data = stand_in(plan, inputs)
    variants = tuple(replace(one, plan=_with(one.plan, plan.data, data)) for one in plan.variants)
    plan = replace(_with(plan, plan.data, data), variants=variants)
    return replace(workshop, plan=plan, pool=data.pool.to(workshop.device))


def _with(plan: Plan, real: Data, data: Data) -> Plan:
    return replace(plan, data=data, real=real, labels_per_class=None)


def _inputs(workshop: Workshop, section: GeneratedSection, teachers: BySeed) -> Tensor:
    """Return the samples [N, ...] as a pool stores them."""
    plan = workshop.plan
    if section.preset == "proxy":
        assert plan.proxy is not None  # the plan has opened it
        return plan.proxy.inputs
    if section.preset == "noise":
        frame = frame_of(plan)
        return frame.stored(gaussian_noise(frame, section.pool, torch.Generator().manual_seed(section.seed)))
    folder = workshop.folder / FOLDER
    if section.preset == "evolution":
        key = _key(plan, section, teacher_of(workshop, teachers).fingerprint)
        if (folder / MANIFEST).is_file():
            return _read(folder, key)
        found, gauges = evolved(workshop, section, teachers, folder)
        inputs, asked = frame_of(plan).stored(found.samples), found.generation * section.pool
        write_bytes(folder / file_of(0), save({"inputs": inputs, "logits": found.scores}))
        told = {"key": key, "preset": section.preset, "rounds": found.generation, "seconds": found.seconds}
        inputs = _finish(workshop, {**told, "questions": asked}, gauges, [0], inputs, found.scores)
        forget(folder)
        return inputs
    model = next(iter(teachers.values())).model
    key = _key(plan, section, checksum(model.net))
    if (folder / MANIFEST).is_file():
        return _read(folder, key)
    work = Work.of(plan, section, model, workshop.device)
    said = multiply_adds(work.guide.teacher, work.frame.nothing()) * section.batch
    workshop.watcher.say(f"Generating samples ({section.preset})")
    with fitting_threads(said, workshop.device):
        progress = work.carry_out(folder, workshop)
    told = {"key": key, "preset": section.preset, "rounds": progress.round, "seconds": progress.seconds}
    inputs = _finish(workshop, told, progress.gauges, progress.rounds, *work.pool.contents())
    forget_state(folder)
    return inputs


def _finish(
    workshop: Workshop,
    told: Mapping[str, Any],
    gauges: Sequence[GaugeJson],
    rounds: Sequence[int],
    inputs: Tensor,
    logits: Tensor,
) -> Tensor:
    """Write the grid and the manifest of samples whose batches are written, and return the samples."""
    folder = workshop.folder / FOLDER
    if inputs.dtype == torch.uint8:
        write_bytes(folder / GRID, grid(inputs, logits.argmax(1), logits.shape[1]))
    files = {file_of(number): _sha(folder / file_of(number)) for number in rounds}
    write_text(folder / MANIFEST, json.dumps({**told, "files": files, "gauges": gauges}, indent=1))
    workshop.watcher.say(
        f"Generated {len(inputs):,} samples in {told['seconds']:,.0f} s; the teacher sees {gauges[-1]['classes']} of "
        f"{logits.shape[1]} classes in them"
    )
    return inputs.cpu()


@dataclass(frozen=True, eq=False)
class Work:
    """Everything that a synthesis needs."""

    section: GeneratedSection
    preset: Preset
    frame: Frame
    guide: Guide
    maker: Maker
    pool: Pool
    learner: Learner | None

    @classmethod
    def of(cls, plan: Plan, section: GeneratedSection, teacher: Adapted, device: torch.device) -> Work:
        """Make it ready, drawn by the section's seed."""
        preset, frame = PRESETS[section.preset], frame_of(plan, device)
        weights, classes = preset.weights.changed(section.weights), len(plan.data.classes)
        steps = preset.student_steps if section.student_steps is None else section.student_steps
        model = copy.deepcopy(teacher).to(device).eval().requires_grad_(False)
        arithmetic = _arithmetic(model, frame, section.batch)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(section.seed)
            student = plan.model(plan.student.from_scratch(), section.seed).to(device) if steps else None
            learner = None if student is None else Learner(student, arithmetic)
            layer = _listen(model, frame) if weights.activation or weights.contrastive else None
            moments = _moments(plan, section, model, device)
            memory = _memory(model, layer, frame) if weights.contrastive and layer is not None else None
            guide = Guide(model, weights, moments, layer, student, memory, arithmetic)
            maker = _maker(plan, section, preset, frame)
        if arithmetic.channels_last:
            for net in (model, *(() if student is None else (student,)), *maker.modules.values()):
                net.to(memory_format=torch.channels_last)
        size = section.pool // section.batch * section.batch
        pool = Pool(frame, size=size, batch=section.batch, classes=classes)
        return cls(section, replace(preset, student_steps=steps), frame, guide, maker, pool, learner)

    def carry_out(self, folder: Path, workshop: Workshop) -> Progress:
        """Fill the pool."""
        section = self.section
        rounds = section.rounds or self.preset.rounds or self.pool.slots
        steps = self.preset.student_steps
        course = Course(max(rounds, self.pool.slots), section.minutes, steps, section.seed, section.restart)
        told: list[Gauge] = []
        return synthesise(self.maker, self.guide, self.pool, course, folder, learner=self.learner, tell=told.append)


def _arithmetic(model: Adapted, frame: Frame, batch: int) -> Arithmetic:
    """Return how teacher, student and generator compute: as a student of the teacher's size would."""
    shown = frame.nothing()
    return choose("auto", model, shown, multiply_adds(model, shown) * batch)


def _maker(plan: Plan, section: GeneratedSection, preset: Preset, frame: Frame) -> Maker:
    """Return what makes samples, with new weights."""
    classes, rate, steps = len(plan.data.classes), section.rate or preset.rate, section.steps or preset.steps
    latent, width = section.latent, section.width
    if section.preset == "dafl":
        return FromGenerator(frame, latent=latent, width=width, rate=rate, steps=steps)
    if section.preset == "deep_inversion":
        return FromPixels(frame, classes=classes, rate=rate, steps=steps)
    if section.preset == "gan":
        labels = plan.visible_labels(plan.seeds[0])
        rows = plan.data.train[known(labels[plan.data.train])]
        real = plan.data.pool.batch(rows).inputs
        return Gan(frame, real, labels[rows], classes=classes, latent=latent, width=width, rate=rate, steps=steps)
    return FromLatents(frame, classes=classes, latent=latent, width=width, rate=rate, steps=steps, meta=preset.meta)


def _listen(model: Adapted, frame: Frame) -> str | None:
    """Let a teacher give the features before its classifier; return that layer, None where it has none."""
    layers = stages_of(model, frame.nothing())
    if not layers:
        return None
    try:
        model.listen_to(layers[-1:])
        model(frame.nothing())
    except ModelError:
        model.listen_to(())
        return None
    return layers[-1]


def _memory(model: Adapted, layer: str, frame: Frame) -> Memory:
    device = frame.mean.device
    features = vectors(model(frame.nothing()).features[layer])
    return Memory(MEMORY, features.shape[1]).to(device)


def _moments(plan: Plan, section: GeneratedSection, model: Adapted, device: torch.device) -> Moments:
    """Return what is known of the inputs of the teacher's layers, or recorded where the recipe asks for that."""
    if section.statistics == "none":
        return {}
    found = known_moments(model)
    if found or section.statistics == "teacher":
        return found
    return recorded_moments(model, _real(plan, device))


def _real(plan: Plan, device: torch.device) -> Iterator[Tensor]:
    for rows in torch.split(plan.data.train, RECORDED_AT_ONCE):
        yield plan.data.pool.batch(rows).inputs.to(device)


def _key(plan: Plan, section: GeneratedSection, teacher: str) -> str:
    """Return a SHA-256 (hex) of what decides the samples: the section, the teacher (a fingerprint), and the student."""
    parts = [section.model_dump(mode="json"), teacher, plan.student.described(), list(plan.data.shape)]
    parts += [plan.data.fingerprint] if section.preset == "gan" or section.statistics == "recorded" else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(folder: Path, key: str) -> Tensor:
    """Return the samples of a finished synthesis. Raises FolderError where they are others, or not whole."""
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if found["key"] != key:
        raise FolderError(f"{folder} holds samples of another teacher or recipe; begin a new run.")
    for name, sha in found["files"].items():
        if not (folder / name).is_file() or _sha(folder / name) != sha:
            raise FolderError(f"{folder / name} is not what was written; delete {folder} to have samples made again.")
    return torch.cat([load_file(folder / name)["inputs"] for name in found["files"]])


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
