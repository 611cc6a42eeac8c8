"""How much each term counts when samples are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from limbeck.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Weights:
    """What each finished term is multiplied by; 0 leaves it out."""

    one_hot: float = 0.0
    balance: float = 0.0
    activation: float = 0.0
    batch_norm: float = 0.0
    adversarial: float = 0.0
    disagreement: float = 0.0
    contrastive: float = 0.0
    total_variation: float = 0.0

    def changed(self, given: Mapping[str, float]) -> Weights:
        """Return these weights with some of them given anew. Raises UserError for a term that there is not."""
        known = [field.name for field in fields(self)]
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                raise UserError(f"data.generated.weights expects {', '.join(known)}, got {name!r}.{hint}")
        return replace(self, **given)
