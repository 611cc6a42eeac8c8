"""How a student that was trained before is moved to the data: a short way to write stages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from limbeck.errors import UserError
from limbeck.models.library import LIBRARIES
from limbeck.objectives import L2Sp, WeightPenalty
from limbeck.objectives.domain_term import DomainTerm
from limbeck.recipe.choices import TERMS
from limbeck.recipe.schedule import ScheduleSection

if TYPE_CHECKING:
    from limbeck.recipe.model import LearnerSection, Recipe, StudentSection

Adapt = Literal["probe_then_tune", "full", "probe", "gradual"]
Frozen = tuple[str, ...]

PROBE_SHARE = 4  # the classifier learns alone for one part in so many
BACKBONE = ("backbone",)
SILENT = (DomainTerm, WeightPenalty, L2Sp)  # terms that teach a classifier nothing about classes


def starts_elsewhere(student: StudentSection | LearnerSection) -> bool:
    """Whether a student starts from weights of a file, an earlier run or a library."""
    options = student.model.options if student.model.name in LIBRARIES else {}
    named = (student.source or "").startswith(("file:", "run:"))
    return named or bool(options.get("pretrained") or options.get("weights"))


def way_of(recipe: Recipe) -> Adapt:
    """Return how the student of a recipe is moved: as it says, else by probing and fine-tuning where that fits.

    That is where the student starts from weights of elsewhere, nothing says what is frozen, and the terms can be told
    in two stages: they teach the classifier, and no weight is a schedule.
    """
    if recipe.stages is not None or recipe.objective is None:
        return "full"
    if recipe.student.adapt is not None:
        return recipe.student.adapt
    plain = not any(isinstance(term.options["weight"], ScheduleSection) for term in recipe.objective)
    shared = any(term.name == "shared_classifier" for term in recipe.objective)
    fits = plain and not shared and not recipe.student.freeze and _units(recipe) > 1 and _reaches_classifier(recipe)
    return "probe_then_tune" if fits and starts_elsewhere(recipe.student) else "full"


def check_adapt(recipe: Recipe) -> None:
    """Raise ValueError where `student.adapt` says what the recipe's other keys do not allow."""
    way, student = recipe.student.adapt, recipe.student
    if way is None or way == "full":
        return
    if recipe.stages is not None:
        raise ValueError(f"student.adapt stands for stages, and there are stages already; leave it out, got {way!r}")
    if recipe.objective is None:
        return
    if student.source is None and not starts_elsewhere(student):
        raise ValueError(
            f"student.adapt moves a model that was trained before, but the student starts from new weights; give "
            f"student.source, or pretrained or weights of a library's model, got {way!r}"
        )
    if not _reaches_classifier(recipe):
        raise ValueError(
            f"student.adapt {way!r} begins with the classifier alone, but no term of the objective teaches it; add "
            f"cross_entropy or soft_labels, or say full"
        )
    if way == "probe_then_tune" and _units(recipe) < 2:
        raise ValueError("student.adapt 'probe_then_tune' takes at least two epochs or steps, got student.train of 1")


def in_stages(recipe: Recipe, frozen: Sequence[Frozen | None]) -> list[dict[str, Any]]:
    """Return one stage for each set of frozen parts, as a recipe says it, with as many steps in all as in one go.

    frozen: what each stage freezes, None for what `student.freeze` says. Raises UserError for more stages than there
    are epochs or steps.
    """
    if len(frozen) > _units(recipe):
        raise UserError(
            f"student.adapt {recipe.student.adapt} trains this network in {len(frozen)} parts, so it takes at least as "
            f"many epochs or steps; got student.train of {_units(recipe)}."
        )
    assert recipe.objective is not None  # else there are stages
    names = ["probe", "tune"] if len(frozen) == 2 else ["probe", *(f"tune-{one}" for one in range(1, len(frozen)))]
    shared = {"objective": recipe.objective, "balance": recipe.balance}
    found: list[dict[str, Any]] = []
    for name, parts, units in zip(names, frozen, _shares(_units(recipe), len(frozen)), strict=False):
        train = recipe.student.train
        length = {"epochs": units} if train.steps is None else {"steps": units}
        start = "scratch" if not found else found[-1]["name"]
        told = {"name": name, "from": start, "freeze": parts, "train": train.model_copy(update=length)}
        found.append(told | shared | {"lora": recipe.student.lora if parts is None else None})
    return found


def _units(recipe: Recipe) -> int:
    """Return how long the student is trained, in epochs or steps, whichever the recipe says."""
    train = recipe.student.train
    return int(train.epochs if train.steps is None else train.steps)


def _shares(units: int, parts: int) -> list[int]:
    """Divide a training in two, the first part short, or in as many equal parts as there are."""
    if parts <= 2:
        first = max(1, round(units / PROBE_SHARE))
        return [units] if parts == 1 else [first, units - first]
    ends = [round(units * place / parts) for place in range(parts + 1)]
    return [end - start for start, end in itertools.pairwise(ends)]


def _reaches_classifier(recipe: Recipe) -> bool:
    """Whether a term looks at what the student says."""
    kinds = [TERMS[term.name] for term in recipe.objective or () if not term.is_own]
    own = any(term.is_own for term in recipe.objective or ())
    return own or any("features" not in kind.needs and not issubclass(kind, SILENT) for kind in kinds)
