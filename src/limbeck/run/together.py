"""What a plan must fulfil to be carried out by several processes, and what its report says of that."""

from __future__ import annotations

import os
from dataclasses import replace

from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.errors import UserError
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan, TeacherPlan
from limbeck.train import ranks

OTHERS = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron",
}


def divide(plan: Plan) -> Plan:
    """Return the plan as several processes carry it out: with notes for the report. The plan itself for one process.

    Raises UserError where a batch has too few samples to be divided, or the launcher was told to split models.
    """
    count = ranks.world()
    if count == 1:
        return plan
    for variable, name in OTHERS.items():
        if os.environ.get(variable, "").lower() == "true":
            raise UserError(
                f"Limbeck divides batches, not models: expected a launch with plain data parallelism, got {name}. "
                f"Switch it off in accelerate's configuration (distributed_type: MULTI_GPU)."
            )
    if plan.peer is not None:
        raise UserError(f"teacher.mutual trains the peer in one process, and {count} were started; start one alone.")
    notes = [f"Trained by {count} processes, each with a slice of every batch."]
    if any(_has_batch_norm(plan, made) for made in _made(plan)):
        notes.append("Batch norm took its statistics from each process's slice of a batch, not from all of it.")
    return _checked(plan, count, tuple(notes))


def _checked(plan: Plan, count: int, notes: tuple[str, ...]) -> Plan:
    sizes = {f"stage {stage.name}": stage.settings.batch_size for stage in plan.stages}
    taught = [one.settings.batch_size for one in _taught(plan) if one.settings is not None]
    sizes |= {"the teacher": min(taught)} if taught else {}
    for who, size in sizes.items():
        if size < count:
            raise UserError(
                f"The batch_size of {who} is {size}, and {count} processes expect {count} or more: it is the number of "
                f"samples of a step in all, and each process takes a slice of it."
            )
    variants = tuple(replace(one, plan=_checked(one.plan, count, notes)) for one in plan.variants)
    return replace(plan, notes=(*plan.notes, *notes), variants=variants)


def _made(plan: Plan) -> list[ModelPlan]:
    """Return the models that are trained: every variant's students, and teachers unless they are taken as they are."""
    points = [variant.plan for variant in plan.variants] or [plan]
    return [*(one.learner(stage) for one in points for stage in one.stages), *(one.model for one in _taught(plan))]


def _taught(plan: Plan) -> list[TeacherPlan]:
    """Return the teachers that are trained."""
    members = plan.ensemble.members if plan.ensemble is not None else ()
    every = [plan.teacher, *(one.model for one in members), *(one.teacher for one in plan.tasks)]
    return [one for one in every if one is not None and one.settings is not None]


def _has_batch_norm(plan: Plan, made: ModelPlan) -> bool:
    return any(isinstance(module, _BatchNorm) for module in plan.model(made, plan.seeds[0]).modules())
