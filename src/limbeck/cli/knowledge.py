"""The commands about kept answers: `label` fills a store, `knowledge` shows, checks and removes stores."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from limbeck.cli.printing import Json, print_found
from limbeck.errors import UserError

if TYPE_CHECKING:
    from limbeck.knowledge.verify import Verified

Names = Annotated[list[str] | None, typer.Argument(help="Stores, by name (its start is enough) or folder.")]
console = Console(stderr=True)

knowledge = typer.Typer(help="Show, check and remove what teachers said.", no_args_is_help=True)


def label(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=V", help="Change a recipe's value; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    trust: Annotated[bool, typer.Option("--trust", help="Import the package.module:Class the recipe names.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the teacher about every view of every sample, and keep the answers; later runs read them.

    What was asked before is not asked again, so it may be stopped and started at any time. Under accelerate launch or
    torchrun, processes share the work.
    """
    from limbeck.cli.progress import Bars
    from limbeck.recipe.load import load_recipe
    from limbeck.run.device import pick_device
    from limbeck.run.label import label as fill_stores
    from limbeck.run.plan import plan_from_recipe
    from limbeck.train import ranks

    plan = plan_from_recipe(load_recipe(recipe, set_ or []), trust=trust)
    with Bars(console) as bars:
        found = fill_stores(plan, pick_device(device), bars)
    for one in found if ranks.is_first() else []:
        if as_json:
            print(json.dumps(asdict(one)))
        else:
            told = f"{one.forwards:,} asked now, {one.rows:,} rows, {one.bytes:,} bytes"
            console.print(told, highlight=False)
            print(one.folder)


@knowledge.command("ls", epilog="Example: limbeck knowledge ls --json")
def list_stores(as_json: Json = False) -> None:
    """List the stores in the cache, the one used last first."""
    from limbeck.cli.tables import stores_table
    from limbeck.run.shelf import all_stores, describe_store

    found = [describe_store(folder) for folder in all_stores()]
    print_found(found, as_json, stores_table)


@knowledge.command("rm", epilog="Example: limbeck knowledge rm 3f2a --yes")
def remove_stores(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove every store in the cache.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove stores; the next run with their teacher asks it again."""
    from limbeck.run.shelf import all_stores, find_stores, remove

    if bool(names) == everything:
        raise UserError("knowledge rm expects the names of stores, or --all; limbeck knowledge ls lists them.")
    folders = all_stores() if everything else find_stores(names or [])
    for folder in folders:
        if yes or typer.confirm(f"Remove {folder}?", err=True):
            console.print(f"Removed {escape(str(folder))}, {remove(folder):,} bytes.", highlight=False, soft_wrap=True)


@knowledge.command("verify", epilog="Example: limbeck knowledge verify --recipe digits.yaml")
def verify_stores(
    names: Names = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Ask this recipe's teacher about every row again, and compare.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Import the package.module:Class the recipe names.")] = False,
    as_json: Json = False,
) -> None:
    """Check every file of stores by its checksum; exit code 1 where something is broken, missing or wrong."""
    from limbeck.cli.tables import verified_table
    from limbeck.knowledge.store import Store
    from limbeck.knowledge.verify import verify
    from limbeck.run.shelf import all_stores, find_stores

    if names and recipe is not None:
        raise UserError("knowledge verify expects names of stores or --recipe, not both.")
    if recipe is not None:
        found = _compared(recipe, trust)
    else:
        folders = find_stores(names) if names else all_stores()
        found = {str(folder): verify(Store(folder)) for folder in folders}
    if as_json:
        print(json.dumps({folder: {**asdict(one), "sound": one.sound} for folder, one in found.items()}))
    else:
        Console().print(verified_table({folder: (asdict(one), one.sound) for folder, one in found.items()}))
    if not all(one.sound for one in found.values()):
        raise typer.Exit(1)


def _compared(recipe: Path, trust: bool) -> dict[str, Verified]:
    from limbeck.cli.progress import Bars
    from limbeck.recipe.load import load_recipe
    from limbeck.run.device import pick_device
    from limbeck.run.label import verify_with
    from limbeck.run.plan import plan_from_recipe

    plan = plan_from_recipe(load_recipe(recipe), trust=trust)
    with Bars(console) as bars:
        return verify_with(plan, pick_device(), bars)
