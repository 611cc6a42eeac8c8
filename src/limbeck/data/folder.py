"""A folder of pictures, one folder for each class."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from limbeck.data.bulk import Decoded, Picture, decode_all, name_some, part_of
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.samples import Samples
from limbeck.errors import DataError

EXTENSIONS = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".tif", ".tiff", ".webp",
}  # fmt: skip
UNLABELLED = "unlabelled"
SPLIT_NAMES = {"train", "test", "val", "valid", "validation", UNLABELLED}


@dataclass
class Listing:
    """Files found: pictures with labels and ids, where each part of them ends, what was passed over."""

    root: Path
    pictures: list[Picture] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(self, folder: Path, label: int) -> int:
        """List the pictures that lie directly in a folder and return how many there are."""
        before = len(self.pictures)
        for path in _entries(folder):
            name = path.relative_to(self.root).as_posix()
            if not _is_picture(path):
                self.ignored.append(name)
                continue
            self.pictures.append(Picture(str(path), path))
            self.labels.append(label)
            self.ids.append(name)
        return len(self.pictures) - before

    def add_classes(self, folder: Path, classes: tuple[str, ...]) -> None:
        """List every class folder; raises DataError for one without pictures."""
        for label, name in enumerate(classes):
            if not self.add(folder / name, label):
                raise DataError(
                    f'{folder / name}: the class "{name}" has no picture directly in its folder; add some '
                    f"({', '.join(sorted(EXTENSIONS))}) or remove the folder."
                )
        self.ignored += [str(path.relative_to(self.root)) for path in _entries(folder) if path.is_file()]

    def part(self, decoded: Decoded, number: int) -> Samples:
        """Return the decoded samples of the part with this number."""
        start, stop = [0, *self.ends][number], self.ends[number]
        return part_of(decoded, start, stop, np.array(self.labels, dtype=np.int64), self.ids)

    def notes(self, decoded: Decoded) -> tuple[str, ...]:
        """Sentences about what was passed over or decided; files are named by their path below the folder."""
        below = decoded.notes_below(self.root)
        if not self.ignored:
            return below
        return (f"Ignored, being hidden or no picture of a known ending: {name_some(self.ignored)}.", *below)


def read_folder(folder: Path, options: ReadOptions) -> Source:
    """Read FOLDER/<class>/*, or FOLDER/train/<class>/* and test/<class>/*; and FOLDER/unlabelled/*.

    Classes are sorted by name; a sample's id is its path below the folder. Files that are hidden or have no
    picture's ending are ignored and noted. Raises DataError for a missing folder, a class without pictures,
    a test split with other classes, and as `decode_all` does.
    """
    if not folder.is_dir():
        raise DataError(f'data.source: there is no folder "{folder}".')
    split = (folder / "train").is_dir() and bool(_subfolders(folder / "train"))
    classes = _class_names(folder, split)
    listing = _list(folder, split, classes)
    decoded = decode_all(listing.pictures, options)
    train, test, unlabelled = (listing.part(decoded, number) for number in range(3))
    _check_left(folder, classes, train)
    return Source(
        name=f"folder:{folder}",
        classes=classes,
        train=train,
        test=test if len(test) else None,
        unlabelled=unlabelled if len(unlabelled) else None,
        notes=listing.notes(decoded),
        reading=decoded.reading,
    )


def read_flat(folder: Path, options: ReadOptions) -> tuple[Samples, tuple[str, ...]]:
    """Read the pictures that lie directly in a folder, without labels; give them and the notes."""
    listing = Listing(folder)
    listing.ends = [listing.add(folder, -1)]
    decoded = decode_all(listing.pictures, options)
    return listing.part(decoded, 0), listing.notes(decoded)


def is_flat(folder: Path) -> bool:
    """Say whether pictures lie directly in the folder."""
    return folder.is_dir() and any(_is_picture(path) for path in _entries(folder))


def _list(folder: Path, split: bool, classes: tuple[str, ...]) -> Listing:
    """List train, test and unlabelled pictures, in this order."""
    listing = Listing(folder)
    listing.add_classes(folder / "train" if split else folder, classes)
    listing.ends.append(len(listing.pictures))
    if split and (folder / "test").is_dir():
        _check_same(folder / "test", classes, {path.name for path in _subfolders(folder / "test")})
        listing.add_classes(folder / "test", classes)
    listing.ends.append(len(listing.pictures))
    if (folder / UNLABELLED).is_dir():
        listing.add(folder / UNLABELLED, -1)
    listing.ends.append(len(listing.pictures))
    if split:
        used = {"train", "test", UNLABELLED}
        listing.ignored += [path.name for path in _entries(folder) if path.name not in used]
    return listing


def _class_names(folder: Path, split: bool) -> tuple[str, ...]:
    root = folder / "train" if split else folder
    names = [path.name for path in _subfolders(root) if split or path.name != UNLABELLED]
    if not names or set(names) <= SPLIT_NAMES:
        found = f"there are only the folders {', '.join(names)}" if names else "there is no such folder"
        raise DataError(
            f"{root}: pictures must lie in one folder for each class, {folder}/train/<class>/ or "
            f"{folder}/<class>/, but {found}."
        )
    return tuple(names)


def _check_same(test: Path, classes: tuple[str, ...], found: set[str]) -> None:
    missing, extra = sorted(set(classes) - found), sorted(found - set(classes))
    if missing or extra:
        parts = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(extra)} unknown"] * bool(extra)
        raise DataError(f"{test}: test must have the same class folders as train, but {' and '.join(parts)}.")


def _check_left(folder: Path, classes: tuple[str, ...], train: Samples) -> None:
    present = set(train.labels.tolist())
    lost = [name for label, name in enumerate(classes) if label not in present]
    if lost:
        raise DataError(f"{folder}: no picture of {', '.join(lost)} can be read; repair them or remove the class.")


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir() and not path.name.startswith(".")]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}.") from None


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
