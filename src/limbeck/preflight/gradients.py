"""Does the loss reach every weight of the student? B: samples in the batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from limbeck.objectives.schedule import peak
from limbeck.preflight.finding import Finding
from limbeck.preflight.lesson import Rehearsal, sentences_for, student_rehearsal
from limbeck.preflight.subject import Subject

BATCHES = 3
MUCH = 0.1
CONSTANT = 1e-6


def check_objective(subject: Subject) -> list[Finding]:
    """Look at the weights of the terms, named `objective`: a fault where all are 0, a warning where one is."""
    found = []
    for stage in subject.plan.stages:
        pairs = zip(stage.objective.names, stage.objective.weights, strict=True)
        zero = [name for name, weight in pairs if peak(weight) == 0]
        if len(zero) == len(stage.objective.names):
            found.append(Finding("fault", "objective", f"Every term of stage {stage.name} has weight 0."))
        elif zero:
            sentence = f"{', '.join(zero)} has weight 0 in stage {stage.name} and teaches nothing; leave it out."
            found.append(Finding("warning", "objective", sentence))
    return found


def check_student_varies(subject: Subject) -> list[Finding]:
    """A fault named `student_constant` where the student answers alike for different samples at the start.

    Alike: over one batch, no logit varies by more than a millionth of its size.
    """
    rehearsal = student_rehearsal(subject, subject.plan.stages[0])
    with sentences_for("student"), torch.no_grad():
        logits = rehearsal.model.eval()(rehearsal.batch(0).inputs).logits
    spread = (logits - logits[:1]).abs().max()
    if not bool(torch.isfinite(spread)) or float(spread) > CONSTANT * max(float(logits.abs().max()), CONSTANT):
        return []
    sentence = (
        "The student gives the same answer for every sample; look for dead units, a detached layer or black input."
    )
    return [Finding("fault", "student_constant", sentence)]


def check_gradients(subject: Subject) -> list[Finding]:
    """Send three batches back through the student for every stage; findings named `frozen` and `gradient`.

    Frozen weights (requires_grad off) are a warning, a fault where all are. A parameter whose gradient is missing or
    exactly 0 in all batches is a warning, and a fault where such parameters make up a tenth of the weights. The bias
    of a layer whose weight does learn is exempt in a student with normalisation: a norm behind it cancels it.
    """
    assert subject.student is not None
    parameters = dict(subject.student.net.named_parameters())
    frozen = [name for name, value in parameters.items() if not value.requires_grad]
    found = [_frozen(frozen, parameters)] if frozen else []
    if len(frozen) == len(parameters):
        return found
    for stage in subject.plan.stages:
        rehearsal = student_rehearsal(subject, stage)
        parameters = dict(rehearsal.model.net.named_parameters())
        dead = set(_dead(rehearsal))
        if dead:
            share = _weights(dead, parameters) / _weights(parameters, parameters)
            sentence = (
                f"No gradient reaches {len(dead)} of the student's {len(parameters)} parameters in stage {stage.name} "
                f"({share:.0%} of its weights; first {min(dead)}); look for a dead or detached layer or an unused head."
            )
            found.append(Finding("fault" if share >= MUCH else "warning", "gradient", sentence))
    return found


def _frozen(names: list[str], parameters: dict[str, nn.Parameter]) -> Finding:
    share = _weights(names, parameters) / _weights(parameters, parameters)
    sentence = (
        f"{len(names)} of the student's {len(parameters)} parameters are frozen ({share:.0%} of its weights; first "
    )
    every = len(names) == len(parameters)
    end = "nothing can be learned." if every else "set requires_grad if they should learn."
    return Finding("fault" if every else "warning", "frozen", f"{sentence}{names[0]}); {end}")


def _dead(rehearsal: Rehearsal) -> Iterator[str]:
    """Yield the trainable parameters that got no gradient in any batch."""
    net = rehearsal.model.net
    reached: set[str] = set()
    for step in range(BATCHES):
        net.zero_grad(set_to_none=True)
        with sentences_for("student"):
            batch = rehearsal.batch(step)
            loss = rehearsal.loss(batch, rehearsal.knowledge(batch))
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
        reached |= {name for name, value in net.named_parameters() if value.grad is not None and bool(value.grad.any())}
    normed = any(isinstance(part, _NormBase | nn.GroupNorm | nn.LayerNorm) for part in net.modules())
    for name, value in net.named_parameters():
        exempt = normed and name.endswith("bias") and name.removesuffix("bias") + "weight" in reached
        if value.requires_grad and name not in reached and not exempt:
            yield name


def _weights(names: list[str] | set[str] | dict[str, nn.Parameter], parameters: dict[str, nn.Parameter]) -> int:
    return sum(parameters[name].numel() for name in names)
