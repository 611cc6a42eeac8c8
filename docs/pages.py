"""Write the pages that follow from the code, `make pages`: every `--help`, and every key of a recipe."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make pages` from the code; do not edit. -->"
PLAIN = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
LOUD = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
OWN = "../guide/objectives.md#classes-of-your-own"
OWN_TRANSFORM = "../guide/views.md#transforms-of-your-own"
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

Schema = Mapping[str, Any]


def main() -> None:
    """Write the pages, or those that are named, into docs/reference or another folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=HERE / "reference")
    parser.add_argument("pages", nargs="*", default=list(PAGES))
    options = parser.parse_args()
    for name in options.pages:
        (options.folder / name).write_text("\n".join(PAGES[name]()) + "\n", encoding="utf-8")


def commands() -> Iterator[str]:
    """Yield the page of commands: what each prints for --help in a terminal of 80 columns."""
    from limbeck.cli.app import app

    yield from (NOTE, "", "# Commands", "", "What `limbeck --help` and each command's `--help` print.", "")
    yield from _printed()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        yield from ("", f"## {name}", "")
        yield from _printed(name)
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:  # type: ignore[union-attr]
            yield from ("", f"## {group.name} {command.name}", "")
            yield from _printed(str(group.name), str(command.name))


def _printed(*command: str) -> Iterator[str]:
    environment = {key: value for key, value in os.environ.items() if key not in LOUD} | PLAIN
    words = [sys.executable, "-m", "limbeck", *command, "--help"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, encoding="utf-8", check=True)
    yield from ("```text", *(line.rstrip() for line in done.stdout.strip("\n ").splitlines()), "```")


def recipe() -> Iterator[str]:
    """Yield the page of the recipe: each key with type, default and meaning, as `limbeck schema` has them."""
    from limbeck.recipe.model import Recipe

    schema = Recipe.model_json_schema()
    kinds: Schema = schema["$defs"]
    named: dict[str, str] = {}
    for place, kind in _sections("", schema, kinds):
        named.setdefault(kind, place)
    named |= {name: name.removesuffix("Section").lower() for name in kinds if name == "ScheduleSection"}
    choices = {name: f"{name.lower()}s" for name in kinds if name in ("Model", "Term", "Transform")}
    yield from (NOTE, "", "# Recipe", "")
    yield from ("Every key that a recipe may have, as `limbeck schema` has them. Other keys are mistakes.", "")
    yield from _table(schema, named | choices)
    for kind, place in named.items():
        yield from ("", f"## {place}", "", _summary(kinds[kind]), "")
        yield from _table(kinds[kind], named | choices)
    for kind, title in choices.items():
        yield from ("", f"## {title}", "", f"One of them, with its options: `{_example(kind)}`.")
        yield "The name alone stands for the defaults."
        if _allows_own(kinds[kind]):
            place = OWN_TRANSFORM if kind == "Transform" else OWN
            yield f"Or [a class of your own]({place}), by its place: `package.module:Class`."
        for name, value in _chosen(kinds[kind])["properties"].items():
            options = kinds[_reference(value)]
            yield from ("", f"### {name}", "", _summary(options), "")
            yield from _table(options, named | choices)


def _sections(place: str, schema: Schema, kinds: Schema) -> Iterator[tuple[str, str]]:
    """Yield each place that is a section of keys, with the name of its kind."""
    for key, value in schema["properties"].items():
        kind = _reference(value)
        if kind and "properties" in kinds[kind]:
            inner = f"{place}.{key}" if place else key
            yield inner, kind
            yield from _sections(inner, kinds[kind], kinds)


def _reference(value: Schema) -> str | None:
    """Return the name of the kind that a value refers to, itself, as one of several, as an item or under each name."""
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    each = [value[key] for key in ("items", "additionalProperties") if isinstance(value.get(key), dict)]
    inside = [*value.get("anyOf", ()), *each]
    return next((kind for one in inside if (kind := _reference(one))), None)


def _chosen(kind: Schema) -> Schema:
    return next(one for one in kind["anyOf"] if "properties" in one)


def _allows_own(kind: Schema) -> bool:
    return "patternProperties" in _chosen(kind)


def _example(kind: str) -> str:
    return {"Model": "{mlp: {hidden: [32]}}", "Term": "{soft_labels: {weight: 0.9}}"}.get(kind, "{shift: {pixels: 1}}")


def _summary(kind: Schema) -> str:
    """Return the first paragraph of a description."""
    return " ".join(kind.get("description", "").split("\n\n")[0].split())


def _table(kind: Schema, places: Mapping[str, str]) -> Iterator[str]:
    rows = kind.get("properties", {})
    if not rows:
        yield "It has no options."
        return
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    for key, value in rows.items():
        meaning = value.get("description", "")
        if not meaning:
            sys.exit(f"{kind.get('title')}: its docstring says nothing about {key}; write '{key}: what it is.' there.")
        default = _default(value) if key not in kind.get("required", ()) else "**required**"
        start = meaning.split()[0].rstrip(",")
        told = (meaning if len(start) == 1 and start != "a" else meaning[0].upper() + meaning[1:]) + "."
        cells = (f"`{key}`", _type(value, places), default, told)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default)}`".replace('"', "")


def _type(value: Schema, places: Mapping[str, str]) -> str:
    if "$ref" in value:
        place = places[_reference(value) or ""]
        return f"[{place}](#{re.sub(r'[^a-z0-9_-]', '', place)})"
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(one, places) for one in value["anyOf"] if one.get("type") != "null"))
    if "enum" in value or "const" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return _list(value, places)
    if value.get("type") == "object":
        inner = value["additionalProperties"]
        return f"names, each with {_type({} if inner is True else inner, places)}"
    limits = ", ".join(f"{sign} {value[key]:g}" for key, sign in LIMITS.items() if key in value)
    return f"{KINDS[value['type']] if 'type' in value else 'any value'} {limits}".rstrip()


def _list(value: Schema, places: Mapping[str, str]) -> str:
    if "prefixItems" in value:
        return f"[{', '.join(_type(one, places) for one in value['prefixItems'])}]"
    return f"list of {_type(value['items'], places)}"


PAGES = {"commands.md": commands, "recipe.md": recipe}

if __name__ == "__main__":
    main()
