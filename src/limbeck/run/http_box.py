"""A teacher behind an address, with the place where its answers and the count of questions are kept."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import DataError, UserError
from limbeck.files import cache_folder
from limbeck.knowledge.kept import Drawer, Kept, form_of_answers
from limbeck.knowledge.manifest import Manifest, manifest_for
from limbeck.knowledge.store import STORES
from limbeck.recipe.teacher import ClassesSection
from limbeck.run.box import BlackBox, Metered, notes_on, through
from limbeck.teachers.asking import Asking, address_of, secrets_of
from limbeck.teachers.base import Teacher
from limbeck.teachers.classes import map_classes
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.http_model import HttpTeacher, fingerprint
from limbeck.teachers.meter import Meter

COUNTS = ".asked"  # a folder beside the stores, or a file in the one that the recipe names


def http_box(
    source: str,
    asking: Asking,
    classes: ClassesSection,
    feeding: Feeding,
    data: Data,
    *,
    views: Views | None,
    path: str | None,
) -> BlackBox:
    """Return the black box of an address; nothing is sent to it. path: of the store, None for one in the cache.

    Raises UserError for an address, headers or views that do not fit, and where answers cannot be kept.
    """
    if views is not None and views.count == "fresh":
        raise UserError(
            "data.views: fresh shows the teacher another picture at every step, and every question to a teacher behind "
            "an address counts; give data.views a number."
        )
    if views is not None and views.has_own_transforms and path is None:
        raise UserError(
            "Views of your own code may change unseen, so their answers are in no shared cache; give knowledge.path a "
            "folder for them."
        )
    address, secrets = address_of(source, asking.form), secrets_of(asking.headers)
    theirs = classes.names or (None if classes.map else data.classes)
    if theirs is None:
        raise DataError("teacher.classes.map also expects teacher.classes.names: [...], in the order of the answers.")
    meter = Meter(_count_of(fingerprint(address, asking, feeding, theirs), path), asking.budget, asking.rate)
    teacher = HttpTeacher(address, asking, feeding, theirs, meter, secrets)
    mapped = map_classes(classes.names, data.classes, count=len(theirs), given=classes.map, who=address.shown)
    manifest = manifest_for(teacher, views, "server", form_of_answers(teacher), address.shown)
    drawer = Drawer(_folder_of(manifest, path), manifest)

    def kept(samples: Samples) -> Kept:
        return Kept(teacher, samples, views, drawer)

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return through(kept(samples), mapped)

    metered = Metered(address.shown, kept, meter, meter.spent(), asking.batch_size, asking.test)
    return BlackBox(address.shown, open_for, False, notes_on(mapped, data), metered=metered)


def _folder_of(manifest: Manifest, path: str | None) -> Path:
    """Return the folder of the answers."""
    return Path(path).expanduser() if path is not None else _root() / STORES / manifest.key


def _count_of(fingerprint: str, path: str | None) -> Path:
    """Return the file that counts what a teacher is asked, whatever views it is shown."""
    if path is not None:
        return Path(path).expanduser() / COUNTS
    return _root() / STORES / COUNTS / fingerprint[:16]


def _root() -> Path:
    root = cache_folder()
    if root is None:
        raise UserError(
            "The cache is off (LIMBECK_CACHE=off), but every question to a teacher behind an address counts; give "
            "knowledge.path a folder for its answers."
        )
    return root
