"""Run the shipped recipes and write their results: `python benchmarks/recipes.py [RECIPE...] --data DIR`.

A run folder that is finished already is read, not run again. The results go to `benchmarks/results/` as one
dated page for each recipe, made from the runs' report.json and predictions alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cases import CASES, Case, cases_of
from page import Finished, write_page

from limbeck.recipe.load import load_recipe
from limbeck.run.pipeline import REPORT, run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    known = list(dict.fromkeys(case.recipe for case in CASES))
    parser = argparse.ArgumentParser(description="Run shipped recipes and write their results.")
    parser.add_argument("recipes", nargs="*", default=known, metavar="RECIPE", help=f"of {', '.join(known)}")
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="default: $LIMBECK_DATA")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    if unknown := set(options.recipes) - set(known):
        parser.error(f"expected recipes of {', '.join(known)}; got {', '.join(sorted(unknown))}")
    if options.data:
        os.environ["LIMBECK_DATA"] = options.data
    for recipe in options.recipes:
        finished = [finish(case, options.runs) for case in cases_of(recipe)]
        print(write_page(options.results, RECIPES / f"{recipe}.yaml", HERE / "notes" / f"{recipe}.md", finished))


def finish(case: Case, runs: Path) -> Finished:
    """Return the finished run of a case; run it, or go on with it, where it is not."""
    folder = runs / case.key
    if case.after is not None:
        finish_run(case.after, runs / case.after, ())
    finish_run(case.recipe, folder, [setting.format(runs=runs) for setting in case.settings])
    return Finished(case, folder, read_report(folder))


def finish_run(recipe: str, folder: Path, settings: Sequence[str]) -> None:
    """Run a recipe into a folder, or go on with it, where it is not finished."""
    if not (folder / REPORT).is_file():
        print(f"Running {folder.name}", file=sys.stderr)
        plan = plan_from_recipe(load_recipe(RECIPES / f"{recipe}.yaml", settings))
        run(plan, out=folder, resume=(folder / "recipe.yaml").is_file())


if __name__ == "__main__":
    main()
