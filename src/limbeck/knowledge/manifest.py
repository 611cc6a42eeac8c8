"""What answers belong to: everything that decides them, as JSON beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.views import Views
from limbeck.errors import FolderError
from limbeck.knowledge.form import Dense, Form, Named, Top, Vectors
from limbeck.teachers.base import Teacher

MANIFEST = "manifest.json"
VERSION = 1
CALLED = {
    "version": "the version of the format",
    "teacher": "the teacher (its weights, normalisation or classes)",
    "says": "what the teacher says (logits, probabilities, labels or features)",
    "classes": "the number of classes",
    "augment": "data.augment",
    "seed": "the seed of the views",
    "precision": "the teacher's precision",
    "device": "the kind of device",
    "layout": "dense or top K",
    "top_k": "knowledge.top_k",
    "temperatures": "knowledge.temperatures",
}


@dataclass(frozen=True)
class Manifest:
    """teacher: its fingerprint; says: "logits", "probs", "labels" or "features"; augment: the transforms in words;
    seed: of the views, None without any; precision, device: of the teacher's arithmetic; title: of the teacher, for
    people.
    """

    teacher: str
    says: str
    classes: int
    augment: tuple[str, ...]
    seed: int | None
    precision: str
    device: str
    form: Form
    title: str = ""

    def parts(self) -> dict[str, Any]:
        """Return all that decides the answers and how they are kept, as JSON values."""
        return {
            "version": VERSION,
            "teacher": self.teacher,
            "says": self.says,
            "classes": self.classes,
            "augment": list(self.augment),
            "seed": self.seed,
            "precision": self.precision,
            "device": self.device,
            **self.form.describe(),
        }

    @property
    def key(self) -> str:
        """16 hexadecimal digits, other ones for every other content of `parts`."""
        return hashlib.sha256(json.dumps(self.parts(), sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the text of manifest.json."""
        return json.dumps({**self.parts(), "title": self.title}, indent=1)


def manifest_for(teacher: Teacher, views: Views | None, device: str, form: Form, title: str = "") -> Manifest:
    """Return the manifest of a teacher's answers, or of features that stand in for them; device: such as "cpu"."""
    says = next(one for one in ("logits", "probs", "labels") if one in teacher.provides)
    return Manifest(
        teacher.fingerprint,
        "features" if isinstance(form, Vectors) else says,
        teacher.classes,
        tuple(str(one) for one in views.transforms) if views else (),
        views.seed if views else None,
        teacher.precision,
        device,
        form,
        title,
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a store's manifest as values; FolderError where there is none that can be read."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not CALLED.keys() <= found.keys():
        raise FolderError(f"{folder} is no knowledge store: {MANIFEST} is missing or cannot be read.")
    return found


def form_of(found: Mapping[str, Any]) -> Form:
    """Return the form that a manifest names."""
    if found["layout"] == "dense":
        return Dense(int(found["classes"]))
    if found["layout"] == "vectors":
        return Vectors(int(found["classes"]))
    if found["layout"] == "labels":
        return Named()
    return Top(int(found["top_k"]), tuple(float(one) for one in found["temperatures"]))


def refuse_other(folder: Path, wanted: Manifest) -> None:
    """Raise FolderError where the store in a folder holds other knowledge than wanted, naming every part."""
    found, parts = read_manifest(folder), wanted.parts()
    differing = [f"{CALLED[name]} ({_short(found[name])}, here {_short(parts[name])})"
                 for name in CALLED if found[name] != parts[name]]  # fmt: skip
    if differing:
        raise FolderError(
            f"The knowledge in {folder} is not this run's: {', '.join(differing)} {_differ(differing)}. Leave out "
            f"knowledge.path, name another folder, or remove this one with: limbeck knowledge rm {folder}"
        )


def _differ(parts: list[str]) -> str:
    return "differs" if len(parts) == 1 else "differ"


def _short(value: Any) -> str:
    text = str(value) if not isinstance(value, list) else ", ".join(map(str, value)) or "none"
    return text if len(text) <= 40 else f"{text[:12]}..."
