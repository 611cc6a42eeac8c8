"""Which layers of a network others may be compared with: the ends of its stages, and the vector before its classifier.

A stage is what works at one size: of pictures [B, C, H, W] at one H x W, of tokens [B, T, E] in one of several equal
blocks, of vectors [B, D] in one layer with weights. Everything from the last layer with weights on belongs to the
classifier. What is used twice, or written over later, is no layer to compare.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted, Said, version_of


def stages_of(model: Adapted, inputs: Tensor) -> tuple[str, ...]:
    """Return the module paths of the layers that others may be compared with, in the order of a forward pass.

    inputs: a few samples [B, ...]. The model is asked in evaluation mode, and its mode put back.
    """
    training = model.training
    model.eval()
    said, _ = model.overhear(inputs)
    model.train(training)
    body = [one for one in _body(said) if one.output is not None and _is_batch(one.output, len(inputs))]
    wide = [one for one in body if _rank(one) > 2]
    ends = _tokens(wide, model.net) if wide and _rank(wide[-1]) == 3 else _maps(wide)
    names = (_name(end, said) for end in (*ends, *_vectors(body)))
    return tuple(dict.fromkeys(name for name in names if name is not None))


def classifier_of(model: Adapted, inputs: Tensor) -> str:
    """Return the module path of a model's classifier: the last module with weights of its own in a forward pass.

    inputs: a few samples [B, ...]. Raises ModelError for a model without weights.
    """
    training = model.training
    model.eval()
    said, _ = model.overhear(inputs)
    model.train(training)
    weighted = [one.name for one in said if _has_weights(one.module)]
    if not weighted:
        raise ModelError("The model has no weights, so it has no classifier.")
    return weighted[-1]


def _body(said: Sequence[Said]) -> Sequence[Said]:
    """Return what comes before the classifier, the last module with weights of its own."""
    weighted = [place for place, one in enumerate(said) if _has_weights(one.module)]
    return said[: weighted[-1]] if weighted else ()


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))


def _is_batch(output: Tensor, count: int) -> bool:
    return output.is_floating_point() and 2 <= output.ndim <= 5 and len(output) == count


def _rank(one: Said) -> int:
    return 0 if one.output is None else one.output.ndim


def _maps(wide: Sequence[Said]) -> list[Said]:
    """Return the last output of each size of pictures that layers with weights worked at, outside of blocks."""
    pictures = [one for one in wide if _rank(one) > 3]
    shrinking = _shrinking(pictures)
    outside = [one for one in pictures if not _is_inside(one, shrinking)]
    return [end for end, weighted in _stairs(outside or pictures) if weighted]


def _stairs(pictures: Sequence[Said]) -> list[tuple[Said, bool]]:
    """Return the last output of each size, in order, and whether a layer with weights gave one of that size.

    A size that is followed by a larger one is a detour (a gate that looks at the mean of each channel), no stair.
    """
    stairs: list[tuple[Said, bool]] = []
    for one in pictures:
        while stairs and _area(stairs[-1][0]) < _area(one):
            stairs.pop()
        weighted = _has_weights(one.module)
        if stairs and _space(stairs[-1][0]) == _space(one):
            weighted |= stairs.pop()[1]
        stairs.append((one, weighted))
    return stairs


def _shrinking(pictures: Sequence[Said]) -> dict[str, tuple[int, ...]]:
    """Return the size that each block which makes pictures smaller once gives, by path: the start of a stage.

    What works at the larger size inside belongs to the stage before, but is not its end. Modules that hold blocks
    themselves are a body of several stages, and so are modules in a sequence.
    """
    found = {}
    for one in pictures:
        inside = [other for other in pictures if other.name.startswith(f"{one.name}.")]
        larger = [other for other in inside if _area(other) > _area(one)]
        holds_blocks = any(_height(other.module) > 1 for other in larger)
        if not isinstance(one.module, nn.Sequential) and not holds_blocks and len(_stairs([*inside, one])) == 2:
            found[one.name] = _space(one)
    return found


def _height(module: nn.Module) -> int:
    """Return how many levels of modules there are inside: 0 for a layer, 1 for a module of layers."""
    return max((1 + _height(child) for child in module.children()), default=0)


def _is_inside(one: Said, shrinking: Mapping[str, tuple[int, ...]]) -> bool:
    above = one.name.split(".")
    return any(_space(one) != shrinking.get(".".join(above[:count]), _space(one)) for count in range(1, len(above)))


def _space(one: Said) -> tuple[int, ...]:
    assert one.output is not None
    return tuple(one.output.shape[2:])


def _area(one: Said) -> int:
    return math.prod(_space(one))


def _tokens(wide: Sequence[Said], net: nn.Module) -> list[Said]:
    """Return the output of each block of tokens; the last output of tokens where there are no blocks."""
    found, alike = [one for one in wide if _rank(one) == 3], _blocks(net)
    return [one for one in found if one.name in alike] or found[-1:]


def _blocks(net: nn.Module) -> set[str]:
    """Return the paths of modules with parts that stand beside others of their own class."""
    found = set()
    for name, parent in net.named_modules():
        kinds = Counter(type(child) for child in parent.children() if any(True for _ in child.children()))
        for inner, child in parent.named_children():
            if kinds[type(child)] > 1 and not isinstance(child, nn.Sequential):
                found.add(f"{name}.{inner}" if name else inner)
    return found


def _vectors(body: Sequence[Said]) -> list[Said]:
    """Return the last output before each linear layer that follows another one with weights, and the last of all.

    Those are vectors that come after all pictures and tokens.
    """
    start = max((place for place, one in enumerate(body) if _rank(one) > 2), default=-1) + 1
    learned = [place for place, one in enumerate(body) if _has_weights(one.module)]
    ends = [place - 1 for place in range(start + 1, len(body)) if isinstance(body[place].module, nn.Linear)]
    return [body[end] for end in (*ends, len(body) - 1) if end >= start and learned and learned[0] <= end]


def _name(end: Said, said: Sequence[Said]) -> str | None:
    """Return the first path under which exactly this output was given; None where it is written over later."""
    calls = Counter(one.name for one in said)
    assert end.output is not None
    final = version_of(end.output)
    same = (one for one in said if one.output is end.output and one.version == final and calls[one.name] == 1)
    found = next(same, None)
    return None if found is None else found.name
