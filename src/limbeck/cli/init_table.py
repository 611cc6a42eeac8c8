"""`limbeck init` for a table: a commented recipe for a CSV file."""

from __future__ import annotations

import json
import shlex
import textwrap
from pathlib import Path

from limbeck.cli.init import name_of, refuse_existing
from limbeck.data.column_kinds import label_column, recognise
from limbeck.data.csv_file import TextColumns, read_text, some
from limbeck.data.csv_table import class_names, training_file
from limbeck.data.table import Columns
from limbeck.files import write_text

LONGEST_LINE = 110  # of a comment, before it goes on in the next

TEMPLATE = """\
# {classes} classes, {rows} rows. A quick check, in a folder of its own:
#   limbeck run {file} --set seeds=1 --set teacher.train.epochs=1 --set student.train.epochs=1 \\
#     --out runs/check --force
name: {name}
seed: 0
seeds: 5                        # every model is trained 5 times: the report gives intervals

data:
  source: {source}
  label: {label}                # the class column
{comments}  drop: []                      # columns to leave out, such as ids and what is only known afterwards
  categorical: []               # columns whose numbers are names, such as a postcode
  validation: 0.1               # share of the training rows that picks the best epoch
{test}  # labels_per_class: 20        # pretend that only so many labels are known
  # unlabelled: "csv:more.csv"  # rows without labels: the teacher answers for them

teacher:                        # trained here; or taken from elsewhere:
  model: {{mlp: {{hidden: [256, 256], dropout: 0.2}}}}
  train: {{epochs: 40, batch_size: 64, lr: 0.003}}
  # source: "run:runs/earlier"            # in place of model and train: the teacher of an earlier run

student:
  model: {{mlp: {{hidden: [16]}}}}  # limbeck models lists the others
  train: {{epochs: 40, batch_size: 64, lr: 0.003}}

objective:                      # limbeck methods lists the others
  - soft_labels: {{temperature: 2, weight: 0.9}}
  - cross_entropy: {{weight: 0.1}}

# controls: [labels]           # the same student without the teacher; all that make sense unless named
export: {{onnx: true}}          # int8: true adds a smaller file, if it keeps its accuracy
"""


def write_table_recipe(place: Path, label: str | None, out: Path | None, force: bool) -> Path:
    """Write a recipe for a CSV file, or for a folder with train.csv, and return its path.

    label: the class column, None for the one called label, target, class or y. Raises DataError for a table that
    cannot be read or has no class column, FolderError for a file that exists.
    """
    name = name_of(place, "table")
    target = out or Path(f"{name}.yaml")
    refuse_existing(target, force)
    text = read_text(training_file(place))
    label = label_column(text, label)
    columns, notes = recognise(text, label)
    write_text(target, _filled(place, target, name, text, label, columns, notes))
    return target


def _filled(
    place: Path, target: Path, name: str, text: TextColumns, label: str, columns: Columns, notes: tuple[str, ...]
) -> str:
    classes = class_names(text, label)
    seen = [
        f"Classes: {some(classes)}",
        f"{len(columns.numbers)} of numbers: {some(columns.numbers) or 'none'}",
        f"{len(columns.categories)} of categories: {some(columns.categories) or 'none'}",
        *notes,
    ]
    tested = (place / "test.csv").is_file()
    return TEMPLATE.format(
        classes=len(classes),
        rows=f"{len(text):,}",
        file=shlex.quote(str(target)),
        name=name,
        source=_quoted(f"csv:{place}"),
        label=_quoted(label),
        comments="".join(map(_comment, seen)),
        test="" if tested else "  test: 0.2                     # share held out for the final figures\n",
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """Return a text as lines of a comment; no name in it can end the comment."""
    lines = textwrap.wrap(" ".join(text.split()), LONGEST_LINE, break_on_hyphens=False)
    return "".join(f"  # {line}\n" for line in lines)
