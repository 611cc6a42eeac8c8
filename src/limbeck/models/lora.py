"""Low-rank adapters, through peft: beside a layer, which stays as it is, the product of two thin ones that learn.

Hu et al. 2022 (LoRA). At the end the product is added to the layer's weights, and nothing of the adapters is left.
Shapes: B samples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from limbeck.errors import Failure, ModelError, nearest
from limbeck.models.adapt import Adapted
from limbeck.models.freeze import hold, named
from limbeck.models.stages import classifier_of

if TYPE_CHECKING:
    from peft import LoraModel

ADAPTER = "lora"  # what peft calls the adapters that it adds
ROUNDING = 1e-3  # of the largest logit


@dataclass(frozen=True)
class Lora:
    """Which layers have adapters, and how wide these are.

    rank: how wide, 1 or more; alpha: what adapters give is multiplied by alpha / rank; modules: linear layers and
    convolutions that have one, by paths of theirs or of modules around them with `*` for any text, all before the
    classifier unless given.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    modules: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)


@dataclass(frozen=True, eq=False)
class Adapters:
    """The adapters of a model. trained: how many values learn, those of the classifier too; parameters: how many values
    the model has without adapters.
    """

    lora: Lora
    model: Adapted
    tuner: LoraModel
    trained: int
    parameters: int

    def merge(self, inputs: Tensor) -> dict[str, Any]:
        """Add what the adapters have learned to the weights, so that the model is again as it was made; describe it.

        inputs: a few samples [B, ...], on the model's device. Their logits may move by rounding alone, or Failure.
        """
        model, layers = self.model.eval(), len(self.model.adapters)
        with torch.no_grad():
            wanted = model(inputs).logits
            model.net = self.tuner.merge_and_unload(safe_merge=True)
            model.adapters, model.pinned = {}, ()
            moved = float((model(inputs).logits - wanted).abs().max())
        if not moved <= ROUNDING * (1 + float(wanted.abs().max())):
            raise Failure(
                f"Merging the adapters changed the logits by {moved:.2g}, so a layer does more with its weights than a "
                f"product; leave it out of lora.modules."
            )
        told = {"rank": self.lora.rank, "alpha": self.lora.alpha, "modules": self.lora.modules, "layers": layers}
        return told | {"trained": self.trained, "parameters": self.parameters, "merging_error": moved}


def add_adapters(model: Adapted, lora: Lora, sample: Tensor, seed: int) -> Adapters:
    """Give a model adapters, whose weights are drawn by a seed, and freeze everything else but the classifier.

    At first they change nothing. sample: a few inputs [B, ...], by which the classifier is found. Batch norm stays in
    evaluation mode from now on, and so does dropout between layers before the first adapter. Raises ModelError for a
    pattern that names no layer that can have one, and where peft is not installed.
    """
    config, tuner_of = _peft()
    head = classifier_of(model, sample)
    layers = _layers(model, lora, head)
    learning = [one for name, one in model.net.named_parameters() if one.requires_grad and name.startswith(f"{head}.")]
    parameters = sum(one.numel() for one in model.net.parameters())
    told = config(r=lora.rank, lora_alpha=lora.alpha, target_modules="|".join(map(re.escape, layers)), lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuner = tuner_of(model.net, told, ADAPTER)
    model.adapters = layers
    for one in learning:
        one.requires_grad_(True)
    hold(model, {name for name, one in model.net.named_parameters() if not one.requires_grad}, sample)
    model.pinned = (*model.pinned, *_unlearned_norms(model.net))
    trained = sum(one.numel() for one in model.net.parameters() if one.requires_grad)
    return Adapters(lora, model.train(model.training), tuner, trained, parameters)


def _layers(model: Adapted, lora: Lora, head: str) -> dict[str, nn.Module]:
    """Return the layers that get an adapter, by path."""
    fitting = {name: one for name, one in model.net.named_modules() if name not in ("", head) and _can_have_one(one)}
    chosen: set[str] = set()
    for pattern in lora.modules:
        found = named(pattern, fitting)
        if not found:
            raise ModelError(
                f"lora.modules: no linear layer or plain convolution before the classifier is called {pattern!r}; near "
                f"it are {nearest(pattern, fitting)}."
            )
        chosen |= found
    return {name: one for name, one in fitting.items() if name in chosen}


def _can_have_one(module: nn.Module) -> bool:
    """Whether the product of two thin layers beside a module is a change of its weights.

    It is for these very classes: others derived from them may do more with a weight, or hand it to somebody else.
    """
    if type(module) is nn.Conv2d:
        return (module.groups, *module.dilation, module.padding_mode) == (1, 1, 1, "zeros")
    return type(module) is nn.Linear


def _unlearned_norms(net: nn.Module) -> tuple[str, ...]:
    """Return the paths of batch norm without parameters, whose statistics nothing else holds."""
    norms = [(name, one) for name, one in net.named_modules() if isinstance(one, _NormBase)]
    return tuple(name for name, one in norms if not list(one.parameters()))


def _peft() -> tuple[Any, Any]:
    """Return what describes adapters, and what adds them to a network."""
    try:
        from peft import LoraConfig, LoraModel
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"lora needs peft, which cannot be imported ({reason}); install it with: pip install 'limbeck[peft]'"
        ) from None
    return LoraConfig, LoraModel
