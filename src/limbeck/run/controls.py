"""Which controls a run has: those that make sense, or those of them that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.dataset import Data
from limbeck.errors import UserError, did_you_mean
from limbeck.recipe.generated import GeneratedSection
from limbeck.recipe.model import CONTROLS
from limbeck.recipe.tasks import CONTROLS_OF, STAND_INS, check_controls
from limbeck.run.stage_plan import StagePlan
from limbeck.types import known

LABELLED = ("labels", "smoothing")
SINGLE = "single"
ALWAYS = ("labels", "gaussian_noise")  # the control that is never left out: with real samples, with generated ones


def resolve_controls(
    asked: Sequence[str] | None,
    data: Data,
    withholds: bool,
    stages: Sequence[StagePlan],
    *,
    within: bool = False,
    transfers: bool = False,
    made: GeneratedSection | None = None,
    tasks: Sequence[str] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the controls to train, and a note for each that was asked for but makes no sense here.

    withholds: whether labels are kept from the student; within: whether the teacher is a part of the student's fit, so
    that nobody has labels to give before; transfers: whether the student starts from weights that were trained before;
    made: how samples are generated; tasks: the further ones, each of which has a network alone where `single` is asked
    for, beside that of the main one.
    """
    unlabelled = withholds or not bool(known(data.pool.labels[data.train]).all())
    taught = any(stage.objective.needs for stage in stages) and not within
    possible = ["labels", "smoothing"]
    possible += ["teacher_labels"] if taught else []
    possible += ["self_training"] if unlabelled else []
    possible += ["source_only"] if taught and any(stage.objective.aligns for stage in stages) else []
    possible += ["adversarial", "trades"] if any(stage.objective.adversarial for stage in stages) else []
    possible += ["scratch"] if transfers else []
    possible += [SINGLE] if tasks else []
    if made is not None:
        possible = [name for name in possible if name == "teacher_labels" or (made.real != "none" and name in LABELLED)]
        possible += [name for name in STAND_INS if name not in _without(made)]
    possible = [name for name in possible if name in CONTROLS_OF[data.task]]
    if asked is None:
        return tuple(name for name in possible if name != SINGLE), ()
    if not asked:
        return (), ()
    for name in asked:
        if name not in CONTROLS:
            raise UserError(f"controls expects {', '.join(CONTROLS)}, got {name!r}.{did_you_mean(name, CONTROLS)}")
    try:
        check_controls(asked, data.task)
    except ValueError as error:
        raise UserError(f"{error}.") from None
    reasons = {
        "self_training": "there is no sample without a label",
        "adversarial": "no term makes inputs that fool the student",
        "trades": "no term makes inputs that fool the student",
        "source_only": "labels leaves the domains apart already, or no term brings them together",
        "scratch": "the student starts from new weights in any case",
        SINGLE: "there is one task alone",
        "teacher_labels": "no term asks a finished model" if within else "no term asks a teacher",
        "labels": "the student has no labels",
        "smoothing": "the student has no labels",
        **dict.fromkeys(STAND_INS, "no samples are generated, or there is no such source"),
    }
    notes = [f"The control {name} was left out: {reasons[name]}." for name in asked if name not in possible]
    chosen = [name for name in possible if name in {ALWAYS[made is not None], *asked}]
    alone = [f"{SINGLE}-{name}" for name in tasks] if SINGLE in chosen else []
    return (*chosen, *alone), tuple(notes)


def _without(made: GeneratedSection) -> set[str]:
    """Return the controls on samples of another kind that cannot be, or would be the student itself."""
    return {{"noise": "gaussian_noise"}.get(made.preset, made.preset), *(() if made.proxy else ("proxy",))}
