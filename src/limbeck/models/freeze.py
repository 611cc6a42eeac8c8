"""Parts of a model that training leaves as they are: weights fixed, batch norm and dropout as in evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from limbeck.errors import ModelError, nearest
from limbeck.models.adapt import Adapted
from limbeck.models.stages import classifier_of, stages_of
from limbeck.models.weights import checksum_of

BACKBONE = "backbone"


def freeze(model: Adapted, patterns: Sequence[str], sample: Tensor) -> None:
    """Freeze what patterns name: paths of modules or parameters, `*` for any text; `backbone`: all but the classifier.

    sample: a few inputs [B, ...], by which the classifier is found. A module all of whose parameters are frozen stays
    in evaluation mode from now on, so that batch norm keeps its statistics; so does dropout before the last layer up to
    which all are frozen. Raises ModelError for a pattern that names nothing, and where nothing is left to train.
    """
    if not patterns:
        return
    names = [name for name, _ in model.net.named_parameters()]
    frozen: set[str] = set()
    for pattern in patterns:
        found = _outside_classifier(model, names, sample) if pattern == BACKBONE else named(pattern, names)
        if not found:
            modules = [name for name, _ in model.net.named_modules() if name]
            raise ModelError(f"freeze: nothing is called {pattern!r}; near it are {nearest(pattern, modules)}.")
        frozen |= found
    if frozen == set(names):
        raise ModelError(f"freeze: {', '.join(patterns)} leaves nothing to train; leave out the classifier's path.")
    hold(model, frozen, sample)


def hold(model: Adapted, frozen: set[str], sample: Tensor) -> None:
    """Freeze parameters by their names, and what is to stay in evaluation mode with them; sample: as for `freeze`."""
    for name, parameter in model.net.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    pinned = tuple(_pinned(model.net, frozen))
    model.pinned = (*pinned, *_dropout_between(model, frozen, pinned, sample))
    model.train(model.training)


def unfreezing(model: Adapted, sample: Tensor) -> tuple[tuple[str, ...], ...]:
    """Return patterns for `freeze` that leave more to train each time: the classifier, then one stage of the network
    more from its end on, all of it at last.

    sample: a few inputs [B, ...]. What is used twice belongs to the earlier stage.
    """
    names = [name for name, _ in model.net.named_parameters()]
    stage = _stage_of_each(model, names, sample)
    ends = sorted(set(stage.values()), reverse=True)
    parts = [{name for name, place in stage.items() if place < end} for end in ends]
    return ((BACKBONE,), *(_outermost(part, names) for part in parts))


def _stage_of_each(model: Adapted, names: Sequence[str], sample: Tensor) -> dict[str, int]:
    """Return the stage that each parameter before the classifier belongs to; the first for one of no module."""
    training = model.training
    said = [one.name for one in model.eval().overhear(sample)[0]]
    model.train(training)
    ends = [said.index(name) for name in stages_of(model, sample)]
    outside = _outside_classifier(model, names, sample)
    called = {name: said.index(name.rpartition(".")[0]) for name in outside if name.rpartition(".")[0] in said}
    return {name: min(sum(end < called.get(name, 0) for end in ends), max(len(ends) - 1, 0)) for name in outside}


def _outermost(part: set[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the paths of the largest modules, or else parameters, that hold a part of all parameters and no others."""
    others = {path for name in names if name not in part for path in _above(name)}
    return tuple(
        dict.fromkeys(next(path for path in _above(name) if path not in others) for name in names if name in part)
    )


def frozen_state(model: Adapted) -> dict[str, Tensor]:
    """Return the frozen parameters, and the buffers of modules that stay in evaluation mode, by name."""
    state: dict[str, Tensor] = {name: value for name, value in model.net.named_parameters() if not value.requires_grad}
    for name in model.pinned:
        module = model.net.get_submodule(name)
        state |= {f"{name}.{inner}": value for inner, value in module.named_buffers()}
    return state


def frozen_checksum(model: Adapted) -> str | None:
    """Return the SHA-256 (hex) of everything frozen; None where nothing is."""
    state = frozen_state(model)
    return checksum_of(state) if state else None


def named(pattern: str, names: Iterable[str]) -> set[str]:
    """Return the names of which the path, or that of a module around it, fits a pattern."""
    return {name for name in names if any(fnmatchcase(path, pattern) for path in _above(name))}


def _above(name: str) -> Iterator[str]:
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def _outside_classifier(model: Adapted, names: Sequence[str], sample: Tensor) -> set[str]:
    head = classifier_of(model, sample)
    return {name for name in names if not name.startswith(f"{head}.")}


def _dropout_between(model: Adapted, frozen: set[str], pinned: Sequence[str], sample: Tensor) -> Iterator[str]:
    """Yield dropout outside of pinned modules that comes before a layer up to which all are frozen."""
    training = model.training
    said, _ = model.eval().overhear(sample)
    model.train(training)
    waiting: list[str] = []
    for one in said:
        own = [f"{one.name}.{inner}" for inner, _ in one.module.named_parameters(recurse=False)]
        if not all(name in frozen for name in own):
            return
        if own:
            yield from waiting
            waiting.clear()
        elif isinstance(one.module, nn.modules.dropout._DropoutNd) and not _is_inside(one.name, pinned):
            waiting.append(one.name)


def _is_inside(name: str, above: Sequence[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in above)


def _pinned(net: nn.Module, frozen: set[str]) -> Iterator[str]:
    """Yield the modules all of whose parameters are frozen, the outermost of them alone."""
    done: list[str] = []
    for name, module in net.named_modules():
        own = [f"{name}.{inner}" for inner, _ in module.named_parameters()]
        if name and own and all(one in frozen for one in own) and not _is_inside(name, done):
            done.append(name)
            yield name
