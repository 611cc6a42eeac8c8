"""Fits whose body is frozen: what the body gives is computed once, and the classifier is trained on that."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.files import cache_folder
from limbeck.knowledge.advise import DISK_SHARE, size_text
from limbeck.knowledge.features import Features, bytes_of
from limbeck.knowledge.form import Vectors
from limbeck.knowledge.label import Labeller
from limbeck.knowledge.manifest import Manifest, manifest_for
from limbeck.knowledge.recall import LIMIT_BYTES
from limbeck.knowledge.spot import spot_check
from limbeck.knowledge.store import STORES, Store, open_store
from limbeck.knowledge.wishes import Wishes
from limbeck.models.adapt import Adapted
from limbeck.models.prefix import Split, split
from limbeck.run.watch import Watcher
from limbeck.teachers.module import ModuleTeacher
from limbeck.train import ranks
from limbeck.train.loop import Lesson

if TYPE_CHECKING:
    from limbeck.run.jobs import Job

SAMPLE = 2  # inputs that a body is tried with: each costs as much as a feature, and there are many tries


@dataclass(frozen=True, eq=False)
class Probe:
    """What is trained in the place of a model with a frozen body, and on what.

    model: its classifier alone, the same object as in the model; lesson: its features; kept: "stored" or "memory";
    seconds: spent on features that were not there yet.
    """

    model: Adapted
    lesson: Lesson
    kept: str
    seconds: float


class Probes:
    """Finds what fits of a run with a frozen body are trained on; the features of the last one are kept for the next.

    wishes: of the recipe; folder: of the run.
    """

    def __init__(self, wishes: Wishes, folder: Path, watcher: Watcher) -> None:
        self.wishes, self.folder, self.watcher = wishes, folder, watcher
        self._last: tuple[str, Features] | None = None

    @property
    def allowed(self) -> bool:
        """Whether features may be computed once at all; several processes ask the body at every step."""
        return self.wishes.mode != "live" and ranks.world() == 1

    def find(self, job: Job, device: torch.device) -> Probe | None:
        """Return what a job whose model is frozen is trained on, its features computed; None for the model itself.

        The choice follows from the job and the room there is, never from a clock, so a resumed run makes it again.
        Raises FolderError where a store's features are not the body's.
        """
        if not (self.allowed and _is_fixed(job)):
            return None
        started, lesson = time.monotonic(), job.lesson
        sample = lesson.samples.batch(lesson.rows[:SAMPLE]).inputs
        halves = split(job.model, sample.cpu())
        numbers = views_shown(job)
        if halves is None or (self.wishes.mode == "auto" and _shown(job) < _once(job, numbers)):
            return None
        features = self._features(job, halves, sample.to(device), len(numbers))
        if features is None:
            return None
        self._prepare(features, job, numbers)
        kept = "memory" if features.store is None else "stored"
        return Probe(halves.rest, replace(lesson, samples=features.shown()), kept, time.monotonic() - started)

    def _features(self, job: Job, halves: Split, sample: Tensor, count: int) -> Features | None:
        """Return where the features of a body are, or will be; None where there is no room for them."""
        samples, views = job.lesson.samples, job.lesson.views
        body = ModuleTeacher(halves.body.to(sample.device), sample, job.settings.precision)
        form, title = Vectors(body.classes), f"the frozen part of {job.made.title}"
        manifest = manifest_for(body, views, sample.device.type, form, title)
        if self._last is not None and self._last[0] == manifest.key:
            last = self._last[1]
            if last.samples is samples and last.views is views and last.count >= count:
                return last
        size = bytes_of(samples, form.width, count)
        place = self._place(job, manifest, size)
        if place is None and size > LIMIT_BYTES and self.wishes.mode == "auto":
            self.watcher.say(f"No room for {size_text(size)} of features, so the frozen part is asked at every step")
            return None
        store = None if place is None else self._opened(place, manifest, Labeller(body, samples, views, form), count)
        features = Features(body, samples, views, count, store, resident=store is None or size <= LIMIT_BYTES)
        self._last = manifest.key, features
        return features

    def _place(self, job: Job, manifest: Manifest, size: int) -> Path | None:
        """Return the folder of the store, None for memory alone.

        Without a wish, features are stored where a later run may want them: those of a body that came from elsewhere.
        """
        root, views = cache_folder(), job.lesson.views
        if self.wishes.mode == "stored":
            return (root or self.folder) / STORES / manifest.key
        own = views is not None and views.has_own_transforms
        if self.wishes.mode == "memory" or root is None or own or not job.lasting:
            return None
        place = root / STORES / manifest.key
        there = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
        return place if place.exists() or size <= shutil.disk_usage(there).free * DISK_SHARE else None

    def _opened(self, place: Path, manifest: Manifest, labeller: Labeller, count: int) -> Store:
        """Return the store of a folder, some of what is in it compared with what the body gives."""
        store = open_store(place, manifest)
        if len(store):
            spot_check(store, labeller, range(count))
        return store

    def _prepare(self, features: Features, job: Job, numbers: range) -> None:
        """Compute what is not there of the views that training shows, and of the untouched validation samples."""
        before, of = features.asked, _once(job, numbers)

        def heard(count: int) -> None:
            self.watcher.computed(count, of)

        for view in numbers:
            features.prepare(job.lesson.rows, view, heard)
        features.prepare(job.lesson.validation, 0, heard)
        if asked := features.asked - before:
            kept = "in memory" if features.store is None else "stored"
            size = size_text(asked * features.form.bytes_per_row)
            self.watcher.say(f"The frozen part of {job.name} gave {asked:,} features, once for all ({size}, {kept})")


def views_shown(job: Job) -> range:
    """Return the numbers of the views that a fit shows; their number is known."""
    views, rows, domain = job.lesson.views, job.lesson.rows, job.lesson.samples.domain
    count = 1 if views is None else views.count
    assert count != "fresh"
    sizes = [len(rows)] if domain is None else torch.bincount(domain.to(rows.device)[rows]).tolist()
    least = min(size for size in sizes if size)
    return range(min(count, -(-job.budget.steps * job.settings.batch_size // least)))


def _is_fixed(job: Job) -> bool:
    """Whether nothing in a job but its classifier can want more than the body's last vector, for views that return."""
    objective, views = job.objective, job.lesson.views
    listens = bool(objective.compares_features) or objective.aligned_layers is not None or objective.remembers_source
    fresh = views is not None and views.count == "fresh"
    hears = job.teacher is None or job.teacher.recalls
    looks = listens or objective.has_own_terms or objective.shared_classifier is not None or objective.adversarial
    return hears and not (looks or fresh or job.made.grown or job.lesson.corrupting is not None)


def _shown(job: Job) -> int:
    """Return how often the body would be asked at every step, and at the end of every epoch."""
    epochs = -(-job.budget.steps // job.budget.per_epoch)
    return job.budget.steps * job.settings.batch_size + epochs * len(job.lesson.validation)


def _once(job: Job, numbers: range) -> int:
    """Return how often it is asked for features that are kept."""
    return len(numbers) * len(job.lesson.rows) + len(job.lesson.validation)
