"""How samples are brought into the form that a foreign model takes. Shapes: B samples in the batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.nn import functional

from limbeck.models.adapt import Normalise

Layout = Literal["nchw", "nhwc", "flat"]


@dataclass(frozen=True, eq=False)
class Feeding:
    """How a model is fed. layout: of its pictures, None to read it off the model; scale: the value of a white pixel;
    size: height and width that pictures are resized to, None to keep theirs; normalise: applied last, on that scale.

    A model that takes uint8 gets pixels in 0..255, whatever `scale` says, and is not normalised.
    """

    layout: Literal["nchw", "nhwc"] | None = None
    scale: int = 1
    size: tuple[int, int] | None = None
    normalise: Normalise | None = None

    def describe(self) -> str:
        """Return what tells this feeding from another one, as JSON."""
        normalise = self.normalise
        statistics = normalise and [normalise.mean.tolist(), normalise.std.tolist()]
        return json.dumps([self.layout, self.scale, self.size, statistics])


def feed(inputs: Tensor, feeding: Feeding, layout: Layout, kind: DTypeLike) -> NDArray[Any]:
    """Return inputs [B, ...], pictures [B, C, H, W] in 0..1, as a model takes them; kind: of its numbers."""
    inputs = inputs.detach().cpu()
    if inputs.ndim == 4:
        if feeding.size is not None:
            inputs = functional.interpolate(inputs, feeding.size, mode="bilinear", antialias=True)
        inputs = inputs * (255 if kind is np.uint8 else feeding.scale)
    if kind is np.uint8:
        inputs = inputs.round().clamp(0, 255)
    elif feeding.normalise is not None:
        inputs = feeding.normalise(inputs)
    if inputs.ndim == 4 and layout == "nhwc":
        inputs = inputs.permute(0, 2, 3, 1)
    flat = inputs.flatten(1) if layout == "flat" else inputs
    return np.ascontiguousarray(flat.numpy().astype(kind))
