"""A network whose body is frozen, in two: the body, and the layers at the end, which learn from what the body gives.

That is the classifier alone, or several layers one after the other where the body ends with a vector.
Shapes: B samples, D the width of the vector that the body gives, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted, Said
from limbeck.models.stages import classifier_of

TRIED = (0, 1)  # seeds of the random numbers that both ways are compared under
ROUNDING = 1e-4  # of the largest logit


class Tail(nn.Module):
    """Some modules of a network, at their own paths and one after the other; they stay the network's own as well."""

    def __init__(self, net: nn.Module, paths: Sequence[str]) -> None:
        super().__init__()
        self.order = tuple(paths)
        for path in paths:
            *above, last = path.split(".")
            place: nn.Module = self
            for name in above:
                if name not in dict(place.named_children()):
                    place.add_module(name, nn.Module())
                place = place.get_submodule(name)
            place.add_module(last, net.get_submodule(path))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] for vectors [B, D]."""
        for path in self.order:
            inputs = self.get_submodule(path)(inputs)
        return inputs


@dataclass(frozen=True, eq=False)
class Split:
    """A model in two. body: a copy that gives the vectors [B, D] in the place of logits; rest: gives the model's logits
    for them, through the model's own last layers, so that what trains the one trains the other.
    """

    body: Adapted
    rest: Adapted


def split(model: Adapted, inputs: Tensor) -> Split | None:
    """Return a model on the CPU in two; None where its body is no fixed function of the inputs, or gives no vector.

    inputs: a few samples [B, ...]. All before the rest is frozen (see `freeze`) and in evaluation mode, but for dropout
    right before it, which the rest has. The rest is what the network ends with, layer after layer, the last of them
    a linear one. Both ways are tried in training mode.
    """
    training = model.training
    classifier = model.net.get_submodule(classifier_of(model, inputs))
    said, _ = model.eval().overhear(inputs)
    model.train()
    paths = _paths_of_rest(said)
    model.train(training)
    if not isinstance(classifier, nn.Linear) or not paths or not _is_the_end(model.net, paths):
        return None
    with torch.no_grad(), model.hearing(paths[:1]) as given:
        model.eval()(inputs)
    model.train(training)
    if (vectors := given.get(paths[0])) is None or vectors.ndim != 2:
        return None
    body = Adapted(_without(model.net, paths), classes=vectors.shape[1], normalise=copy.deepcopy(model.normalise))
    rest = Adapted(Tail(model.net, paths), classes=model.classes)
    rest.fresh, rest.new_rows = model.fresh, model.new_rows
    rest.pinned = tuple(name for name in model.pinned if name in dict(rest.net.named_modules()))
    found = Split(body.eval(), rest.train(training))
    frozen = [not one.requires_grad for one in body.parameters()]
    return found if frozen and all(frozen) and _agrees(model, found, inputs) else None


def _paths_of_rest(said: Sequence[Said]) -> tuple[str, ...]:
    """Return the paths of the layers from the first one that learns on, and of dropout at work right before it.

    said: what the modules gave, in the order of a forward pass. Nothing where none learns.
    """
    leaves = [one for one in said if not list(one.module.children())]
    learning = (any(value.requires_grad for value in one.module.parameters()) for one in leaves)
    start = next((place for place, learns in enumerate(learning) if learns), len(leaves))
    while start and isinstance(drop := leaves[start - 1].module, nn.modules.dropout._DropoutNd) and drop.training:
        start -= 1
    return tuple(dict.fromkeys(one.name for one in leaves[start:]))


def _is_the_end(net: nn.Module, paths: Sequence[str]) -> bool:
    """Whether a network holds these layers in this order after all its others, as learning rates by layer assume."""
    layers = [one for one in net.modules() if list(one.parameters(recurse=False))]
    ends = [one for one in map(net.get_submodule, paths) if list(one.parameters(recurse=False))]
    return layers[-len(ends) :] == ends


def _without(net: nn.Module, paths: Sequence[str]) -> nn.Module:
    """Return a copy of a network that leaves out some of its modules."""
    body = copy.deepcopy(net)
    for path in paths:
        body.set_submodule(path, nn.Identity())
    return body


@torch.no_grad()
def _agrees(model: Adapted, found: Split, inputs: Tensor) -> bool:
    """Whether the halves, one after the other, give the model's logits in training, random numbers and all."""
    whole = copy.deepcopy(model).train()
    rest = copy.deepcopy(found.rest).train()
    with torch.random.fork_rng(devices=[]):
        for seed in TRIED:
            torch.manual_seed(seed)
            wanted = whole(inputs).logits
            torch.manual_seed(seed)
            try:
                logits = rest(found.body(inputs).logits).logits
            except (ModelError, RuntimeError, TypeError, ValueError, IndexError):
                return False  # a layer's input is not what the one before it gives
            if not bool((logits - wanted).abs().max() <= ROUNDING * (1 + wanted.abs().max())):
                return False
    return True
