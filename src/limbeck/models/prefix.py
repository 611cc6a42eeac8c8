"""A network whose body is frozen, in two: the body, and the classifier, which learns from what the body gives.

Shapes: B samples, D the width of the vector before the classifier, C classes.
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
    for them, through the model's own classifier, so that what trains the one trains the other.
    """

    body: Adapted
    rest: Adapted


def split(model: Adapted, inputs: Tensor) -> Split | None:
    """Return a model on the CPU in two; None where its body is no fixed function of the inputs.

    inputs: a few samples [B, ...]. The classifier must be a linear layer, all before it frozen (see `freeze`) and in
    evaluation mode, but for dropout right before it, which the rest has. Both ways are tried in training mode.
    """
    training = model.training
    path = classifier_of(model, inputs)
    said, _ = model.eval().overhear(inputs)
    model.train()
    dropped = _dropped(said, path)
    model.train(training)
    classifier = model.net.get_submodule(path)
    if not isinstance(classifier, nn.Linear) or not _is_last(classifier, model.net):
        return None
    paths = (*dropped, path)
    body = Adapted(_without(model.net, paths), classes=classifier.in_features, normalise=copy.deepcopy(model.normalise))
    rest = Adapted(Tail(model.net, paths), classes=model.classes)
    rest.fresh = model.fresh
    found = Split(body.eval(), rest.train(training))
    learns = any(one.requires_grad for one in body.parameters())
    return None if learns or not _agrees(model, found, inputs) else found


def _is_last(classifier: nn.Module, net: nn.Module) -> bool:
    """Whether a network holds its classifier after all its other layers, as learning rates by layer assume."""
    return [one for one in net.modules() if list(one.parameters(recurse=False))][-1] is classifier


def _dropped(said: Sequence[Said], path: str) -> tuple[str, ...]:
    """Return the paths of dropout that is at work right before the classifier, in the order of a forward pass."""
    leaves = [one for one in said if not list(one.module.children())]
    before = leaves[: [one.name for one in leaves].index(path)]
    found: list[str] = []
    while before and isinstance(before[-1].module, nn.modules.dropout._DropoutNd) and before[-1].module.training:
        found.insert(0, before.pop().name)
    return tuple(found)


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
            except (ModelError, RuntimeError):
                return False  # the classifier's input is not what a network without it gives
            if not bool((logits - wanted).abs().max() <= ROUNDING * (1 + wanted.abs().max())):
                return False
    return True
