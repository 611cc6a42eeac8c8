"""Only the knowledge: the teacher's answers for every view of every sample, for runs to come."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from limbeck.errors import UserError
from limbeck.files import cache_folder, reporting_disk_errors
from limbeck.knowledge.label import Heard, Labeller, Share, count_missing, fill
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.spot import spot_check
from limbeck.knowledge.store import STORES, Store, open_store
from limbeck.knowledge.verify import Verified, verify_against
from limbeck.run.box import Metered
from limbeck.run.fits import open_workshop
from limbeck.run.knowledge import asks_live, check_wishes, manifest_of, place_of
from limbeck.run.plan import Plan
from limbeck.run.rehearsal import rehearse
from limbeck.run.speakers import assembled
from limbeck.run.together import divide
from limbeck.run.watch import Silent, Watcher
from limbeck.teachers.base import Teacher
from limbeck.train import ranks

TEACHERS = ".teachers"  # those that were trained for a labelling


@dataclass(frozen=True)
class Labelled:
    """A store that is filled. rows: in it; forwards: samples asked about now; spot_checks: asked about again; bytes: on
    disk.
    """

    folder: str
    rows: int
    forwards: int
    spot_checks: int
    bytes: int


def label(plan: Plan, device: torch.device, watcher: Watcher) -> list[Labelled]:
    """Fill the stores of a plan's teachers, one for each seed that trains its own, going on where one was left.

    Several processes train the teacher together and share its answers; forwards and spot checks are those of all.
    Raises UserError where there is nothing to ask about, or no place.
    """
    if plan.black_box is not None and plan.black_box.metered is not None:
        return [_label_metered(plan, plan.black_box.metered, device, watcher)]
    found = []
    for store, labeller, views in _opened(plan, device, watcher):
        checked = spot_check(store, labeller, views) if len(store) else 0
        share = Share(ranks.rank(), ranks.world())
        before, missing = labeller.teacher.asked, count_missing(labeller, store, views, share)
        if ranks.is_first():
            watcher.say(f"Asking the teacher about {missing:,} views of samples")
        for view in views:
            fill(labeller, store, view, Ledger(), share=share, heard=_telling(watcher, missing))
        forwards, checks = ranks.total(torch.tensor([labeller.teacher.asked - before, checked])).tolist()
        store.refresh()
        found.append(Labelled(str(store.folder), len(store), forwards, checks, store.bytes))
    return found


def _label_metered(plan: Plan, metered: Metered, device: torch.device, watcher: Watcher) -> Labelled:
    """Ask a teacher whose every question counts about the training samples, as a run would."""
    ranks.join(device)
    plan = divide(plan)
    check_wishes(plan)
    rehearse(plan)
    pool = plan.data.pool.to(device)
    kept, views = metered.kept(pool), _views(plan)
    asked, missing = kept.asked, kept.missing(plan.data.train, views)
    share = Share(ranks.rank(), ranks.world())
    kept.prepare(plan.data.train, views, Ledger(), share=share, heard=_telling(watcher, missing))
    forwards = int(ranks.total(torch.tensor([kept.asked - asked])))
    store = kept.drawer.store
    store.refresh()
    return Labelled(str(store.folder), len(store), forwards, 0, store.bytes)


def verify_with(plan: Plan, device: torch.device, watcher: Watcher) -> dict[str, Verified]:
    """Compare every stored answer of a plan's teachers with what they say now; by folder."""
    if plan.black_box is not None and plan.black_box.metered is not None:
        raise UserError(
            "Every question to this teacher counts, so no answer is asked for again; limbeck knowledge verify without "
            "--recipe checks the files."
        )
    found = {}
    for store, labeller, views in _opened(plan, device, watcher):
        heard = _telling(watcher, len(views) * len(labeller.samples))
        watcher.say(f"Asking the teacher about all of {store.folder} again")
        found[str(store.folder)] = verify_against(store, labeller, views, heard)
    return found


def _telling(watcher: Watcher, of: int) -> Heard | None:
    return (lambda count: watcher.answered(count, of)) if ranks.is_first() else None


def _opened(plan: Plan, device: torch.device, watcher: Watcher) -> Iterator[tuple[Store, Labeller, range]]:
    """Yield store, labeller and numbers of the views for each teacher of a plan."""
    views = _views(plan)
    ranks.join(device)
    plan = divide(plan)
    rehearse(plan)
    check_wishes(plan)
    if asking := asks_live(plan):
        raise UserError(f"{asking}, for which the teacher is heard live: nothing is kept for it.")
    for teacher in _teachers(plan, device, watcher):
        if teacher.recalls or not teacher.provides & {"logits", "probs"}:
            raise UserError(
                "This teacher's answers come from a file, or are labels alone, so there is nothing to keep."
            )
        pool = plan.data.pool.to(device)
        manifest = manifest_of(plan, teacher, pool)
        place = place_of(plan, manifest)
        if place is None:
            raise UserError("The cache is off (LIMBECK_CACHE=off); give knowledge.path a folder for the answers.")
        yield open_store(place, manifest), Labeller(teacher, pool, plan.views, manifest.form), views


def _views(plan: Plan) -> range:
    if plan.generated is not None:
        raise UserError("data.generated makes the samples within a run, so there is nothing to label before it.")
    count = 1 if plan.views is None else plan.views.count
    if count == "fresh":
        raise UserError("data.views: fresh has no end that could be labelled; give data.views a number.")
    if plan.teacher is None and plan.black_box is None:
        raise UserError("The recipe names no teacher that is there before the student, so there is nobody to ask.")
    return range(count)


def _teachers(plan: Plan, device: torch.device, watcher: Watcher) -> Iterator[Teacher]:
    """Yield the teachers that answer, trained if need be, and the same in all processes."""
    each = plan.teacher is not None and plan.teacher.per_seed
    watcher = watcher if ranks.is_first() else Silent()
    for seed in plan.seeds if each else plan.seeds[:1]:
        with _alone(_bench(plan)) if ranks.is_first() else ranks.scratch() as folder:
            watcher.say("Preparing the teacher")
            workshop = assembled(open_workshop(plan, folder, watcher, device))
            teacher = workshop.live_teacher(workshop.train_teacher(seed))
        assert teacher is not None  # checked by _views
        yield teacher


def _bench(plan: Plan) -> Path:
    """Return the folder that the plan's teachers are trained in, another one for every recipe and data."""
    key = hashlib.sha256(json.dumps([plan.recipe, plan.conditions()]).encode()).hexdigest()[:16]
    root = cache_folder()
    if root is not None:
        return root / STORES / TEACHERS / key
    if plan.wishes.path is None:
        raise UserError("The cache is off (LIMBECK_CACHE=off); give knowledge.path a folder for the answers.")
    return Path(plan.wishes.path).parent / TEACHERS / key


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Make a folder and keep other processes out of it."""
    with reporting_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
