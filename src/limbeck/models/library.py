"""Image classifiers of timm, torchvision and transformers, each fed as its own configuration says.

Shapes: B samples, K channels of the data, C classes. The libraries are imported when a model is built.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError, did_you_mean

CHANNELS = 3
WEIGHTS = "model.safetensors"


class Front(nn.Module):
    """What a model of a library gets: pictures in 0..1 with its number of channels, in its size, normalised its way.

    The statistics are not in the state dict: they follow from the model's name.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: tuple[int, int], mean: Sequence[float], std: Sequence[float], channels: int = 3) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.register_buffer("mean", torch.tensor(mean).float().view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).float().view(-1, 1, 1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return pictures [B, channels, height, width] for [B, K, H, W]."""
        if inputs.shape[1] == 1 and self.channels > 1:
            inputs = inputs.expand(-1, self.channels, -1, -1)
        if inputs.shape[2:] != self.size:
            smaller = self.size[0] < inputs.shape[2] or self.size[1] < inputs.shape[3]
            inputs = functional.interpolate(inputs, self.size, mode="bilinear", antialias=smaller)
        return (inputs - self.mean) / self.std


class Timm(nn.Module):
    """A model of timm (the extra `vision`).

    name: as timm lists it, such as resnet18; size: pixels of a side, its own unless given; pretrained: start from
    weights that timm downloads; weights: start from a .safetensors file of its. A head of another size is made anew.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        *,
        name: str,
        size: int | None = None,
        pretrained: bool = False,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        timm = _library("timm", "vision")
        _check_name(name, timm.list_models(), "timm")
        given = timm.get_pretrained_cfg(name)
        grown = {"img_size": size} if size is not None and given is not None and given.fixed_input_size else {}
        head = {} if classes is None else {"num_classes": classes}
        self.net = _downloading(
            pretrained, lambda: timm.create_model(name, pretrained=pretrained, **head, **grown), _once("timm", name)
        )
        self.own_names: tuple[str, ...] | None = None
        own = timm.data.resolve_model_data_config(self.net)
        side = own["input_size"][1:] if size is None else (size, size)
        self.front = _front(shape, side, own["mean"], own["std"])
        left = _start_from(self.net, weights)
        swapped = _new_head(self.net) if pretrained and weights is None else ()
        self.left: dict[str, Tensor] | None = None if swapped else left
        self.fresh = swapped or tuple(left)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] for pictures [B, K, H, W] in 0..1."""
        logits: Tensor = self.net(self.front(inputs))
        return logits


class Torchvision(nn.Module):
    """A classifier of torchvision (the extra `vision`).

    name: as torchvision lists it, such as mobilenet_v3_small; size: pixels of a side, its own unless given; pretrained:
    start from weights that torchvision downloads; weights: start from a .safetensors file of its. A head of another
    size is made anew.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        *,
        name: str,
        size: int | None = None,
        pretrained: bool = False,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        models = _library("torchvision.models", "vision")
        _check_name(name, models.list_models(module=models), "torchvision")
        best = models.get_model_weights(name).DEFAULT
        self.own_names: tuple[str, ...] | None = tuple(best.meta["categories"])
        self.net = models.get_model(name, weights=None, num_classes=classes or len(self.own_names))
        own = best.transforms()
        side = own.crop_size[0] if size is None else size
        self.front = _front(shape, (side, side), own.mean, own.std)
        if isinstance(self.net, (models.Inception3, models.GoogLeNet)):
            self.net.transform_input = True  # these weights want it, which torchvision says only where it loads them
        left: dict[str, Tensor] = {}
        if pretrained:
            state = _downloading(
                True,
                lambda: best.get_state_dict(progress=False, check_hash=True, weights_only=True),
                _once("torchvision", name),
            )
            left = _take_over(self.net, state, f"torchvision's {name}")
        left = left if weights is None else _start_from(self.net, weights)
        self.left: dict[str, Tensor] | None = left
        self.fresh = tuple(left)

    def forward(self, inputs: Tensor) -> Any:
        """Return what the model says about pictures [B, K, H, W] in 0..1; its logits are [B, C]."""
        return self.net(self.front(inputs))


class Hf(nn.Module):
    """An image classifier of transformers (the extra `text`), from a folder that save_pretrained wrote or by its name.

    name: the folder, or a name on the Hugging Face hub; size: pixels of a side, its own unless given; pretrained: start
    from the weights of that name, as a folder with model.safetensors does in any case. A head of another size is made
    anew.
    """

    def __init__(
        self, shape: Sequence[int], classes: int | None, *, name: str, size: int | None = None, pretrained: bool = False
    ) -> None:
        super().__init__()
        transformers = _library("transformers", "text")
        folder = Path(os.path.expandvars(name)).expanduser()
        place = str(folder) if folder.is_dir() else name
        head = {} if classes is None else {"num_labels": classes}
        config = _downloading(
            True,
            lambda: transformers.AutoConfig.from_pretrained(place, trust_remote_code=False, **head),
            _once("hf", name),
        )
        named = tuple(str(config.id2label[number]) for number in range(config.num_labels))
        numbered = tuple(f"LABEL_{number}" for number in range(len(named)))
        self.own_names: tuple[str, ...] | None = None if classes is not None or named == numbered else named
        kind = type(config)
        if kind not in transformers.AutoModelForImageClassification._model_mapping:
            raise ModelError(
                f"hf:{name} is a {config.model_type} model, which is no image classifier; text is not read as data yet."
            )
        if size is not None:
            config.image_size = size
        maker = transformers.AutoModelForImageClassification
        self.fresh: tuple[str, ...] = ()
        if (folder / WEIGHTS).is_file() or pretrained:
            self.net, told = _downloading(
                True,
                lambda: maker.from_pretrained(
                    place, config=config, ignore_mismatched_sizes=True, use_safetensors=True, trust_remote_code=False,
                    output_loading_info=True,
                ),
                _once("hf", name),
            )  # fmt: skip
            self.fresh = _not_loaded(self.net, told)
        else:
            self.net = maker.from_config(config, trust_remote_code=False)
        self.net.train()
        own_head = _downloading(
            True,
            lambda: transformers.AutoConfig.from_pretrained(place, trust_remote_code=False),
            _once("hf", name),
        )
        self.left: dict[str, Tensor] | None = {} if own_head.num_labels == config.num_labels else None
        mean, std, own = _preprocessing(folder)
        side = size or _side(config, own)
        self.front = _front(shape, (side, side), mean, std, config.__dict__.get("num_channels", CHANNELS))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] for pictures [B, K, H, W] in 0..1."""
        logits: Tensor = self.net(pixel_values=self.front(inputs)).logits
        return logits


LIBRARIES = {"timm": Timm, "torchvision": Torchvision, "hf": Hf}
"""Models of libraries by their names in a recipe: each brings a normalisation of its own. `own_names` are those of the
classes of its own head, which it has where no number of classes is given, None where nothing names them. `left` are the
tensors of that head where another one took its place, by name, None where the library does not give them away; `fresh`
are the names of parameters and buffers that are new where the others came from elsewhere.
"""

FETCHING = {
    "timm": (
        "import timm; from safetensors.torch import save_file; "
        "save_file(timm.create_model('{name}', pretrained=True).state_dict(), '{file}.safetensors')"
    ),
    "torchvision": (
        "import torchvision; from safetensors.torch import save_file; "
        "save_file(torchvision.models.get_model('{name}', weights='DEFAULT').state_dict(), '{file}.safetensors')"
    ),
    "hf": (
        "import transformers as t; "
        "t.AutoModelForImageClassification.from_pretrained('{name}').save_pretrained('{file}'); "
        "t.AutoImageProcessor.from_pretrained('{name}').save_pretrained('{file}')"
    ),
}
"""What fetches weights once, where there is a network, into a file or folder that a recipe can name after."""


def _once(library: str, name: str) -> str:
    """Return how the weights of a model are fetched where there is a network, and named where there is none."""
    file = name.rpartition("/")[2]
    command = FETCHING[library].format(name=name, file=file)
    named = f"name: ./{file}" if library == "hf" else f"name: {name}, weights: {file}.safetensors"
    return f'where there is one, run once: python -c "{command}"; bring that here and say {{{library}: {{{named}}}}}'


def _library(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # beside another torch build, torchvision raises RuntimeError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{name.partition('.')[0]} cannot be imported ({reason}); install it with: pip install 'limbeck[{extra}]'"
        ) from None


def _check_name(name: str, known: Sequence[str], library: str) -> None:
    plain = name.partition(".")[0]
    if plain not in known:
        raise ModelError(f"{library} knows no model {name!r}.{did_you_mean(plain, known)}")


def _front(
    shape: Sequence[int], size: Sequence[int], mean: Sequence[float], std: Sequence[float], channels: int = CHANNELS
) -> Front:
    if len(shape) != 3 or shape[0] not in (1, channels):
        raise ModelError(
            f"A model of a library takes pictures with 1 or {channels} channels, got samples {list(shape)}."
        )
    return Front((size[0], size[1]), mean, std, channels)


def _downloading(downloads: bool, make: Callable[[], Any], otherwise: str) -> Any:
    """Make something that may have to be downloaded; what goes wrong becomes a sentence with what to do otherwise."""
    try:
        return make()
    except Exception as error:  # networks, hubs and archives fail in many ways
        if not downloads:
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"It cannot be read or downloaded: {reason[:200].rstrip('.')}. Without a network: {otherwise}; or leave "
            f"out pretrained."
        ) from error


def _new_head(net: Any) -> tuple[str, ...]:
    """Return the names of what timm made anew in a model that it loaded: classifiers, where their size is another."""
    given = net.pretrained_cfg
    if net.num_classes == given.get("num_classes"):
        return ()
    heads = given.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else heads
    return tuple(f"net.{name}" for name in net.state_dict() if name.startswith(tuple(f"{head}." for head in heads)))


def _not_loaded(net: nn.Module, told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of what transformers did not find in the weights that it loaded, or found in another shape."""
    mismatched = {one if isinstance(one, str) else one[0] for one in told["mismatched_keys"]}
    new = mismatched | set(told["missing_keys"])
    return tuple(f"net.{name}" for name in net.state_dict() if name in new)


def _start_from(net: nn.Module, weights: str | None) -> dict[str, Tensor]:
    if weights is None:
        return {}
    path = Path(os.path.expandvars(weights)).expanduser()
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}.") from error
    return _take_over(net, state, str(path))


def _take_over(net: nn.Module, state: dict[str, Tensor], who: str) -> dict[str, Tensor]:
    """Load weights into a model, but for tensors of another shape: those of a head for other classes.

    Returns these by their names in the model of the library.
    """
    own = net.state_dict()
    strange, lost = sorted(state.keys() - own.keys()), sorted(own.keys() - state.keys())
    other = [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    if strange or lost or len(other) > 4:
        raise ModelError(
            f"The weights of {who} belong to another architecture: {len(lost)} tensors are missing, {len(strange)} are "
            f"not known here, {len(other)} have another shape."
        )
    net.load_state_dict({name: own[name] if name in other else value for name, value in state.items()})
    return {f"net.{name}": state[name] for name in own if name in other}


def _preprocessing(folder: Path) -> tuple[list[float], list[float], Any]:
    """Return mean, deviation and size of a folder's preprocessor_config.json; 0.5, 0.5 and None without one."""
    path = folder / "preprocessor_config.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    half = [0.5] * CHANNELS
    return found.get("image_mean", half), found.get("image_std", half), found.get("size")


def _side(config: Any, size: Any) -> int:
    """Return the side of a model's pictures: of its configuration, else of its preprocessing, else 224."""
    own = config.__dict__.get("image_size")
    for given in (own, size.get("height", size.get("shortest_edge")) if isinstance(size, dict) else size):
        if isinstance(given, (list, tuple)) and given:
            return int(given[0])
        if isinstance(given, int):
            return given
    return 224
