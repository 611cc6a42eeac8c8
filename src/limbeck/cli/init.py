"""`limbeck init`: a commented recipe for a folder of pictures."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from limbeck.data.folder import EXTENSIONS
from limbeck.errors import DataError, FolderError
from limbeck.files import write_text

LOOKED_AT = 100
LARGEST_DEFAULT = 64

TEMPLATE = """\
# {classes} classes, {pictures} pictures. A quick check, in a folder of its own:
#   limbeck run {file} --set seeds=1 --set teacher.train.epochs=1 --set student.train.epochs=1 \\
#     --out runs/check --force
name: {name}
seed: 0
seeds: 5                        # every model is trained 5 times: the report gives intervals

data:
  source: {source}
  size: {size}                      # pixels of a side; {seen}
  resize: squash                # or crop (keep the middle), or pad (keep everything)
  corrupt: error                # or skip, to leave unreadable pictures out
  validation: 0.1               # share of the training pictures that picks the best epoch
{test}  augment: [flip, shift: {{pixels: {shift}}}]
  # labels_per_class: 20        # pretend that only so many labels are known
  # unlabelled: "folder:more"   # pictures without labels: the teacher answers for them

teacher:                        # trained here; or taken from elsewhere:
  model: {{cnn: {{width: 64, depth: 3}}}}
  train: {{epochs: 30, batch_size: 64, lr: 0.003}}
  # source: "run:runs/earlier"            # in place of model and train: the teacher of an earlier run
  # source: "file:teacher.safetensors"    # in place of train: weights for the model above

student:
  model: {{cnn: {{width: 8, depth: 3}}}}    # limbeck models lists the others
  train: {{epochs: 30, batch_size: 64, lr: 0.003}}

objective:                      # limbeck methods lists the others
  - soft_labels: {{temperature: 4, weight: 0.9}}
  - cross_entropy: {{weight: 0.1}}

# controls: [labels]           # the same student without the teacher; all that make sense unless named
export: {{onnx: true}}          # int8: true adds a smaller file, if it keeps its accuracy
"""


def write_recipe(folder: Path, out: Path | None, force: bool) -> Path:
    """Write a recipe for a folder of pictures and return its path.

    Raises DataError for a folder without class folders, FolderError for a file that exists.
    """
    root = folder / "train" if (folder / "train").is_dir() else folder
    counts = _count(folder, root)
    name = name_of(folder, "photos")
    target = out or Path(f"{name}.yaml")
    refuse_existing(target, force)
    side, seen = _side([path for paths in counts.values() for path in paths])
    text = TEMPLATE.format(
        classes=len(counts),
        pictures=f"{sum(len(paths) for paths in counts.values()):,}",
        file=shlex.quote(str(target)),
        name=name,
        source=json.dumps(f"folder:{folder}", ensure_ascii=False),
        size=side,
        seen=seen,
        test=""
        if (folder / "test").is_dir()
        else "  test: 0.2                     # share held out for the final figures\n",
        shift=max(1, side // 16),
    )
    write_text(target, text)
    return target


def name_of(place: Path, otherwise: str) -> str:
    """Return a run's name made from that of a file or folder."""
    stem = place.resolve().stem if place.is_file() else place.resolve().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem)[:80].strip("-._") or otherwise


def refuse_existing(target: Path, force: bool) -> None:
    """Raise FolderError for a recipe that exists, unless it may be replaced."""
    if target.exists() and not force:
        raise FolderError(f"{target} exists already; use --force to replace it or --out for another file.")


def _count(folder: Path, root: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; expected one with a folder of pictures for each class.")
    counts = {
        path.name: [file for file in sorted(path.iterdir()) if file.suffix.lower() in EXTENSIONS]
        for path in sorted(root.iterdir())
        if path.is_dir() and not path.name.startswith(".") and path.name not in ("test", "unlabelled")
    }
    counts = {name: files for name, files in counts.items() if files}
    if len(counts) < 2:
        found = "1 folder" if len(counts) == 1 else "0 folders"
        raise DataError(
            f"{root} has {found} with pictures; expected at least 2, one for each class, such as "
            f"{folder}/cat/1.jpg and {folder}/dog/1.jpg."
        )
    return counts


def _side(paths: list[Path]) -> tuple[int, str]:
    """Return a sensible side and what was seen, from the headers of up to 100 pictures."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            with Image.open(path) as image:
                sizes[image.size] += 1
        except (UnidentifiedImageError, OSError):
            continue
    if not sizes:
        return LARGEST_DEFAULT, "no picture could be read"
    (width, height), _ = sizes.most_common(1)[0]
    seen = f"most are {width} x {height}" if len(sizes) > 1 else f"all are {width} x {height}"
    return min(LARGEST_DEFAULT, max(width, height)), seen
