"""How a run makes its models: architectures from a recipe, weights to start from, normalisation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limbeck.data.dataset import Data
from limbeck.errors import ModelError, UserError
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.carry import Names, carry_over
from limbeck.models.further_heads import give_heads
from limbeck.models.inherit import Layers
from limbeck.models.library import LIBRARIES, Hf, Timm, Torchvision
from limbeck.models.trees import Trees
from limbeck.models.weights import CARD, WEIGHTS, load_weights, read_card
from limbeck.recipe.choices import MODELS
from limbeck.recipe.data import NormaliseSection
from limbeck.recipe.model import TEACHER, LearnerSection, StudentSection
from limbeck.recipe.own import build_own
from limbeck.recipe.schema import Choice
from limbeck.recipe.sources import expand
from limbeck.run.reload import check_prepared_alike, normalise_of


@dataclass(frozen=True)
class Heads:
    """The further tasks that a model answers for. classes: of each, by its name; shape: of one sample."""

    classes: Mapping[str, tuple[str, ...]]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ModelPlan:
    """How to make a model. build: gives a new net each time; architecture: its recipe form, None for a net from
    Python; fresh: whether each seed starts from new weights; weights: a file to start from; new_head: whether a
    classifier for other classes is left out of it, and else refused; anew: gives the net with new weights, where it
    starts from others, None where it does not; grown: whether it is trees; layers: which ones of the run's teacher it
    starts from, None for none; names: of the classes that the weights to start from were made for, where they are
    known; heads: for further tasks, None for the main one alone.
    """

    build: Callable[[], nn.Module]
    architecture: dict[str, Any] | None
    title: str
    normalise: Normalise | None
    fresh: bool = True
    weights: Path | None = None
    new_head: bool = False
    anew: Callable[[], nn.Module] | None = None
    grown: bool = False
    layers: Layers | None = None
    names: Names | None = None
    heads: Heads | None = None

    def make(self, classes: int, seed: int) -> Adapted:
        """Return a model with the starting weights of a seed."""
        torch.manual_seed(seed)
        net = self._net()
        model = Adapted(net, classes=classes, normalise=self.normalise)
        if isinstance(net, Timm | Torchvision | Hf):
            model.left, model.fresh = net.left, net.fresh
        if self.weights is not None and self.new_head:
            carry_over(model, self.weights, self.names)
        elif self.weights is not None:
            load_weights(net, self.weights)
        if self.heads is not None:
            sizes = {name: len(one) for name, one in self.heads.classes.items()}
            give_heads(model, sizes, torch.zeros(2, *self.heads.shape))
        return model

    def from_scratch(self) -> ModelPlan:
        """Return the plan of the same model with new weights."""
        return replace(self, build=self.anew or self.build, weights=None, layers=None, fresh=True, names=None)

    def described(self) -> str:
        """Return what tells this model from another one of the same run."""
        normalise = self.normalise and [self.normalise.mean.tolist(), self.normalise.std.tolist()]
        return f"{self.architecture}|{self.title}|{self.weights}|{normalise}|{self.layers}|{self.heads}"

    def _net(self) -> nn.Module:
        try:
            return self.build()
        except (RuntimeError, MemoryError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{self.title} cannot be built: {reason}") from error


def normaliser(choice: str | NormaliseSection, data: Data) -> Normalise | None:
    """Return the normalisation of a model: the data's own statistics, given ones, or none.

    Those of a table are in its preprocessing already.
    """
    if isinstance(choice, NormaliseSection):
        return Normalise(choice.mean, choice.std)
    if choice == "none" or data.preprocessing is not None:
        return None
    return Normalise(*data.statistics())


def title_of(architecture: dict[str, Any]) -> str:
    """Return an architecture in one line without its defaults, such as 'mlp(hidden=[32])'."""
    (name, options), *_ = architecture.items()
    known = inspect.signature(MODELS[name].__init__).parameters if name in MODELS else {}
    defaults = {key: parameter.default for key, parameter in known.items()}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    told = [f"{key}={value}" for key, value in options.items() if value != plain.get(key)]
    return f"{name}({', '.join(told)})" if told else name


def model_plan_of(
    choice: Choice, normalise: str | NormaliseSection, data: Data, source: str | None = None
) -> ModelPlan:
    """Return how to make a model of a recipe; source: what it starts from, None for new weights."""
    architecture = choice.model_dump(mode="json")
    weights = _weights_of(expand(source)) if source else None
    if weights is not None:
        check_prepared_alike(weights.parent, data)
    brings = choice.name in LIBRARIES  # a normalisation of its own
    grown = choice.name in MODELS and issubclass(MODELS[choice.name], Trees)
    if brings and isinstance(normalise, NormaliseSection):
        raise UserError(f"normalise does not go with a model of {choice.name}, which brings its own mean and std.")
    return ModelPlan(
        build=lambda: build_choice_for(choice, data),
        architecture=None if choice.is_own else architecture,
        title=title_of(architecture),
        normalise=None if brings or (grown and normalise == "data") else _normaliser(normalise, data, source, weights),
        weights=weights,
        fresh=source is None,
        anew=_anew(choice, data, started=weights is not None),
        grown=grown,
    )


def _weights_of(source: str) -> Path:
    """Return the file of weights that a student's or teacher's source names."""
    kind, _, place = source.partition(":")
    path = Path(place).expanduser()
    if kind != "run":
        return path
    return (path / "student" if (path / "student").is_dir() else path) / WEIGHTS


def _normaliser(
    choice: str | NormaliseSection, data: Data, source: str | None, weights: Path | None
) -> Normalise | None:
    """Return the normalisation of a model; a student of an earlier run keeps its own."""
    if choice == "data" and weights is not None and (source or "").startswith("run:"):
        return normalise_of(read_card(weights.parent))
    return normaliser(choice, data)


def _anew(choice: Choice, data: Data, *, started: bool) -> Callable[[], nn.Module] | None:
    """Return what builds a model with new weights; None where it has no others."""
    old = {"pretrained", "weights"}
    if choice.name in LIBRARIES and any(choice.options.get(key) for key in old):
        kept = {key: value for key, value in choice.options.items() if key not in old}
        return lambda: MODELS[choice.name](data.shape, len(data.classes), **kept)
    return (lambda: build_choice_for(choice, data)) if started else None


def student_plan_of(section: StudentSection, data: Data) -> ModelPlan:
    """Return how to make the student of a recipe."""
    if section.source != TEACHER:
        return learner_plan_of(section, data)
    plan = model_plan_of(section.model, section.normalise, data)
    return replace(plan, layers=section.layers, anew=plan.build)


def learner_plan_of(section: StudentSection | LearnerSection, data: Data) -> ModelPlan:
    """Return how to make a model that may start from others' weights, with a classifier of its own where theirs is for
    other classes.
    """
    plan = model_plan_of(section.model, section.normalise, data, section.source)
    return replace(plan, new_head=True, names=_names(plan.weights, data))


def _names(weights: Path | None, data: Data) -> Names | None:
    """Return the classes that weights to start from were made for, where a card beside them tells."""
    if weights is None or data.task != "classification" or not (weights.parent / CARD).is_file():
        return None
    card = read_card(weights.parent)
    return Names(data.classes, tuple(card["classes"]), tuple(data.shape)) if weights.name == WEIGHTS else None


def build_choice_for(choice: Choice, data: Data) -> nn.Module:
    """Build a model of the zoo, or of the user's own, for the shape and the classes of the data."""
    if choice.is_own:
        given = {"shape": data.shape, "classes": len(data.classes)}
        own: nn.Module = build_own(choice.name, nn.Module, given, choice.options)
        return own
    net: nn.Module = MODELS[choice.name](data.shape, len(data.classes), **choice.options)
    return net
