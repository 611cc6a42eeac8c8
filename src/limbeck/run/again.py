"""`limbeck export`: the bundle of a finished run, written again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.models.weights import read_card
from limbeck.recipe.load import parse_recipe
from limbeck.run.folder import RECIPE, is_python_run, refuse_changed
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report
from limbeck.run.ship import FOLDER, write_student


def export_again(folder: Path, *, trust: bool = False) -> Path:
    """Write RUN/export from RUN/student and return its path; trust: import a class of the user's own for it.

    Raises FolderError when the run is not finished, DataError when its data came from Python or changed.
    """
    report = read_report(folder)
    text = (folder / RECIPE).read_text(encoding="utf-8")
    card = read_card(folder / "student")
    if is_python_run(folder):
        raise DataError(
            f"{folder} was made from Python; export it again by the limbeck.distill call that made it, with force=True."
        )
    plan = _of_the_chosen(plan_from_recipe(parse_recipe(text, source=str(folder / RECIPE)), trust=trust), report)
    refuse_changed(folder, plan.data)
    model = load_model(folder / "student", plan.student.build() if card["architecture"] is None else None)
    write_student(folder, plan, model, seed=card["seed"], temperature=card["temperature"], sha256=card["sha256"])
    return folder / FOLDER


def _of_the_chosen(plan: Plan, report: Mapping[str, Any]) -> Plan:
    """Return the plan of the variant that the run's student is; the plan itself where nothing was swept."""
    chosen = report["sweep"]["chosen"] if report["sweep"] else ""
    return next((variant.plan for variant in plan.variants if variant.name == chosen), plan)
