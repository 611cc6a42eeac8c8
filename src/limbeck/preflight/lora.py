"""Do the adapters that a recipe wishes for find layers to stand beside?"""

from __future__ import annotations

import copy

from limbeck.models.lora import add_adapters
from limbeck.preflight.finding import Finding
from limbeck.preflight.lesson import SHOWN
from limbeck.preflight.subject import Subject
from limbeck.run.stage_plan import StagePlan


def check_lora(subject: Subject) -> list[Finding]:
    """Add the adapters of every stage that has some to a copy of its student; a note named `lora` for each.

    Raises ModelError where a pattern names no layer, or peft is not installed.
    """
    return [_note(subject, stage) for stage in subject.plan.stages if stage.lora is not None]


def _note(subject: Subject, stage: StagePlan) -> Finding:
    assert stage.lora is not None  # the caller looks
    model = copy.deepcopy(subject.learner(stage))
    sample = subject.plan.data.pool.batch(subject.plan.data.train[:SHOWN]).inputs
    found = add_adapters(model, stage.lora, sample, subject.plan.seeds[0])
    return Finding(
        "note",
        "lora",
        f"Stage {stage.name} trains {found.trained:,} values, in adapters beside {len(model.adapters)} layers and in "
        f"the classifier; the student has {found.parameters:,}.",
    )
