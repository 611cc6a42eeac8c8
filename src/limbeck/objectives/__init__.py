"""What a student is trained on: one file a term, and the objective that adds them up.

The names in `__all__` are the terms that a recipe may name, in snake case.
"""

from limbeck.objectives.attention_transfer import AttentionTransfer
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.entropy_penalty import EntropyPenalty
from limbeck.objectives.hint import Hint
from limbeck.objectives.logit_matching import LogitMatching
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.objectives.teacher_labels import TeacherLabels
from limbeck.objectives.weight_penalty import WeightPenalty

__all__ = [
    "AttentionTransfer",
    "CrossEntropy",
    "EntropyPenalty",
    "Hint",
    "LogitMatching",
    "SoftLabels",
    "TeacherLabels",
    "WeightPenalty",
]
