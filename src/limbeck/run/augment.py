"""Views from an `augment:` list: Limbeck's transforms, and those of the user's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any, Literal

import torch

from limbeck.data.dataset import Data
from limbeck.data.kept_views import room_for
from limbeck.data.mixup import Mixup, Partners
from limbeck.data.per_sample import PerSample
from limbeck.data.views import Transform, Views
from limbeck.errors import DataError, ModelError
from limbeck.recipe.choices import TRANSFORMS, build_choice
from limbeck.recipe.own import build_own, import_own
from limbeck.recipe.schema import Choice


def views_of(
    transforms: Sequence[Choice | Transform | Mixup],
    data: Data,
    *,
    seed: int,
    count: int | Literal["fresh"],
    hidden_by: str | None = None,
) -> Views | None:
    """Return the views that an `augment:` list describes; None when it is empty.

    hidden_by: the key that keeps labels from those who are shown them, None where they see all. Raises DataError for
    mixup among samples whose labels are hidden.
    """
    if not transforms:
        return None
    built = [_built(one) if isinstance(one, Choice) else one for one in transforms]
    kept = None if count == "fresh" else room_for(data.pool.inputs, count)
    if not any(isinstance(one, Mixup) for one in built):
        return Views(built, seed=seed, count=count, kept=kept)
    if hidden_by is not None:
        raise DataError(
            f"mixup and data.{hidden_by} do not go together: pictures would be mixed with others whose label is "
            f"hidden, which leaves the controls without their labels; remove one of the two."
        )
    if data.task != "classification":
        raise DataError(f"mixup mixes classes, but data.task is {data.task}; leave it out.")
    partners = Partners.among(data.train, data.pool.keys, data.pool.labels)
    return Views(built, seed=seed, count=count, partners=partners, kept=kept)


def hidden_by(labels_per_class: int | None, unlabelled_classes: Sequence[str] = ()) -> str | None:
    """Return which key of the data keeps labels from a model, None where it sees all."""
    if labels_per_class is not None:
        return "labels_per_class"
    return "unlabelled_classes" if unlabelled_classes else None


def _built(choice: Choice) -> Transform | Mixup:
    if not choice.is_own:
        known: Transform | Mixup = build_choice(choice, TRANSFORMS)
        return known
    said = ", ".join(f"{name}={value}" for name, value in choice.options.items())
    title = f"{choice.name}({said})" if said else choice.name
    found = import_own(choice.name)
    if not inspect.isclass(found):
        return PerSample(_checked(found, choice), title)
    made = build_own(choice.name, object, {}, choice.options)
    if isinstance(made, Transform):
        return made
    if not callable(made):
        raise ModelError(f"{choice.name} cannot be called; a transform is called as t(x, generator), once a sample.")
    return PerSample(made, title)


def _checked(function: Any, choice: Choice) -> Any:
    """Return the function with its options, once it is known that x and a generator fit beside them."""
    try:
        inspect.signature(function).bind(torch.zeros(1), torch.Generator(), **choice.options)
    except TypeError as error:
        raise ModelError(f"{choice.name} cannot be called as t(x, generator) with these options: {error}.") from None
    return functools.partial(function, **choice.options)
