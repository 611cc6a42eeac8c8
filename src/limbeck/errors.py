"""Every error that Limbeck raises on purpose.

LimbeckError
├── UserError          something the user gave is wrong: exit code 2
│   ├── RecipeError    a recipe (carries every mistake in it)
│   ├── DataError      a data source, a file or a row
│   ├── ModelError     an architecture, a weight file or what a model returned
│   ├── ObjectiveError a term that cannot work with this teacher or student
│   └── FolderError    a run folder that exists, is missing or is not one
└── Failure            the work itself went wrong: exit code 1
    ├── DiskError      no space, no permission
    ├── LostError      another process of the same run ended
    ├── TeacherError   a teacher behind an address does not answer
    │   └── BudgetError    as many samples were asked about as may be
    ├── TrainingError  the loss is not finite any more
    └── ExportError    the exported file does not equal the model

A message is one sentence (or a few): what was expected, what came, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class LimbeckError(Exception):
    """Base of every error raised on purpose; the message is written for people."""

    exit_code = 1


class UserError(LimbeckError):
    """Something the user gave is wrong; nothing was changed on disk."""

    exit_code = 2


class RecipeError(UserError):
    """One or more mistakes in a recipe; `mistakes` holds a sentence for each."""

    def __init__(self, mistakes: Sequence[str], source: str = "recipe") -> None:
        self.mistakes = list(mistakes)
        self.source = source
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  {mistake}" for mistake in self.mistakes))


class DataError(UserError):
    """A data source, a file or a row is missing, broken or out of range."""


class ModelError(UserError):
    """An architecture, a weight file or a model's return value does not fit."""


class ObjectiveError(UserError):
    """A term cannot work with this teacher, student or data."""


class FolderError(UserError):
    """A run folder exists already, is missing, or is not a run folder."""


class Failure(LimbeckError):
    """The work itself failed; what was finished before is kept."""


class DiskError(Failure):
    """The disk is full or the folder cannot be written."""


class LostError(Failure):
    """Another of the processes that carry out the run together has ended."""


class TeacherError(Failure):
    """A teacher that is asked over a network does not answer, or not with an answer."""


class BudgetError(TeacherError):
    """A teacher was asked about as many samples as it may be asked about."""


class TrainingError(Failure):
    """Training cannot go on, for instance because the loss is not finite."""


class ExportError(Failure):
    """The exported file does not give the model's answers."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return up to five known words, those closest to it first, as a list in a sentence."""
    words = [one for one in known if one]
    close = difflib.get_close_matches(word, words, n=5, cutoff=0.0)
    return ", ".join(close) or "none"
