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
    from limbeck.run.model_plan import ModelPlan
    from limbeck.run.plan import Plan
    from limbeck.run.stage_plan import StagePlan

TERM, HEAD = "shared_classifier", "head"
ROUNDING = 1e-4


def shares(stage: StagePlan, role: str = "student") -> bool:
    """Whether a role's model gets the teacher's classifier in a stage: the student alone, where a term says so."""
    return role == "student" and stage.objective.shares_classifier


def learner(plan: Plan, stage: StagePlan, role: str = "student") -> ModelPlan:
    """Return who learns in a stage, by a title that names the teacher's classifier where it gets that."""
    made = plan.learner(stage)
    return replace(made, title=f"{made.title} with the teacher's classifier") if shares(stage, role) else made


def check_sharing(plan: Plan) -> None:
    """Raise UserError where a stage with shared_classifier has another start, teacher or successor than it can have."""
    for stage in plan.stages:
        if not shares(stage):
            continue
        if plan.itself is not None or stage.teacher is not None:
            who = "the student itself" if stage.teacher is None else f"stage {stage.teacher}"
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


def share(student: Adapted, teacher: Adapted, inputs: Tensor) -> None:
    """Give a student a projector and a copy of the teacher's classifier in the place of its own.

    inputs: a few samples [B, ...], on the device of both. Raises ModelError where either classifier is not a linear
    layer that gives the logits from one vector.
    """
    path, theirs = _classifier(teacher, inputs, "teacher")
    mine, own = _classifier(student, inputs, "student")
    said, logits = _overheard(teacher, inputs)
    layers = stages_of(teacher, inputs)
    vector = said.get(layers[-1]) if layers else None
    if vector is None or not _gives(theirs, over_space(channels_first(vector)), logits):
        raise ModelError(
            f"{TERM}: the teacher's classifier {path!r} does not make the logits of the last layer that can be "
            f"compared ({layers[-1] if layers else 'there is none'}) alone, so it cannot be used again; leave the term "
            f"out, or choose another teacher."
        )
    _, before = _overheard(student, inputs)
    net = SharedHead(student.net, replaces=mine, width=theirs.in_features, classes=student.classes,
                     bias=theirs.bias is not None).to(inputs.device)  # fmt: skip
    net.head.load_state_dict({name: value.detach() for name, value in _own(theirs)})
    fed = inputs if student.normalise is None else student.normalise(inputs)
    training = student.training
    with torch.no_grad():
        if not _gives(own, net.eval().vector(fed), before):
            raise ModelError(
                f"{TERM}: the student's classifier {mine!r} is not the last thing that makes its logits, so another "
                f"one cannot take its place; return what it gives."
            )
    student.net = net
    student.train(training)


def _own(classifier: nn.Linear) -> list[tuple[str, Tensor]]:
    return [("weight", classifier.weight)] + ([] if classifier.bias is None else [("bias", classifier.bias)])


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
