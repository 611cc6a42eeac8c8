"""Candidates for a teacher, opened with the classifier that they have, and what they say of samples.

Shapes: B samples in a batch, n samples, D features, Z classes of a candidate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from limbeck.data.combine import take
from limbeck.data.dataset import Data
from limbeck.errors import DataError, ModelError, UserError
from limbeck.models.adapt import Adapted
from limbeck.models.library import LIBRARIES
from limbeck.models.stages import stages_of
from limbeck.models.weights import read_card
from limbeck.objectives.domain_term import vectors
from limbeck.recipe.sources import ANSWERING, expand, kind_of
from limbeck.recipe.teacher import OriginSection
from limbeck.run.model_plan import model_plan_of, title_of
from limbeck.run.reload import check_prepared_alike, load_model
from limbeck.teachers.seen import count_repeated

Heard = Callable[[int], None]
AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model as it was found. title: its architecture; own_head: whether its classifier was trained; folder: of its
    run, None for others.
    """

    title: str
    model: Adapted
    own_head: bool
    folder: Path | None = None

    @property
    def parameters(self) -> int:
        """How many."""
        return sum(one.numel() for one in self.model.net.parameters())

    def repeated(self, data: Data, rows: Tensor) -> int:
        """Return how many of the pool's rows it was trained or validated on, as far as that was noted."""
        if self.folder is None:
            return 0
        return count_repeated(self.folder, take(data.pool, rows.cpu().numpy()))


@dataclass(frozen=True, eq=False)
class Said:
    """features: float32 [n, D], of the vector before the classifier; probabilities: float32 [n, Z]."""

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def open_candidate(text: str, data: Data) -> Candidate:
    """Return the model that a text names: run:DIR, timm:NAME, torchvision:NAME, hf:DIR, or a section {model: ...}.

    The section is that of a recipe's teacher, in YAML. A model of a library starts from its pretrained weights unless
    it names a file of others. Raises UserError for one that cannot be opened or does not fit the data.
    """
    section = _section(text)
    if section.model is not None and section.model.name in LIBRARIES:
        return _of_library(section, data)
    kind, _, place = expand(section.source or "").partition(":")
    if kind == "run":
        return _of_run(Path(place), data)
    if section.model is None or kind != "file":
        raise UserError(
            f"{text}: nothing of it is trained; name a run (run:DIR), a library's model, or model with file:WEIGHTS."
        )
    plan = replace(model_plan_of(section.model, section.normalise, data, section.source), new_head=True)
    return _loaded(plan.title, plan.make(len(data.classes), 0))


def listen_to(candidate: Candidate, data: Data, rows: Tensor, heard: Heard, device: torch.device) -> Said:
    """Return what a candidate says of untouched samples of the pool; rows: int64 [n]; heard: is told how many.

    Raises ModelError for one without a layer before its classifier.
    """
    model = candidate.model.to(device).eval()
    sample = data.pool.batch(rows[:2]).inputs.to(device)
    layers = stages_of(model, sample)
    if not layers:
        raise ModelError(f"{candidate.title} has no layer before its classifier, so there are no features to rank by.")
    model.listen_to(layers[-1:])
    features, answers = [], []
    with torch.inference_mode():
        for part in torch.split(rows, AT_ONCE):
            outputs = model(data.pool.batch(part).inputs.to(device))
            features.append(vectors(outputs.features[layers[-1]]).float().cpu())
            answers.append(outputs.logits.float().softmax(1).cpu())
            heard(len(part))
    model.listen_to(())
    return Said(torch.cat(features).numpy(), torch.cat(answers).numpy())


def _section(text: str) -> OriginSection:
    """Return a candidate's section; UserError where it is none, or a teacher that nobody can look into."""
    try:
        given: Any = yaml.safe_load(text) if text.lstrip().startswith("{") else {"source": text}
        section = OriginSection.model_validate(given)
        kind = kind_of(section.source)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{text} is no teacher of a recipe: {reason}.") from None
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{text} is no teacher of a recipe: {str(error).splitlines()[0]}.") from None
    if kind in ANSWERING:
        raise UserError(
            f"{text} gives answers alone, but candidates are ranked by the layer before their classifier; name a run "
            f"(run:DIR) or a model of a library."
        )
    return section


def _of_library(section: OriginSection, data: Data) -> Candidate:
    """Return a model of a library with its own head, which is new where a file of weights has another one."""
    assert section.model is not None
    (name, options), *_ = section.model.model_dump(mode="json").items()
    named = section.classes.names if section.classes is not None else None
    options |= {} if options.get("weights") else {"pretrained": True}
    net = LIBRARIES[name](data.shape, len(named) if named else None, **options)
    model = Adapted(net, classes=_classes(net, data))
    model.fresh = net.fresh
    return _loaded(title_of({name: options}), model)


@torch.no_grad()
def _classes(net: nn.Module, data: Data) -> int:
    """Return how many classes a network tells apart that gives logits alone."""
    answer = net.eval()(data.pool.batch(data.train[:1]).inputs)
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        raise ModelError(f"{type(net).__name__} was expected to give logits [batch, classes] alone, and gives more.")
    return answer.shape[1]


def _of_run(run: Path, data: Data) -> Candidate:
    folder = next((run / name for name in ("teacher", "student") if (run / name / "model.json").is_file()), run)
    card = read_card(folder)
    check_prepared_alike(folder, data)
    if tuple(card["shape"]) != data.shape:
        raise DataError(
            f"The model in {folder} was made for samples {card['shape']}; this data has {list(data.shape)}."
        )
    return Candidate(card["title"], load_model(folder), True, folder)


def _loaded(title: str, model: Adapted) -> Candidate:
    return Candidate(title, model, not model.fresh)


def of_module(net: nn.Module, data: Data) -> Candidate:
    """Return a module from Python as a candidate; its classifier counts as trained."""
    return Candidate(type(net).__name__, Adapted(net, classes=_classes(net, data)), True)
