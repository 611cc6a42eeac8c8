"""Which teacher? Candidates are opened, asked about some training samples, and put in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from limbeck.data.dataset import Data
from limbeck.errors import DataError, UserError
from limbeck.recipe.load import load_recipe
from limbeck.recipe.sources import expand
from limbeck.run.candidates import Candidate, Heard, listen_to, of_module, open_candidate
from limbeck.run.device import pick_device
from limbeck.run.plan import open_data
from limbeck.transfer.ranking import By, Ranked, ordered, scores
from limbeck.types import known

SAMPLES = 2000
RECIPES = (".yaml", ".yml")


def rank(
    teachers: Sequence[str | nn.Module],
    data: Data | str,
    *,
    samples: int = SAMPLES,
    by: By = "probe",
    device: str = "auto",
    heard: Heard | None = None,
) -> list[Ranked]:
    """Return candidates for a teacher, the best first, before anything is trained.

    teachers: texts such as "run:runs/a" or "timm:resnet50", or modules that give logits for the data's own inputs;
    data: or its source, such as "folder:photos", or a recipe's file whose data it is; samples: how many labelled
    training samples are asked about, no test sample; by: what orders them, "probe" (accuracy of a linear classifier on
    their features, 0..1, cross-validated), "logme" (log evidence, any number) or "leep" (log likelihood given their own
    answers, at most 0); larger is better for each. heard: is told of how many samples one has answered. Raises
    UserError, for all that cannot be opened at once.
    """
    if by not in get_args(By):
        raise UserError(f"by expects {', '.join(get_args(By))}, got {by!r}.")
    found = _opened(data) if isinstance(data, str) else data
    if found.task != "classification":
        raise DataError(f"Candidates are ranked for classification, but data.task is {found.task}.")
    where, rows = pick_device(device), _some(found, samples)
    candidates = _open_all(teachers, found)
    told = heard or (lambda count: None)
    return ordered([_score(name, one, found, rows, told, where) for name, one in candidates], by)


def _opened(source: str) -> Data:
    if source.endswith(RECIPES):
        return open_data(load_recipe(Path(source)).data)
    return Data.open(expand(source))


def _some(data: Data, count: int) -> Tensor:
    """Return labelled training rows of the pool, a draw that is always the same."""
    if count < 10:
        raise UserError(f"samples expects 10 or more, got {count}.")
    rows = data.train[known(data.pool.labels[data.train])]
    drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]
    return rows[drawn.sort().values]


def _open_all(teachers: Sequence[str | nn.Module], data: Data) -> list[tuple[str, Candidate]]:
    opened, mistakes = [], []
    for one in teachers:
        try:
            name = one if isinstance(one, str) else type(one).__name__
            opened.append((name, open_candidate(one, data) if isinstance(one, str) else of_module(one, data)))
        except UserError as error:
            mistakes.append(error)
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise UserError(f"{len(mistakes)} candidates cannot be ranked:\n" + "\n".join(f"- {one}" for one in mistakes))
    return opened


def _score(name: str, one: Candidate, data: Data, rows: Tensor, heard: Heard, device: torch.device) -> Ranked:
    started = time.monotonic()
    said = listen_to(one, data, rows, heard, device)
    labels = data.pool.labels[rows].cpu().numpy()
    found = scores(said.features, said.probabilities if one.own_head else None, labels)
    return Ranked(
        teacher=name, title=one.title, parameters=one.parameters, width=said.features.shape[1],
        classes=said.probabilities.shape[1] if one.own_head else None, samples=len(rows), probe=found.probe,
        logme=found.logme, leep=found.leep, repeated=one.repeated(data, rows), seconds=time.monotonic() - started,
    )  # fmt: skip
