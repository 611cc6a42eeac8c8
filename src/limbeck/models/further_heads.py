"""Heads for further tasks: given to a model, and written in its card, from which they are made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted
from limbeck.models.many_heads import ManyHeads
from limbeck.models.stages import classifier_of

ROUNDING = 1e-4  # of the largest logit


def give_heads(model: Adapted, tasks: Mapping[str, int], inputs: Tensor) -> None:
    """Put a linear head for each further task beside a model's classifier, on the vector that this one gets.

    tasks: their numbers of classes by name; inputs: a few samples [B, ...] by which the classifier is found. The new
    weights are drawn from torch's generator and are among `model.fresh`. Raises ModelError where the classifier is no
    linear layer that makes the logits of one vector.
    """
    path = classifier_of(model, inputs)
    main = model.net.get_submodule(path)
    if not isinstance(main, nn.Linear) or not _makes_the_logits(model, path, main, inputs):
        raise ModelError(
            f"tasks expects a student whose last layer is a linear one that makes the logits of a vector, since the "
            f"heads of further tasks stand beside it; got {type(main).__name__} at {path!r}. Choose another student."
        )
    model.net.set_submodule(path, ManyHeads(main, tasks))
    model.several = path
    model.fresh = (*model.fresh, *(f"{path}.{kind}_{name}" for name in tasks for kind in ("weight", "bias")))


def described(model: Adapted, classes: Mapping[str, tuple[str, ...]]) -> dict[str, Any] | None:
    """Return what a model's card says of its further heads, None for one without; classes: of each task."""
    return None if model.several is None else {"at": model.several, "tasks": {k: list(v) for k, v in classes.items()}}


def with_heads(net: nn.Module, card: Mapping[str, Any]) -> nn.Module:
    """Return a net of a card's architecture with the further heads that the card names, in place."""
    said = card.get("heads")
    if said is not None:
        main = net.get_submodule(said["at"])
        assert isinstance(main, nn.Linear)  # it was when the card was written
        net.set_submodule(said["at"], ManyHeads(main, {name: len(one) for name, one in said["tasks"].items()}))
    return net


@torch.no_grad()
def _makes_the_logits(model: Adapted, path: str, main: nn.Linear, inputs: Tensor) -> bool:
    """Whether a layer makes the logits of vectors [B, D], as the last thing that a model does."""
    training = model.training
    with model.hearing((path,)) as heard:
        logits = model.eval()(inputs).logits
    model.train(training)
    vector = heard.get(path)
    if vector is None or vector.ndim != 2 or main.out_features != logits.shape[1]:
        return False
    found = functional.linear(vector, main.weight, main.bias)
    return bool((found - logits).abs().max() <= ROUNDING * (1 + logits.abs().max()))
