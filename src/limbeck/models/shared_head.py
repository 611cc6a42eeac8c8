"""A student that answers through its teacher's classifier (Chen et al. 2022, SimKD).

Shapes: B samples, C classes, D the width of the teacher's vector before its classifier.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from limbeck.models.adapt import find_logits

NARROWER = 2  # the hidden layer of the projector, compared with what it gives, as in the paper


class SharedHead(nn.Module):
    """A network without its classifier, a projector to the teacher's vector, and the teacher's classifier.

    backbone: any network; its classifier, a linear layer at the path `replaces`, is taken out of it for good; width: D;
    classes: C; bias: whether the teacher's classifier has one. That classifier is frozen. The projector is the paper's
    without its 3 x 3 convolution, which a vector has no places for: two linear layers, batch norm and ReLU between
    them, D / 2 wide. It ends without ReLU, since a teacher's vector may be negative.
    """

    def __init__(self, backbone: nn.Module, *, replaces: str, width: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        classifier = backbone.get_submodule(replaces)
        assert isinstance(classifier, nn.Linear)  # whoever shares one has checked it
        backbone.set_submodule(replaces, nn.Identity())
        self.replaces, self.inputs = replaces, classifier.in_features
        hidden = max(width // NARROWER, 1)
        self.backbone = backbone
        self.projector = nn.Sequential(
            nn.Linear(self.inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, width)
        )
        self.head = nn.Linear(width, classes, bias=bias).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] for inputs [B, ...]."""
        logits: Tensor = self.head(self.projector(self.vector(inputs)))
        return logits

    def vector(self, inputs: Tensor) -> Tensor:
        """Return what the student's own classifier would get."""
        return find_logits(self.backbone(inputs), self.inputs)

    def described(self) -> dict[str, Any]:
        """Return what the model's card says, from which `reheaded` makes it again."""
        return {"replaces": self.replaces, "width": self.head.in_features, "bias": self.head.bias is not None}


def reheaded(net: nn.Module, card: dict[str, Any]) -> nn.Module:
    """Return a net of a card's architecture with a projector and a teacher's classifier, where the card says so."""
    said = card.get("shared_classifier")
    if said is None:
        return net
    return SharedHead(
        net, replaces=said["replaces"], width=said["width"], classes=len(card["classes"]), bias=said["bias"]
    )
