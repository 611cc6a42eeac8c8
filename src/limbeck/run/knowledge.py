"""How a run hears its teacher: at every step, from memory, or from the knowledge store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from limbeck.data.samples import Samples
from limbeck.errors import DiskError, ObjectiveError, UserError
from limbeck.files import cache_folder
from limbeck.knowledge.advise import Advice, Case, advise
from limbeck.knowledge.form import Form, Top, form_for
from limbeck.knowledge.label import Labeller, Share, count_missing, fill, missing_chunks
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.manifest import MANIFEST, Manifest, manifest_for
from limbeck.knowledge.recall import LIMIT_BYTES, Recalled
from limbeck.knowledge.spot import spot_check
from limbeck.knowledge.store import STORES, Store, open_store
from limbeck.objectives.objective import Objective
from limbeck.recipe.sources import expand
from limbeck.run.box import Metered
from limbeck.run.plan import Plan
from limbeck.run.watch import Watcher
from limbeck.teachers.base import Teacher
from limbeck.train import ranks
from limbeck.types import known

LEDGER = "knowledge.json"
TEACHER_LABELS = "teacher_labels"
TIMED_ROWS = 128


@dataclass(frozen=True)
class Demand:
    """What the fits of a run ask of the teacher.

    live: samples, without a table; views: the numbers of the views they show, None where every showing is a new one;
    known: whether all fits last as long as they are planned.
    """

    live: int
    views: tuple[int, ...] | None
    known: bool = True


def demand_of(plan: Plan) -> Demand:
    """Return what the student and its controls ask for, in all stages, seeds and variants."""
    labels = plan.visible_labels(plan.seeds[0])
    train = plan.data.train
    counts = {True: len(train), False: int(known(labels[train]).sum())}
    live, passes, planned = 0, 0, True
    for one in [variant.plan for variant in plan.variants] or [plan]:
        roles = 1 + (TEACHER_LABELS in one.controls)
        for stage in (stage for stage in one.stages if stage.objective.needs and stage.teacher is None):
            rows = counts[stage.objective.uses_unlabelled]
            shown = stage.settings.total_steps(rows) * stage.settings.batch_size
            live, passes = live + shown * roles * len(one.seeds), max(passes, -(-shown // max(rows, 1)))
            planned &= stage.settings.patience is None
    count = 1 if plan.views is None else plan.views.count
    return Demand(live, None if count == "fresh" else tuple(range(min(count, passes))), planned)


def hear(
    plan: Plan, teacher: Teacher, pool: Samples, folder: Path, ledger: Ledger, watcher: Watcher, tables: int = 1
) -> Teacher:
    """Return the teacher as the run's fits are to hear it, its answers computed as far as that can be done before.

    folder: of the run; ledger: counts what is asked, and keeps the choice for a resumed run; tables: how many teachers
    share the memory. Raises FolderError where a store's answers are not the teacher's.
    """
    demand = demand_of(plan)
    if plan.black_box is not None and plan.black_box.metered is not None:
        ask_ahead(plan, plan.black_box.metered, demand, pool, ledger, watcher)
    if teacher.recalls or not teacher.provides & {"logits", "probs"} or not demand.live:
        return teacher
    if asking := asks_live(plan):
        ledger.mode, ledger.sentence = "live", f"The teacher's answers: live, since {asking} as well."
        watcher.say(ledger.sentence.removesuffix("."))
        ledger.save()
        return teacher
    started = time.monotonic()
    desk = _desk(plan, teacher, pool, folder, demand)
    _choose(desk, tables, ledger, watcher)
    heard = desk.open(ledger, watcher)
    ledger.seconds += time.monotonic() - started
    ledger.save()
    return heard


def ask_ahead(plan: Plan, metered: Metered, demand: Demand, pool: Samples, ledger: Ledger, watcher: Watcher) -> None:
    """Ask a teacher whose every question counts about all that the fits will show, as far as it is not known.

    Several processes ask about a share each, and wait for one another.
    """
    if ledger.before is None:
        ledger.before = (metered.before.samples, metered.before.requests)
        ledger.save()
    if not demand.live:
        return
    started, views, rows = time.monotonic(), demand.views or (0,), plan.data.train
    certain = views if demand.known else views[:1]
    kept = metered.kept(pool)
    missing = kept.missing(rows, certain)
    if ledger.mode is None:
        wanted = len(certain) * len(rows)
        told = f"stored, since every question counts; {wanted - missing:,} of {wanted:,} were known"
        ledger.mode, ledger.sentence = "stored", f"The teacher's answers: {told}."
    if missing and ranks.is_first():
        watcher.say(f"Asking {metered.address} about {missing:,} views of samples")
    share = Share(ranks.rank(), ranks.world())
    kept.prepare(rows, certain, ledger, share=share, heard=lambda count: watcher.answered(count, missing))
    ranks.total(torch.zeros(1))  # the others have written their share
    ledger.seconds += time.monotonic() - started
    ledger.save()


def _choose(desk: _Desk, tables: int, ledger: Ledger, watcher: Watcher) -> None:
    """Note in the ledger how the teacher is heard; of several processes the first one decides."""
    known = ranks.from_first(ledger.mode.encode() if ledger.mode else None)
    if known is None:
        advice = desk.advise(tables, ledger)
        ledger.sentence = f"The teacher's answers: {advice.sentence}."
        watcher.say(ledger.sentence.removesuffix("."))
        known = ranks.from_first(advice.mode.encode())
    assert known is not None
    ledger.mode = known.decode()


def check_wishes(plan: Plan) -> None:
    """Raise UserError where what a recipe says about knowledge does not fit the rest of it."""
    wishes = plan.wishes
    if wishes.top_k is not None and any("curriculum_soft_labels" in one.names for one in _objectives(plan)):
        raise UserError(
            "knowledge.top_k keeps the sum of the other classes at listed temperatures, but curriculum_soft_labels "
            "learns its own; leave knowledge.top_k out."
        )
    if wishes.mode in ("memory", "stored") and plan.views is not None and plan.views.count == "fresh":
        raise UserError(
            f"knowledge.mode {wishes.mode} keeps answers, but data.views: fresh never shows a view twice; give "
            f"data.views a number."
        )
    if wishes.mode in ("memory", "stored") and (asking := asks_live(plan)):
        raise UserError(
            f"knowledge.mode {wishes.mode} keeps logits alone, but {asking}, for which the teacher is heard live; "
            f"leave the mode out."
        )
    if plan.black_box is not None and plan.black_box.metered is not None:
        if wishes.mode in ("live", "memory"):
            raise UserError(
                f"knowledge.mode {wishes.mode} would ask again what was answered, but every question to this teacher "
                f"counts; leave it out, or say stored."
            )
        return
    if wishes.path is not None and plan.teacher is not None and plan.teacher.per_seed and len(plan.seeds) > 1:
        raise UserError(
            f"knowledge.path names one folder, but {len(plan.seeds)} teachers are trained (teacher.per_seed); "
            f"leave it out, and every teacher has a folder in the cache."
        )
    form = form_of_answers(plan)
    asked = {one for objective in _objectives(plan) for one in objective.temperatures}
    if isinstance(form, Top) and (unlisted := sorted(asked - set(form.temperatures))):
        listed = ", ".join(f"{one:g}" for one in form.temperatures)
        raise ObjectiveError(
            f"soft_labels has the temperature {unlisted[0]:g}, but of {len(plan.data.classes):,} classes the teacher's "
            f"top {form.k} are kept, the others summed at {listed}; add {unlisted[0]:g} to knowledge.temperatures."
        )


def asks_live(plan: Plan) -> str:
    """Return which terms of a plan ask the teacher for more than answers, and for what, in words; none is ''."""
    looking = dict.fromkeys(name for one in _objectives(plan) for name in one.compares_features)
    following = dict.fromkeys(name for one in _objectives(plan) for name in one.follows_gradients)
    found = [(looking, "compares features"), (following, "follows its gradients")]
    return " and ".join(f"{' and '.join(names)} {what}" for names, what in found if names)


def form_of_answers(plan: Plan) -> Form:
    """Return the form in which the answers of a plan's teacher are kept."""
    return form_for(
        len(plan.data.classes),
        all_logits=any(objective.needs_all_logits for objective in _objectives(plan)),
        top_k=plan.wishes.top_k,
        temperatures=plan.wishes.temperatures,
    )


def manifest_of(plan: Plan, teacher: Teacher, pool: Samples) -> Manifest:
    """Return what the answers of a plan's teacher belong to."""
    title = plan.teacher.model.title if plan.teacher else plan.black_box.title if plan.black_box else ""
    return manifest_for(teacher, plan.views, pool.device.type, form_of_answers(plan), title)


def place_of(plan: Plan, manifest: Manifest) -> Path | None:
    """Return the folder of the store: that of the recipe, else one in the cache.

    None where there is no cache, and where views are made by the user's own code, which may change unseen.
    """
    if plan.wishes.path is not None:
        return Path(expand(plan.wishes.path)).expanduser()
    root = cache_folder()
    own = plan.views is not None and plan.views.has_own_transforms
    return None if root is None or own else root / STORES / manifest.key


@dataclass(frozen=True, eq=False)
class _Desk:
    """What the choice is made from."""

    plan: Plan
    labeller: Labeller
    manifest: Manifest
    place: Path | None
    own_place: Path  # in the run's folder, for a store that is wished for without a cache
    demand: Demand

    def advise(self, tables: int, ledger: Ledger) -> Advice:
        """Measure and choose; what was asked to find out is counted where it turns out to be of no other use."""
        views, wanted, before = self.demand.views or (), self.plan.wishes.mode, self.labeller.teacher.asked
        store = self._existing() if wanted in ("auto", "stored") else None
        missing = count_missing(self.labeller, store, views)
        asking = self._asking(store, views) if wanted == "auto" and missing else None
        rows = None if self.demand.views is None else len(views) * len(self.labeller.samples)
        advice = advise(
            Case(
                wanted=wanted, live=self.demand.live, rows=rows, missing=missing, asking=asking,
                reading=self._reading(), bytes_per_row=self.manifest.form.bytes_per_row, limit=LIMIT_BYTES // tables,
                free=_free(self.place),
            )
        )  # fmt: skip
        if advice.mode == "live":
            ledger.spot_checks += self.labeller.teacher.asked - before
        return advice

    def open(self, ledger: Ledger, watcher: Watcher) -> Teacher:
        """Return the teacher in the ledger's mode, its answers computed."""
        if ledger.mode == "live":
            return self.labeller.teacher
        store = self._store(ledger) if ledger.mode == "stored" else None
        views = self.demand.views or (0,)
        if store is not None and len(store):
            ledger.spot_checks += spot_check(store, self.labeller, views)
        resident = store is None or len(views) * len(self.labeller.samples) * store.form.bytes_per_row <= LIMIT_BYTES
        recalled = Recalled(self.labeller, store=store, ledger=ledger, resident=resident)
        certain = views if self.demand.known else views[:1]
        if store is not None and ranks.world() > 1:
            self._share_out(store, certain, ledger)
        missing = count_missing(self.labeller, store, certain)
        recalled.prepare(certain, lambda count: watcher.answered(count, missing))
        return recalled

    def _share_out(self, store: Store, views: Sequence[int], ledger: Ledger) -> None:
        """Let each process ask about its share, and wait for the others.

        A process that does not see the others' files, on a disk of its own, asks about the rest after.
        """
        before, share = ledger.asked, Share(ranks.rank(), ranks.world())
        for view in views:
            fill(self.labeller, store, view, ledger, share=share)
        mine, name = ledger.asked - before, f"{self.manifest.key}, by other processes"
        others = int(ranks.total(torch.tensor([mine]))) - mine
        if others:
            ledger.note(name, ledger.forwards.get(name, 0) + others)

    def _existing(self) -> Store | None:
        place = self.place
        return open_store(place, self.manifest) if place is not None and (place / MANIFEST).is_file() else None

    def _store(self, ledger: Ledger) -> Store | None:
        try:
            return open_store(self.place or self.own_place, self.manifest)
        except DiskError as error:
            if self.plan.wishes.mode == "stored":
                raise
            ledger.mode, ledger.sentence = "memory", f"The teacher's answers: in memory, since {error}"
            return None

    def _asking(self, store: Store | None, views: Sequence[int]) -> float:
        """Return the seconds that the teacher takes for a row, of a chunk that has to be asked about anyway."""
        chunks = ((rows, view) for view in views for rows in missing_chunks(self.labeller, store, view))
        rows, view = next(chunks)
        return self.labeller.try_out(rows, view) / len(rows)

    def _reading(self) -> float:
        """Return the seconds that reading a row from a table takes."""
        table = torch.zeros(len(self.labeller.samples), self.manifest.form.bytes_per_row // 2, dtype=torch.float16)
        rows = torch.randint(0, len(table), (TIMED_ROWS,), generator=torch.Generator().manual_seed(0))
        started = time.perf_counter()
        table.index_select(0, rows).float()
        return (time.perf_counter() - started) / TIMED_ROWS


def _desk(plan: Plan, teacher: Teacher, pool: Samples, folder: Path, demand: Demand) -> _Desk:
    manifest = manifest_of(plan, teacher, pool)
    labeller = Labeller(teacher, pool, plan.views, manifest.form)
    return _Desk(plan, labeller, manifest, place_of(plan, manifest), folder / STORES / manifest.key, demand)


def _objectives(plan: Plan) -> list[Objective]:
    """Return the objectives of all stages that the run's teacher teaches."""
    points = [variant.plan for variant in plan.variants] or [plan]
    return [stage.objective for one in points for stage in one.stages if stage.teacher is None]


def _free(place: Path | None) -> int | None:
    """Return the bytes free where a folder is or will be."""
    if place is None:
        return None
    there = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free
