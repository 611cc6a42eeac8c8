"""Ways to make samples, as compositions of the named terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from limbeck.synthesis.weights import Weights

PresetName = Literal["dafl", "deep_inversion", "cmi", "fast_meta", "gan", "evolution", "noise", "proxy"]


@dataclass(frozen=True)
class Preset:
    """What is special in a preset.

    steps: that a batch is made in; student_steps: of a student beside it, after each batch; rate: of what makes
    samples; rounds: batches, None for as many as fill the pool once; meta: see `FromLatents`.
    """

    steps: int
    rate: float
    weights: Weights
    student_steps: int = 0
    rounds: int | None = None
    meta: float = 1.0


PRESETS: Mapping[PresetName, Preset] = {
    "dafl": Preset(1, 0.002, Weights(one_hot=1, balance=5, activation=0.1), rounds=2000),
    "deep_inversion": Preset(100, 0.1, Weights(one_hot=1, batch_norm=1, total_variation=0.1)),
    "cmi": Preset(
        50, 0.03, Weights(one_hot=0.5, batch_norm=1, adversarial=0.5, contrastive=0.2), student_steps=10, rounds=100
    ),
    "fast_meta": Preset(
        10, 0.03, Weights(one_hot=0.5, batch_norm=1, adversarial=0.5), student_steps=10, rounds=400, meta=0.5
    ),
    "gan": Preset(10, 0.001, Weights(), rounds=300),
}
"""The presets that learn; `evolution`, `noise` and `proxy` have nothing to learn by gradients."""
ASK_ALONE: frozenset[PresetName] = frozenset({"evolution", "noise", "proxy"})
"""The presets that any teacher will do for: it is asked, and not looked into."""
NEED_A_MODEL = frozenset({"dafl", "deep_inversion", "cmi", "fast_meta"})
