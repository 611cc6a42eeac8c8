"""One fit of a run as a unit: finished on disk, taken from the cache, or trained now from its checkpoint."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import limbeck
from limbeck.data.dataset import Data
from limbeck.errors import Failure, ModelError
from limbeck.evaluate.calibration import fit_temperature
from limbeck.files import delete, write_text
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import has_matrix_units
from limbeck.models.freeze import BACKBONE, freeze, frozen_checksum, frozen_state
from limbeck.models.further_heads import described
from limbeck.models.lora import Lora, add_adapters
from limbeck.models.shared_head import SharedHead
from limbeck.models.weights import CARD, WEIGHTS, checksum, checksum_of, load_weights, read_card, save_weights
from limbeck.objectives.objective import Objective
from limbeck.run import cache
from limbeck.run.model_plan import ModelPlan
from limbeck.run.probes import Probes
from limbeck.run.profile import timed
from limbeck.teachers.base import Teacher
from limbeck.train import ranks
from limbeck.train.grown import grow
from limbeck.train.loop import Budget, Lesson, Observer, Progress, accuracy, fit, predict
from limbeck.train.peer import Peer
from limbeck.train.phases import Phases
from limbeck.train.settings import Settings

FIT = cache.RECORD
CHECKPOINT = "checkpoint.safetensors"
PACKAGE = Path(limbeck.__file__).parent


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished fit: the model with its best weights, where it is, and how it got there."""

    model: Adapted
    folder: Path
    progress: Progress
    seed: int
    temperature: float
    steps: int  # along the whole chain of stages
    from_cache: bool = False
    validation_samples: int = 0
    layers: tuple[dict[str, Any], ...] = ()  # that terms on features compared, see `pairs_json`
    frozen: dict[str, Any] | None = None  # patterns, tensors, parameters, checksum before and after, where features are
    peer_accuracy: float | None = None  # on the validation samples, of who learned beside it
    lora: dict[str, Any] | None = None  # what adapters there were, how much was trained, how exactly they were merged
    learned: dict[str, dict[str, float]] | None = None  # what terms learned for themselves, by their names


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that decides the result of a fit.

    name: "teacher", "student" or a control's name; probes: finds what a fit with a frozen body is trained on, None for
    one that freezes nothing; lasting: whether later runs may have the same frozen body; lora: what learns in the place
    of the weights, merged into them at the end.
    """

    name: str
    seed: int
    model: Adapted
    made: ModelPlan
    objective: Objective
    lesson: Lesson
    settings: Settings
    budget: Budget
    data: Data
    teacher: Teacher | None = None
    freeze: tuple[str, ...] = ()
    probes: Probes | None = None
    lasting: bool = False
    lora: Lora | None = None

    def carry_out(
        self, folder: Path, device: torch.device, observers: Sequence[Observer], shared: bool, phases: Phases
    ) -> Trained:
        """Return the finished fit of a folder, trained if need be.

        shared: whether the fit may come from the cache and is kept there; only for architectures of the zoo and
        Limbeck's own terms and transforms, since the code of a user's own may change unseen. phases: measures the
        training.
        """
        own_views = self.lesson.views is not None and self.lesson.views.has_own_transforms
        known = self.made.architecture is not None and not self.objective.has_own_terms and not own_views
        key = self.fingerprint(device) if shared and known and ranks.is_first() else None
        if not (folder / FIT).is_file() and key is not None:
            self._fetch(key, folder)
        ranks.mirror(folder, (CHECKPOINT, FIT))
        if not (folder / FIT).is_file():
            self._train(folder, device, observers, phases)
            if key is not None:
                cache.keep(key, folder, (WEIGHTS, CARD, FIT))
        delete(folder / CHECKPOINT)
        ranks.mirror(folder, (WEIGHTS, CARD, FIT))
        return self._read(folder)

    def fingerprint(self, device: torch.device) -> str:
        """Return a SHA-256 (hex) of all that decides the result, versions and threads included."""
        lesson = self.lesson
        views = lesson.views and [[str(one) for one in lesson.views.transforms], lesson.views.seed, lesson.views.count]
        normalise = self.model.normalise
        parts = [
            [_code(), torch.__version__, version("scikit-learn"), device.type, torch.get_num_threads()],
            [has_matrix_units(device), ranks.world()],
            [self.data.fingerprint, self.made.architecture, self.seed, checksum(self.model.net), views],
            [checksum_of(self.model.left or {}), self.model.carried, self.model.new_rows],
            normalise and [normalise.mean.tolist(), normalise.std.tolist()],
            [self.objective.describe(), asdict(self.settings), asdict(self.budget), self.freeze, self._may_probe],
            self.lora and [asdict(self.lora), version("peft")],
            [_digest(rows) for rows in (lesson.rows, lesson.validation, lesson.labels)],
            self.teacher.fingerprint if self.teacher is not None else None,
            [task.described() for task in self.objective.tasks.values()],
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def _may_probe(self) -> bool:
        """Whether a frozen body may be asked once, and not at every step: figures then differ in their last bits."""
        return bool(self.freeze) and self.probes is not None and self.probes.allowed

    def _train(self, folder: Path, device: torch.device, observers: Sequence[Observer], phases: Phases) -> None:
        sample = self.lesson.samples.batch(self.lesson.rows[:2]).inputs.cpu()
        adapters = None if self.lora is None else add_adapters(self.model, self.lora, sample, self.seed)
        freeze(self.model, self.freeze, sample)
        before = frozen_checksum(self.model) if self.freeze or adapters else None
        probe = None
        if self.freeze and self.probes is not None:
            with phases("frozen features"):
                probe = self.probes.find(self, device)
        model, lesson = (self.model, self.lesson) if probe is None else (probe.model, probe.lesson)
        if self.made.grown:
            progress = grow(self.model, self.objective, self.lesson, teacher=self.teacher, seed=self.seed)
        else:
            progress = fit(
                model, self.objective, timed(lesson, phases), self.settings, self.budget,
                teacher=self.teacher, seed=self.seed, name=self.name, device=device, checkpoint=folder / CHECKPOINT,
                observers=observers, phases=phases,
            )  # fmt: skip
        progress.seconds += 0.0 if probe is None else probe.seconds
        self.model.cpu()
        if before is not None and frozen_checksum(self.model) != before:
            raise Failure(f"Frozen weights or buffers of {self.name} changed in training; this is a bug.")
        kept = frozen_state(self.model)
        frozen = {"patterns": self.freeze or (BACKBONE,), "tensors": len(kept), "checksum": before,
                  "parameters": sum(map(torch.numel, kept.values())), "features": probe and probe.kept}  # fmt: skip
        merged = None if adapters is None else adapters.merge(sample)
        temperature = validation_temperature(model, lesson, self.data)
        save_weights(folder, self.model.net, card_of(self.made, self.model, self.data, self.seed, temperature))
        description: dict[str, Any] = {"objective": self.objective.describe(), "layers": pairs_json(self.objective)}
        description |= {"learned": self.objective.learned}
        result = {"progress": asdict(progress), "temperature": temperature, "from_cache": False}
        result |= {"peer_accuracy": self._peer_accuracy(), "lora": merged}
        found = {**description, "settings": asdict(self.settings), "frozen": frozen if before else None, **result}
        write_text(folder / FIT, json.dumps(found))

    def _fetch(self, key: str, folder: Path) -> None:
        """Take the fit from the cache, if it is there; its record then says that it came from there."""
        text = cache.fetch(key, folder)
        if text is None or not self._is_whole(folder):
            return
        try:
            record = json.loads(text)
            Progress(**record["progress"])
        except (ValueError, TypeError, KeyError):
            return
        write_text(folder / FIT, json.dumps({**record, "from_cache": True}))

    def _is_whole(self, folder: Path) -> bool:
        """Whether the weights of a folder are those of its card; a damaged cache entry is trained again."""
        try:
            load_weights(copy.deepcopy(self.model.net), folder / WEIGHTS, expected=read_card(folder)["sha256"])
        except (ModelError, KeyError):
            return False
        return True

    def _peer_accuracy(self) -> float | None:
        """Return how good the peer is at the end, None where nobody learned beside the model."""
        lesson = self.lesson
        if not isinstance(self.teacher, Peer):
            return None
        return accuracy(self.teacher.model, lesson.samples, lesson.validation, lesson.labels)

    def _read(self, folder: Path) -> Trained:
        found: dict[str, Any] = json.loads((folder / FIT).read_text(encoding="utf-8"))
        load_weights(self.model.net, folder / WEIGHTS, expected=read_card(folder)["sha256"])
        self.model.eval()
        progress = Progress(**found["progress"])
        return Trained(
            self.model, folder, progress, self.seed, found["temperature"], progress.step, found["from_cache"],
            len(self.lesson.validation), tuple(found.get("layers", ())), found.get("frozen"),
            found.get("peer_accuracy"), found.get("lora"), found.get("learned"),
        )  # fmt: skip


def pairs_json(objective: Objective) -> list[dict[str, Any]]:
    """Return the pairs of layers that a prepared objective compares, each with the term and the shapes."""
    return [{"term": term, **asdict(pair)} for term, pairs in objective.pairs.items() for pair in pairs]


def card_of(made: ModelPlan, model: Adapted, data: Data, seed: int, temperature: float) -> dict[str, Any]:
    """Return what model.json says about a model."""
    normalise = model.normalise
    return {
        "architecture": made.architecture,
        "shared_classifier": model.net.described() if isinstance(model.net, SharedHead) else None,
        "title": made.title,
        "task": data.task,
        "classes": list(data.classes),
        "heads": described(model, made.heads.classes) if made.heads is not None else None,
        "target": data.scaling and data.scaling.as_json(),
        "shape": list(data.shape),
        "preprocessing": data.preprocessing and data.preprocessing.as_json(),
        "normalise": normalise and {"mean": normalise.mean.tolist(), "std": normalise.std.tolist()},
        "seed": seed,
        "temperature": temperature,
    }


def validation_temperature(model: Adapted, lesson: Lesson, data: Data) -> float:
    """Return the temperature fitted on the labelled validation rows of a lesson; 1 for a model of no classes."""
    if data.task != "classification":
        return 1.0
    rows = lesson.validation.cpu()
    logits = predict(model, lesson.samples, rows)
    return float(fit_temperature(logits.numpy(), lesson.labels.cpu()[rows].numpy()))


@functools.cache
def _code() -> str:
    """Return a SHA-256 (hex) of this package's source, so that no fit outlives the code that made it."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _digest(values: Tensor) -> str:
    return hashlib.sha256(values.cpu().contiguous().numpy().tobytes()).hexdigest()
