"""What a model is called on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_label(models: Mapping[str, Any], key: str) -> str:
    """Return a model's short name; where the key names a stage too ("hard/labels"), the key, which tells them apart.

    models: report["models"]. A key that is not among them is returned as it is.
    """
    return str(models[key]["name"]) if key in models and "/" not in key else key


def name_and_title(model: Mapping[str, Any]) -> str:
    """Return a model's name with what it is: "self_training (its own pseudo-labels)"."""
    name, title = model["name"], model["title"]
    return str(name) if title == name else f"{name} ({title})"
