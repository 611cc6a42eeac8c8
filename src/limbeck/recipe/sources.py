"""Where a teacher may come from, and which keys go with that. A source is KIND:PLACE; `model` stands for none."""

from __future__ import annotations

from collections.abc import Mapping

PLACES = {
    "run": "run:DIR", "file": "file:WEIGHTS.safetensors", "onnx": "onnx:FILE", "labels": "labels:FILE",
    "sklearn": "sklearn:FILE.skops", "keras": "keras:FILE.keras",
    "http": "http://HOST/PATH", "https": "https://HOST/PATH",
}  # fmt: skip
ADDRESSES = ("http:", "https:")
BLACK_BOXES = ("onnx:", "labels:", "sklearn:", "keras:", *ADDRESSES)
ANSWERING = frozenset(kind.rstrip(":") for kind in BLACK_BOXES)
TRAINED = frozenset({"model", *PLACES}) - ANSWERING
FITTING = {
    "model": TRAINED,
    "train": TRAINED,
    "labels": TRAINED,
    "per_seed": TRAINED,
    "classes": ANSWERING | {"run"},
    "input": ANSWERING - {"labels"},
    "http": frozenset({"http", "https"}),
}


def kind_of(source: str | None) -> str:
    """Return the kind of a source, ValueError with a sentence for one that is not known."""
    if source is None:
        return "model"
    kind = source.partition(":")[0]
    if kind not in PLACES or ":" not in source:
        *others, last = (f"'{place}'" for place in PLACES.values())
        raise ValueError(f"source expects {', '.join(others)} or {last}, got {source!r}")
    return kind


def check_keys(kind: str, given: Mapping[str, bool]) -> None:
    """Raise ValueError for the first key that is given and does not go with a kind of source."""
    for key, there in given.items():
        if there and kind not in FITTING[key]:
            raise ValueError(f"{key} does not go with a teacher from {kind}:")
