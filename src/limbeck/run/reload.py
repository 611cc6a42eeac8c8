"""Models of a run folder, built again."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.weights import WEIGHTS, load_weights, read_card
from limbeck.recipe.model import MODELS


def load_model(folder: Path) -> Adapted:
    """Return the model of a folder such as RUN/student, in evaluation mode, its weights checked by hash.

    Raises ModelError when there is none, when its architecture is not of the zoo, or when the weights differ.
    """
    card = read_card(folder)
    if card["architecture"] is None:
        raise ModelError(
            f"{folder} holds {card['title']}, an architecture of your own; build it in Python and load "
            f"{WEIGHTS} with safetensors, or use the exported file in export/."
        )
    (name, options), *_ = card["architecture"].items()
    if name not in MODELS:
        raise ModelError(f"{folder} names the architecture {name!r}, which this version does not have.")
    net = MODELS[name](card["shape"], len(card["classes"]), **options)
    load_weights(net, folder / WEIGHTS, expected=card["sha256"])
    normalise = card["normalise"]
    model = Adapted(
        net,
        classes=len(card["classes"]),
        normalise=Normalise(normalise["mean"], normalise["std"]) if normalise else None,
    )
    return model.eval()
