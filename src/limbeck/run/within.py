"""Who teaches inside a fit and belongs to it alone: the student's own average, or a peer that learns beside it."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Arithmetic, choose
from limbeck.models.work import multiply_adds
from limbeck.run.plan import Plan
from limbeck.run.stage_plan import StagePlan
from limbeck.teachers.base import Teacher
from limbeck.teachers.itself import SelfTeacher
from limbeck.train.peer import Peer
from limbeck.train.settings import Settings


def teacher_within(
    plan: Plan, stage: StagePlan, model: Adapted, seed: int, device: torch.device, sample: Tensor | None = None
) -> Teacher | None:
    """Return the teacher of a fit that is made for it alone; None where another model teaches.

    model: the student as it starts, which is not touched; sample: a few inputs [B, ...] that a peer's precision is
    chosen by, as for the student; it is fp32 without them.
    """
    if stage.teacher is not None:
        return None
    if plan.itself is not None:
        return SelfTeacher(copy.deepcopy(model).to(device), plan.itself)
    if plan.peer is None:
        return None
    made = (plan.peer.model or plan.learner(stage)).from_scratch()
    peer = plan.model(made, seed_of_peer(seed)).to(device)
    return Peer(peer, PLAIN if sample is None else _arithmetic(peer.eval(), stage.settings, sample.to(device)))


def seed_of_peer(seed: int) -> int:
    """Return what a peer's weights are drawn by: none of a run's other models has them, whatever its seeds."""
    return int.from_bytes(hashlib.sha256(f"peer/{seed}".encode()).digest()[:7])


def _arithmetic(peer: Adapted, settings: Settings, sample: Tensor) -> Arithmetic:
    work = multiply_adds(peer, sample) * settings.batch_size
    return replace(choose(settings.precision, peer, sample, work), channels_last=False)
