"""Does the teacher give one answer for one sample? B: samples in the batch, C: classes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from limbeck.models.adapt import Adapted
from limbeck.models.weights import checksum
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject

SHOWN = 64
SAME = 1e-3


def check_eval_mode(subject: Subject) -> list[Finding]:
    """Ask for the same samples twice, whole and in halves; findings named `eval_mode`.

    A fault where, in evaluation mode, answers differ by more than a thousandth of their own spread, a forward pass
    changes weights or buffers, or a batch norm or dropout stays in training mode. A warning where a module from
    Python was handed over in training mode and answers otherwise in it: the run uses evaluation mode.
    """
    assert subject.teacher is not None
    inputs = subject.pool.batch(subject.plan.data.train[:SHOWN]).inputs
    teacher = copy.deepcopy(subject.teacher).to(subject.device).eval()
    stuck = [
        name
        for name, part in teacher.net.named_modules()
        if part.training and isinstance(part, _BatchNorm | _DropoutNd)
    ]
    reasons = [f"{stuck[0]} stays in training mode"] if stuck else []
    with torch.no_grad():
        reasons += _differences(teacher, inputs)
        if reasons:
            sentence = f"The teacher is not in evaluation mode when it is asked to be: {', '.join(reasons)}."
            return [Finding("fault", "eval_mode", f"{sentence} Look for a train() of its own, or functional dropout.")]
        return _handed_over(subject, teacher, inputs)


def _differences(teacher: Adapted, inputs: Tensor) -> list[str]:
    before = checksum(teacher.net)
    first, second = teacher(inputs).logits, teacher(inputs).logits
    halves = torch.cat([teacher(part).logits for part in inputs.chunk(2)])
    found = []
    if differ(first, second):
        found.append("the same samples get another answer the second time")
    elif differ(first, halves):
        found.append("the answer for a sample depends on the others in its batch")
    if checksum(teacher.net) != before:
        found.append("being asked changes its buffers")
    return found


def _handed_over(subject: Subject, teacher: Adapted, inputs: Tensor) -> list[Finding]:
    assert subject.teacher is not None and subject.plan.teacher is not None
    if subject.plan.teacher.model.architecture is not None or not subject.teacher.net.training:
        return []
    as_given: nn.Module = copy.deepcopy(subject.teacher).to(subject.device)
    if not differ(as_given(inputs).logits, teacher(inputs).logits):
        return []
    return [
        Finding(
            "warning",
            "eval_mode",
            "The teacher was handed over in training mode, in which it answers otherwise (dropout, batch norm). The "
            "run uses evaluation mode; call teacher.eval() before you measure it yourself.",
        )
    ]


def differ(one: Tensor, other: Tensor) -> bool:
    """Whether two sets of logits [B, C] differ by more than a thousandth of their spread."""
    spread = float(one.std()) if one.numel() > 1 else 0.0
    return float((one - other).abs().max()) > SAME * max(spread, 1e-6)
