"""The term shared_classifier: which plans can have it, and how its student gets the teacher's classifier."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError, UserError
from limbeck.models.adapt import Adapted
from limbeck.models.shared_head import SharedHead
from limbeck.models.stages import classifier_of, stages_of
from limbeck.objectives.feature_term import channels_first, over_space

if TYPE_CHECKING:
    from limbeck.objectives.objective import Objective
    from limbeck.run.model_plan import ModelPlan
    from limbeck.run.plan import Plan
    from limbeck.run.stage_plan import StagePlan

TERM, HEAD = "shared_classifier", "head"
ROUNDING = 1e-4


def shares(stage: StagePlan, role: str = "student") -> bool:
    """Whether a role's model gets the teacher's classifier in a stage: the student alone, where a term says so."""
    return role == "student" and stage.objective.shared_classifier is not None


def learner(plan: Plan, stage: StagePlan, role: str = "student") -> ModelPlan:
    """Return who learns in a stage, by a title that names the teacher's classifier where it gets that."""
    made = plan.learner(stage)
    return replace(made, title=f"{made.title} with the teacher's classifier") if shares(stage, role) else made


def check_sharing(plan: Plan) -> None:
    """Raise UserError where a stage with shared_classifier has another start, teacher or successor than it can have."""
    for stage in plan.stages:
        if not shares(stage):
            continue
        if plan.teaches_within or stage.teacher is not None:
            own = "the student itself" if plan.peer is None else "a student beside it"
            who = own if stage.teacher is None else f"stage {stage.teacher}"
            raise UserError(
                f"{TERM} gives the student the classifier of the run's teacher, but {who} teaches stage {stage.name}; "
                f"take a teacher of one model there, or leave the term out."
            )
        if stage.start != "scratch":
            raise UserError(
                f"{TERM} gives the student of stage {stage.name} another classifier than that of stage {stage.start} "
                f"has, so its weights do not fit; say from: scratch, got {stage.start!r}."
            )
        if stage.freeze:
            raise UserError(
                f"{TERM} freezes the classifier of stage {stage.name}, and everything before it has to learn; leave "
                f"freeze out, got {', '.join(stage.freeze)}."
            )
        after = [other.name for other in plan.stages if stage.name in (other.start, other.teacher)]
        if after:
            raise UserError(
                f"The student of stage {stage.name} has the teacher's classifier ({TERM}), so no other stage can start "
                f"from it or learn from it; stage {after[0]} does."
            )


def share(student: Adapted, teacher: Adapted, inputs: Tensor, objective: Objective) -> None:
    """Give a student a projector and a copy of the teacher's classifier in the place of its own.

    inputs: a few samples [B, ...], on the device of both; objective: with the term. Raises ModelError where either
    classifier is not a linear layer that makes the logits of one vector.
    """
    theirs = _reusable(teacher, inputs, objective)
    mine, own = _classifier(student, inputs, "student")
    _, logits = _overheard(student, inputs)
    bias = theirs.bias is not None
    net = SharedHead(student.net, replaces=mine, width=theirs.in_features, classes=student.classes, bias=bias)
    net.to(inputs.device).head.load_state_dict({"weight": theirs.weight} | ({"bias": theirs.bias} if bias else {}))
    fed = inputs if student.normalise is None else student.normalise(inputs)
    training = student.training
    with torch.no_grad():
        vector = net.eval().vector(fed)
    if not _gives(own, vector, logits):
        raise ModelError(
            f"{TERM}: the student's classifier {mine!r} is not the last thing that makes its logits, so another one "
            f"cannot take its place; choose another student."
        )
    student.net = net
    student.train(training)


def _reusable(teacher: Adapted, inputs: Tensor, objective: Objective) -> nn.Linear:
    """Return the teacher's classifier; ModelError where it does not make the logits of what the term listens to."""
    path, found = _classifier(teacher, inputs, "teacher")
    said, logits = _overheard(teacher, inputs)
    fitting = [name for name, one in said.items() if _gives(found, over_space(channels_first(one)), logits)]
    term = objective.shared_classifier
    named = [theirs for _, theirs in term.named] if term is not None else []
    layer = next(reversed(named or stages_of(teacher, inputs)), None)
    if layer in fitting:
        return found
    told = f"that of the layer {layer!r}" if layer else "one that a layer gives"
    cure = f"it gets that of {fitting[-1]!r}, so say layers: ['projector:{fitting[-1]}']" if fitting else (
        "leave the term out, or choose another teacher"
    )  # fmt: skip
    raise ModelError(f"{TERM}: the vector that the teacher's classifier {path!r} gets is not {told}; {cure}.")


def _classifier(model: Adapted, inputs: Tensor, role: str) -> tuple[str, nn.Linear]:
    """Return the path of a model's classifier, and that; ModelError where it is no linear layer."""
    path = classifier_of(model, inputs)
    found = model.net.get_submodule(path)
    if isinstance(found, nn.Linear):
        return path, found
    raise ModelError(
        f"{TERM} expects a {role} whose classifier is a linear layer, got {type(found).__name__} at {path!r}; leave "
        f"the term out, or choose another {role}."
    )


def _overheard(model: Adapted, inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return what the modules of a model give in evaluation mode, by path, and the logits."""
    training = model.training
    said, logits = model.eval().overhear(inputs)
    model.train(training)
    return {one.name: one.output for one in said if one.output is not None}, logits


@torch.no_grad()
def _gives(classifier: nn.Linear, vector: Tensor, logits: Tensor) -> bool:
    """Whether a classifier makes the logits [B, C] of vectors [B, D], within rounding."""
    if vector.shape != (len(logits), classifier.in_features):
        return False
    found = classifier(vector)
    return found.shape == logits.shape and bool((found - logits).abs().max() <= ROUNDING * (1 + logits.abs().max()))
