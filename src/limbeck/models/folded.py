"""A model for answering alone, with its batch norm folded into the layers before.

In evaluation mode batch norm multiplies and adds what the layer before it can multiply and add as well.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from limbeck.models.adapt import Adapted

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ROUNDING = 1e-4  # of the largest logit


@torch.no_grad()
def folded(model: Adapted, inputs: Tensor) -> Adapted:
    """Return a copy in evaluation mode that gives the same logits within rounding; the model stays as it is.

    A layer and the batch norm that is defined next to it are folded where the logits for inputs [B, ...] stay the
    same; what a forward pass uses in another order than it is defined in is left alone.
    """
    copied = copy.deepcopy(model).eval()
    wanted = copied(inputs).logits
    layers = [(name, module) for name, module in copied.net.named_modules() if not list(module.children())]
    for (first, layer), (second, norm) in itertools.pairwise(layers):
        fused = _fused(layer, norm)
        if fused is None:
            continue
        copied.net.set_submodule(first, fused)
        copied.net.set_submodule(second, nn.Identity())
        if not _gives(copied, inputs, wanted):
            copied.net.set_submodule(first, layer)
            copied.net.set_submodule(second, norm)
    return copied


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    """Return one layer that does what both do in a row, None where they cannot follow each other."""
    if not isinstance(norm, NORMS) or norm.running_var is None:
        return None
    if isinstance(layer, CONVOLUTIONS) and layer.out_channels == norm.num_features:
        return fuse_conv_bn_eval(layer, norm)
    if isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d) and layer.out_features == norm.num_features:
        return fuse_linear_bn_eval(layer, norm)
    return None


def _gives(model: Adapted, inputs: Tensor, wanted: Tensor) -> bool:
    try:
        found = model(inputs).logits
    except (RuntimeError, AttributeError, TypeError):
        return False
    return bool((found - wanted).abs().max() <= ROUNDING * wanted.abs().max())
