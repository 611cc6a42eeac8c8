"""What a plan must fulfil to be carried out by several processes, and what its report says of that."""

from __future__ import annotations

import os
from dataclasses import replace

from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.errors import UserError
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan
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
    notes = [f"Trained by {count} processes, each with a slice of every batch."]
    if any(_has_batch_norm(plan, made) for made in _made(plan)):
        notes.append("Batch norm took its statistics from each process's slice of a batch, not from all of it.")
    return _checked(plan, count, tuple(notes))


def _checked(plan: Plan, count: int, notes: tuple[str, ...]) -> Plan:
    taught = plan.teacher.settings if plan.teacher is not None else None
    sizes = {f"stage {stage.name}": stage.settings.batch_size for stage in plan.stages}
    sizes |= {} if taught is None else {"the teacher": taught.batch_size}
    for who, size in sizes.items():
        if size < count:
            raise UserError(
                f"The batch_size of {who} is {size}, and {count} processes expect {count} or more: it is the number of "
                f"samples of a step in all, and each process takes a slice of it."
            )
    variants = tuple(replace(one, plan=_checked(one.plan, count, notes)) for one in plan.variants)
    return replace(plan, notes=(*plan.notes, *notes), variants=variants)


def _made(plan: Plan) -> list[ModelPlan]:
    """Return the models that are trained: every variant's student, and the teacher unless it is taken as it is."""
    taught = [plan.teacher.model] if plan.teacher is not None and plan.teacher.settings is not None else []
    return [plan.student, *(variant.plan.student for variant in plan.variants), *taught]


def _has_batch_norm(plan: Plan, made: ModelPlan) -> bool:
    return any(isinstance(module, _BatchNorm) for module in plan.model(made, plan.seeds[0]).modules())
