"""What commands print: JSON where that is asked for, else a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_found(found: Any, as_json: bool, table: Callable[[Any], Any]) -> None:
    """Print what a command has found to stdout; table: makes of it what rich can print."""
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        Console().print(table(found))
