"""What a plan says of trees: they are grown in one step, from new, on every view of every sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from limbeck.errors import UserError
from limbeck.models.trees import Trees
from limbeck.train.grown import check_targets
from limbeck.train.settings import Settings

if TYPE_CHECKING:
    from limbeck.data.dataset import Data
    from limbeck.data.views import Views
    from limbeck.run.model_plan import ModelPlan
    from limbeck.run.plan import Plan


def settled(plan: Plan) -> Plan:
    """Return a plan whose trees take their one step; a plan without trees as it is. Raises UserError for what trees
    cannot do.
    """
    if plan.teacher is not None and plan.teacher.settings is not None and plan.teacher.model.grown:
        _check_model(plan.teacher.model, plan.teacher.settings, plan.teacher.views, "teacher")
        plan = replace(plan, teacher=replace(plan.teacher, settings=_one_step(plan.data, plan.teacher.views)))
    if not plan.student.grown:
        return plan
    for stage in plan.stages:
        _check_model(plan.student, stage.settings, plan.views, "student")
        check_targets(stage.objective)
        if stage.start != "scratch":
            raise UserError(
                f"Trees are grown anew in every stage; give stage {stage.name} from: scratch, got from: {stage.start}."
            )
    if plan.wishes.top_k is not None:
        raise UserError("Trees learn from whole distributions; leave knowledge.top_k out.")
    if plan.int8:
        raise UserError("An int8 file is made of matrix products, and trees have none; set export.int8 to false.")
    stages = tuple(replace(stage, settings=_one_step(plan.data, plan.views)) for stage in plan.stages)
    return replace(plan, stages=stages, notes=(*plan.notes, _chance(plan)))


def _check_model(model: ModelPlan, settings: Settings, views: Views | None, role: str) -> None:
    if model.weights is not None:
        raise UserError(f"The {role} is grown anew, so it cannot start from weights; leave {role}.source out.")
    if settings != Settings():
        raise UserError(f"{model.title} is grown in one step, so {role}.train says nothing to it; leave it out.")
    if views is not None and views.count == "fresh":
        raise UserError(
            f"{model.title} is grown on every view of every sample, and data.views: fresh has no end; give data.views "
            f"a number."
        )


def _one_step(data: Data, views: Views | None) -> Settings:
    """Return the settings of one step over all training samples in all views."""
    count = 1 if views is None or views.count == "fresh" else views.count
    return Settings(steps=1, batch_size=max(len(data.train), 1) * count)


def _chance(plan: Plan) -> str:
    net = plan.student.build()
    assert isinstance(net, Trees)
    drawn = "the labels that are drawn" if plan.labels_per_class is not None else ""
    differ = " and in ".join(one for one in (net.chance, drawn) if one) or "nothing"
    return f"Nothing is random in the start of {plan.student.title}: its seeds differ in {differ}."
