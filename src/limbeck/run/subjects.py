"""Who is asked about corrupted samples: every seed of a run's teacher, student and controls, and the files that ship.

Shapes: S seeds, N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.export.manifest import GRAPH, INT8, check_file, read_manifest
from limbeck.export.run_onnx import Session
from limbeck.models.adapt import Adapted
from limbeck.models.weights import CARD, read_card
from limbeck.robustness.attack import Logits as AsLogits
from limbeck.robustness.attack import Model
from limbeck.run.assess import TEACHER, Findings
from limbeck.run.fits import STUDENT
from limbeck.run.reload import load_model
from limbeck.run.ship import raw_of
from limbeck.train.loop import predict

Logits = NDArray[np.float32]
FILES = {GRAPH: "ONNX", INT8: "8-bit ONNX"}


@dataclass(frozen=True, eq=False)
class Subject:
    """One model, or one file.

    key: in the report; name, title: as there; seeds: of its fits; mark: changes when its weights do; each: gives the
    logits [N, C] of samples, one for each seed; pixels: gives logits [B, C] for pictures [B, ...] in 0..1, one for each
    seed, which a file gets rounded to 8 bits.
    """

    key: str
    role: Literal["teacher", "student", "control", "file"]
    name: str
    title: str
    seeds: tuple[int, ...]
    mark: str
    each: tuple[Callable[[Samples], Logits], ...]
    pixels: tuple[Model, ...]

    def logits(self, samples: Samples) -> Logits:
        """Return the logits of every seed, [S, N, C]."""
        return np.stack([ask(samples) for ask in self.each])


def subjects_of_run(run: Path, report: Mapping[str, Any]) -> list[Subject]:
    """Return the subjects of a finished run: every seed where all seeds of student and controls are kept.

    Otherwise, as after a sweep, the kept seed of each. A teacher that only answers is not asked again.
    """
    places = {STUDENT: run / STUDENT}
    places |= {key: run / "controls" / key for key in report["stages"][-1]["controls"].values()}
    places = {key: place for key, place in places.items() if (place / CARD).is_file()}
    kept = {key: report["models"][key]["best_seed"] for key in places}
    folders = {key: _every_seed(place, report["seeds"]) for key, place in places.items()}
    if not all(folders.values()):
        folders = {key: {kept[key]: place} for key, place in places.items()}
    if (run / TEACHER / CARD).is_file():
        best = report["models"][TEACHER]["best_seed"]
        folders = {TEACHER: _every_seed(run / TEACHER, report["seeds"]) or {best: run / TEACHER}, **folders}
    models = report["models"]
    return [
        _subject(key, models[key], {seed: load_model(place) for seed, place in found.items()},
                 "".join(read_card(place)["sha256"] for place in found.values()))
        for key, found in folders.items()
    ]  # fmt: skip


def subjects_of_findings(findings: Findings, models: Mapping[str, Any], last: str) -> list[Subject]:
    """Return the subjects of a run whose models are still in memory; models: as in the report; last: the last stage."""
    keys = [TEACHER, *findings.stages[last].values()]
    return [
        _subject(key, models[key], {one.seed: one.model for one in findings.fits[key].values()},
                 "".join(read_card(one.folder)["sha256"] for one in findings.fits[key].values()))
        for key in keys
        if key in findings.fits
    ]  # fmt: skip


def subjects_of_files(bundle: Path) -> list[Subject]:
    """Return the ONNX files of a bundle, those whose hash is right."""
    manifest = read_manifest(bundle)
    found = []
    for name, title in FILES.items():
        if name in manifest["files"]:
            session = Session(check_file(bundle, name, manifest))
            seeds, mark = (int(manifest["seed"]),), manifest["files"][name]["sha256"]
            found.append(
                Subject(name, "file", title, name, seeds, mark, (_asking_file(session),), (_asking_pixels(session),))
            )
    return found


def _every_seed(folder: Path, seeds: list[int]) -> dict[int, Path]:
    """Return the folder of each seed; nothing where one of them is not there."""
    found = {seed: folder / "seeds" / str(seed) for seed in seeds}
    return found if all((place / CARD).is_file() for place in found.values()) else {}


def _subject(key: str, about: Mapping[str, Any], models: Mapping[int, Adapted], mark: str) -> Subject:
    each = tuple(_asking(model) for model in models.values())
    pixels = tuple(AsLogits(model) for model in models.values())
    return Subject(key, about["role"], about["name"], about["title"], tuple(models), mark, each, pixels)


def _asking(model: Adapted) -> Callable[[Samples], Logits]:
    return lambda samples: predict(model, samples).numpy()


def _asking_file(session: Session) -> Callable[[Samples], Logits]:
    return lambda samples: session.logits_and_probabilities(raw_of(samples))[0]


def _asking_pixels(session: Session) -> Model:
    def ask(pixels: Tensor) -> Tensor:
        stored = (pixels * 255).round_().to(torch.uint8)
        logits, _ = session.logits_and_probabilities(stored.cpu().numpy())
        return torch.from_numpy(logits).to(pixels.device)

    return ask
