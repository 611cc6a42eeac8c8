"""Where a teacher may come from, and which keys go with that. A source is KIND:PLACE; `model` stands for none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import DataError

PLACES = {
    "run": "run:DIR", "file": "file:WEIGHTS.safetensors", "onnx": "onnx:FILE", "labels": "labels:FILE",
    "sklearn": "sklearn:FILE.skops", "keras": "keras:FILE.keras",
    "http": "http://HOST/PATH", "https": "https://HOST/PATH",
}  # fmt: skip
LIBRARIES = {"timm": "timm:NAME", "torchvision": "torchvision:NAME", "hf": "hf:DIR"}
ADDRESSES = ("http:", "https:")
BLACK_BOXES = ("onnx:", "labels:", "sklearn:", "keras:", *ADDRESSES)
ANSWERING = frozenset(kind.rstrip(":") for kind in BLACK_BOXES)
OF_CLASSES = frozenset({"keras", "http", "https"})  # not asked about values or several labels yet
TRAINED = frozenset({"model", *PLACES}) - ANSWERING
FITTING = {
    "model": TRAINED | {"ready"},
    "train": TRAINED,
    "labels": TRAINED,
    "per_seed": TRAINED,
    "classes": ANSWERING | {"run", "ready"},
    "input": ANSWERING - {"labels"},
    "http": frozenset({"http", "https"}),
    "ready": frozenset({"ready"}),
}


def kind_of(source: str | None) -> str:
    """Return the kind of a source, ValueError with a sentence for one that is not known."""
    if source is None:
        return "model"
    kind = source.partition(":")[0]
    if kind not in PLACES or ":" not in source:
        *others, last = (f"'{place}'" for place in (PLACES | LIBRARIES).values())
        raise ValueError(f"source expects {', '.join(others)} or {last}, got {source!r}")
    return kind


def named_model(given: Any) -> Any:
    """Return a section whose source is a model of a library (timm:NAME) as one whose model that is."""
    if not isinstance(given, dict) or not isinstance(given.get("source"), str) or given.get("model") is not None:
        return given
    kind, _, name = given["source"].partition(":")
    if kind not in LIBRARIES or not name:
        return given
    return {**given, "source": None, "model": {kind: {"name": name}}}


def check_keys(kind: str, given: Mapping[str, bool]) -> None:
    """Raise ValueError for the first key that is given and does not go with a kind of source."""
    for key, there in given.items():
        if there and kind not in FITTING[key]:
            other = "ready: true" if kind == "ready" else f"a teacher from {kind}:"
            raise ValueError(f"{key} does not go with {other}")


def expand(text: str) -> str:
    """Fill in environment variables ($LIMBECK_DATA) and ~; DataError for a variable that is not set.

    An address (http://...) is returned as it is: a secret in it would be written down.
    """
    if text.startswith(ADDRESSES):
        return text
    expanded = os.path.expandvars(text)
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset:
        raise DataError(f"{text} names the environment variable {unset.group(1)}, which is not set.")
    kind, colon, place = expanded.partition(":")
    return f"{kind}:{Path(place).expanduser()}" if colon else expanded
