"""Any module becomes a model that takes raw inputs and returns `Outputs`.

Shapes: B samples, C classes. This is the only file that knows what foreign modules return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.types import Outputs

LOGIT_NAMES = ("logits", "logit", "out", "output", "scores")


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


class Adapted(nn.Module):
    """A module with its normalisation in front and `Outputs` behind.

    net: any module; it may return logits [B, C], a tuple or list that holds them, a mapping, or an object
    with the attribute `logits` (as Hugging Face models do).
    classes: C, the number of columns the logits must have.
    """

    def __init__(self, net: nn.Module, *, classes: int, normalise: Normalise | None = None) -> None:
        super().__init__()
        self.net = net
        self.classes = classes
        self.normalise = normalise

    def forward(self, inputs: Tensor) -> Outputs:
        """Return the outputs for inputs [B, ...]: pictures in 0..1 or raw features."""
        if self.normalise is not None:
            inputs = self.normalise(inputs)
        return Outputs(logits=find_logits(self.net(inputs), self.classes))


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
