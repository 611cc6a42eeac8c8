"""Models of a run folder, built again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from limbeck.data.dataset import Data
from limbeck.data.preprocess import Preprocessing
from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.further_heads import with_heads
from limbeck.models.library import LIBRARIES
from limbeck.models.shared_head import reheaded
from limbeck.models.weights import CARD, WEIGHTS, load_weights, read_card
from limbeck.recipe.choices import MODELS


def load_model(folder: Path, net: nn.Module | None = None) -> Adapted:
    """Return the model of a folder such as RUN/student, in evaluation mode, its weights checked by hash.

    net: a module that takes the weights, for an architecture that is not of the zoo. Raises ModelError when there
    is no model, when its architecture is not of the zoo and no net is given, or when the weights differ.
    """
    card = read_card(folder)
    net = build_net(folder, card) if net is None else with_heads(reheaded(net, card), card)
    load_weights(net, folder / WEIGHTS, expected=card["sha256"])
    return Adapted(net, classes=len(card["classes"]), normalise=normalise_of(card)).eval()


def normalise_of(card: dict[str, Any]) -> Normalise | None:
    """Return the normalisation that a card describes."""
    given = card["normalise"]
    return Normalise(given["mean"], given["std"]) if given else None


def preprocessing_of(card: dict[str, Any]) -> Preprocessing | None:
    """Return what makes rows of a table the inputs of a card's model; None for a model of other inputs."""
    saved = card.get("preprocessing")
    return None if saved is None else Preprocessing.from_json(saved)


def check_same_targets(folder: Path, data: Data) -> None:
    """Raise ModelError when the model of a folder answers something else than this data asks, or in other units."""
    card = read_card(folder) if (folder / CARD).is_file() else None
    theirs = "classification" if card is None else card.get("task", "classification")
    if card is None and data.task == "regression":
        raise ModelError(
            f"No {CARD} in {folder} says in what units the model's values are; take the folder of a run on this data."
        )
    if card is not None and theirs != data.task:
        raise ModelError(f"The model in {folder} was trained for {theirs}, but data.task is {data.task}.")
    if data.scaling is not None and card is not None and card["target"] != data.scaling.as_json():
        raise ModelError(
            f"The model in {folder} was trained on values that were brought to mean 0 and deviation 1 over other rows; "
            f"use the data section and split_seed of the run that it came from."
        )


def check_prepared_alike(folder: Path, data: Data) -> None:
    """Raise ModelError when the model of a folder was made for inputs that a table's rows do not become in this data.

    A column that is scaled or flagged otherwise would be misread in silence.
    """
    check_same_targets(folder, data)
    own = data.preprocessing
    saved = preprocessing_of(read_card(folder)) if (folder / CARD).is_file() else None
    if own is None and saved is None:
        return
    if own is None:
        raise ModelError(f"The model in {folder} was made for rows of a table, but this data is none.")
    if saved is None:
        raise ModelError(
            f"No {CARD} in {folder} says how the rows of a table were prepared for the model, so it may misread them; "
            f"take a model folder of a run on this table."
        )
    column = saved.difference(own)
    if column is not None:
        raise ModelError(
            f'The model in {folder} was made for a table whose column "{column}" is prepared otherwise (other training '
            f"rows, categories or columns); use the data section and split_seed of the run that it came from."
        )


def build_net(folder: Path, card: dict[str, Any]) -> nn.Module:
    """Return the net of the zoo that a card describes, with new weights; ModelError when it is of another make."""
    if card["architecture"] is None:
        made = card["title"].partition("(")[0].rpartition(":")[2]
        raise ModelError(
            f"{folder} holds {card['title']}, an architecture of your own; open the run in Python with "
            f"limbeck.load({str(folder.parent)!r}, student={made}(...)), or use the exported file in export/."
        )
    (name, options), *_ = card["architecture"].items()
    if name not in MODELS:
        raise ModelError(f"{folder} names the architecture {name!r}, which this version does not have.")
    if name in LIBRARIES:  # the weights are those of the folder
        options = {key: None if key == "weights" else value for key, value in options.items() if key != "pretrained"}
    net: nn.Module = MODELS[name](card["shape"], len(card["classes"]), **options)
    return with_heads(reheaded(net, card), card)
