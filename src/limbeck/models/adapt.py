"""Any module becomes a model that takes raw inputs and returns `Outputs`.

Shapes: B samples, C classes. This is the only file that knows what foreign modules return, and the only one that
listens to what happens inside of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from limbeck.errors import ModelError, nearest
from limbeck.models.many_heads import ManyHeads
from limbeck.types import Outputs

LOGIT_NAMES = ("logits", "logit", "out", "output", "scores")
SOURCE = "source"


class Normalise(nn.Module):
    """`(x - mean) / std`, per channel of pictures [B, C, H, W] or per feature of vectors [B, D].

    It is a part of the model, so every model is fed with its own normalisation. The buffers are not in
    the state dict: they are written to `model.json`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        super().__init__()
        mean, std = torch.as_tensor(mean).float(), torch.as_tensor(std).float()
        if mean.shape != std.shape or not bool((std > 0).all()):
            raise ModelError(
                f"normalise expects a mean and a positive standard deviation of one length, "
                f"got mean {mean.tolist()} and std {std.tolist()}."
            )
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise inputs [B, C, H, W] or [B, D]; the shape stays."""
        if inputs.ndim == 4:
            return (inputs - self.mean[:, None, None]) / self.std[:, None, None]
        return (inputs - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Said:
    """What a module gave in a forward pass.

    name: its path in the net; output: the tensor it returned, the first one where there are several, None for none;
    version: how often that had been written to by then.
    """

    name: str
    module: nn.Module
    output: Tensor | None
    version: int


class Adapted(nn.Module):
    """A module with its normalisation in front and `Outputs` behind.

    net: any module; it may return logits [B, C], a tuple or list that holds them, a mapping, or an object
    with the attribute `logits` (as Hugging Face models do).
    classes: C, the number of columns the logits must have.
    pinned: paths of modules that stay in evaluation mode; left: tensors of the head that weights from elsewhere came
    with and whose place another one took, by their names there, None where nobody has them; fresh: names of tensors
    that are new in that case. Where that head knew some of the classes, see `limbeck.models.carry`: new_rows: which
    rows of which tensors are new; carried: if it knew no others, the column of the logits of each of its classes.
    adapters: layers that have a low-rank adapter beside them, by path, as they are without it.
    """

    def __init__(self, net: nn.Module, *, classes: int, normalise: Normalise | None = None) -> None:
        super().__init__()
        self.net = net
        self.classes = classes
        self.normalise = normalise
        self.layers: tuple[str, ...] = ()
        self.pinned: tuple[str, ...] = ()
        self.fresh: tuple[str, ...] = ()
        self.new_rows: Mapping[str, tuple[int, ...]] = {}
        self.carried: tuple[int, ...] = ()
        self.left: Mapping[str, Tensor] | None = {}
        self.several = next((name for name, one in net.named_modules() if isinstance(one, ManyHeads)), None)
        self.adapters: Mapping[str, nn.Module] = {}
        self._hooks: list[RemovableHandle] = []
        self._said: list[Said] = []
        self._source: list[RemovableHandle] = []
        self._heads: dict[str, Tensor] = {}
        self._columns: tuple[int, ...] = ()

    def forward(self, inputs: Tensor) -> Outputs:
        """Return the outputs for inputs [B, ...]: pictures in 0..1 or raw features."""
        if self.normalise is not None:
            inputs = self.normalise(inputs)
        if not self.is_heard:
            return Outputs(logits=find_logits(self.net(inputs), self.classes))
        self._said.clear()
        logits = find_logits(self.net(inputs), self.classes)
        features = {name: _only_output(name, self._said) for name in self.layers}
        heads = dict(self._heads) | ({SOURCE: logits[:, list(self._columns)]} if self._columns else {})
        heads |= {} if self.many_heads is None else self.many_heads.take()
        self._said.clear()
        self._heads.clear()
        return Outputs(logits=logits, heads=heads, features=features)

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens to what happens inside."""
        return bool(self.layers or self._source or self._columns) or self.several is not None

    @property
    def many_heads(self) -> ManyHeads | None:
        """The classifier that answers for further tasks too; None for one of the main task alone."""
        found = None if self.several is None else self.net.get_submodule(self.several)
        return found if isinstance(found, ManyHeads) else None

    def train(self, mode: bool = True) -> Self:
        """Go into training or evaluation mode, all but what is pinned."""
        super().train(mode)
        for name in self.pinned:
            self.net.get_submodule(name).eval()
        return self

    def listen_to(self, names: Sequence[str]) -> None:
        """Give the outputs of these modules as `Outputs.features` from now on; none of them again with ().

        names: module paths of the net, such as "body.2". Raises ModelError for a path that the net does not have; a
        forward pass raises it for a module that is not used exactly once in it, gives no tensor, or whose output is
        written over by a later one.
        """
        modules = dict(self.net.named_modules())
        for name in names:
            if not name or name not in modules:
                raise ModelError(f"The network has no layer {name!r}; near it are {nearest(name, modules)}.")
        for hook in self._hooks:
            hook.remove()
        self.layers = tuple(dict.fromkeys(names))
        self._hooks = [modules[name].register_forward_hook(partial(_note, self._said, name)) for name in self.layers]

    @contextmanager
    def hearing(self, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """Yield what goes into these modules of the net, by name, as each forward pass within has it."""
        heard: dict[str, Tensor] = {}
        hooks = [
            self.net.get_submodule(name).register_forward_pre_hook(partial(_note_input, heard, name)) for name in names
        ]
        try:
            yield heard
        finally:
            for hook in hooks:
                hook.remove()

    def answer_as_source(self, wanted: bool = True) -> None:
        """Give the logits of the source's head, frozen, as `Outputs.heads["source"]` from now on; or no longer.

        Where all of its classes were carried over they are the model's own logits for these, which learn. Nothing
        changes where no other head took its place. Raises ModelError where nobody has the source's.
        """
        for hook in self._source:
            hook.remove()
        self._source, self._columns = [], self.carried if wanted else ()
        if wanted and self.left is None:
            raise ModelError(
                "The library gives a pretrained model without its own head when it makes one for other classes; name a "
                "file of its weights in place of pretrained, or leave out learning_without_forgetting."
            )
        if wanted and self.left:
            path = list(self.left)[-1].rpartition(".")[0]
            place = self.net.get_submodule(path)
            head = _as_it_was(place, {name: one for name, one in self.left.items() if name.startswith(f"{path}.")})
            self._source = [place.register_forward_hook(partial(_answer_too, self._heads, head))]

    @torch.no_grad()
    def overhear(self, inputs: Tensor) -> tuple[list[Said], Tensor]:
        """Return what every module gave for inputs [B, ...], in the order in which they ended, and the logits.

        A layer with an adapter is one module, called as it is without.
        """
        said: list[Said] = []
        inside = tuple(f"{path}." for path in self.adapters)
        hooks = [
            module.register_forward_hook(partial(_note, said, name))
            for name, module in self.net.named_modules()
            if name and not name.startswith(inside)
        ]
        try:
            logits = self(inputs).logits
        finally:
            for hook in hooks:
                hook.remove()
        return [replace(one, module=self.adapters.get(one.name, one.module)) for one in said], logits


def _note(said: list[Said], name: str, module: nn.Module, inputs: object, returned: object) -> None:
    output = first_tensor(returned)
    said.append(Said(name, module, output, version_of(output)))


def _note_input(heard: dict[str, Tensor], name: str, module: nn.Module, inputs: tuple[object, ...]) -> None:
    given = first_tensor(inputs)
    if given is not None:
        heard[name] = given


def _as_it_was(place: nn.Module, left: Mapping[str, Tensor]) -> nn.Module:
    """Return the head that stood in a place, frozen; left: its tensors by path."""
    head = copy.deepcopy(place)
    for name, value in left.items():
        own = name.rpartition(".")[2]
        setattr(head, own, nn.Parameter(value.to(place.get_parameter(own))))
    return head.requires_grad_(False)


def _answer_too(heads: dict[str, Tensor], head: nn.Module, module: nn.Module, inputs: tuple[Tensor], _: object) -> None:
    heads[SOURCE] = head(*inputs)


def version_of(output: Tensor | None) -> int:
    """Return how often a tensor was written to; 0 in inference mode, where nobody counts."""
    return 0 if output is None or output.is_inference() else output._version


def first_tensor(returned: object) -> Tensor | None:
    """Return what a module gave where that is a tensor, else the first one in its tuple, list or mapping."""
    if isinstance(returned, Tensor):
        return returned
    inside: Sequence[object] = ()
    if isinstance(returned, Mapping):
        inside = list(returned.values())
    elif isinstance(returned, (tuple, list)):
        inside = returned
    return next((one for one in inside if isinstance(one, Tensor)), None)


def _only_output(name: str, said: Sequence[Said]) -> Tensor:
    """Return what the module of this name gave, if that can be told."""
    found = [one for one in said if one.name == name]
    if len(found) != 1:
        raise ModelError(
            f"The layer {name!r} is used {len(found)} times in a forward pass; expected one that is used once."
        )
    output = found[0].output
    if output is None:
        raise ModelError(f"The layer {name!r} returns no tensor; name a layer that does.")
    if version_of(output) != found[0].version:
        raise ModelError(
            f"The output of the layer {name!r} is written over by a later one (inplace=True); name that one instead."
        )
    return output


def find_logits(returned: object, classes: int) -> Tensor:
    """Find the logits [B, C] in what a module returned.

    Raises ModelError when there is none with C columns, or when more than one could be meant.
    """
    if isinstance(returned, Tensor):
        return _checked(returned, classes)
    if isinstance(returned, Mapping):
        return _checked(_from_mapping(returned, classes), classes)
    logits = getattr(returned, "logits", None)
    if isinstance(logits, Tensor):
        return _checked(logits, classes)
    if isinstance(returned, (tuple, list)):
        return _only([item for item in returned if isinstance(item, Tensor)], classes)
    raise ModelError(
        f"The model returned {type(returned).__name__}; expected a tensor of logits [batch, {classes}], or a "
        f"tuple, a dict or an object with .logits that holds one."
    )


def _from_mapping(returned: Mapping[object, object], classes: int) -> Tensor:
    for name in LOGIT_NAMES:
        value = returned.get(name)
        if isinstance(value, Tensor):
            return value
    return _only([item for item in returned.values() if isinstance(item, Tensor)], classes)


def _only(tensors: Sequence[Tensor], classes: int) -> Tensor:
    fitting = [tensor for tensor in tensors if tensor.ndim == 2 and tensor.shape[1] == classes]
    if len(fitting) == 1:
        return fitting[0]
    shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors) or "no tensor"
    raise ModelError(
        f"The model returned several values ({shapes}), {len(fitting)} of which could be logits "
        f"[batch, {classes}]; return a dict with the key 'logits' so that there is no doubt."
    )


def _checked(logits: Tensor, classes: int) -> Tensor:
    if logits.ndim == 2 and logits.shape[1] == classes:
        return logits
    raise ModelError(
        f"The model returned logits of shape {list(logits.shape)}; expected [batch, {classes}] because the data "
        f"has {classes} classes."
    )
