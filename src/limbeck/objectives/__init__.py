"""What a student is trained on: one file a term, and the objective that adds them up.

The names in `__all__` are the terms that a recipe may name, in snake case.
"""

from limbeck.objectives.binary_soft_labels import BinarySoftLabels
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.decoupled_soft_labels import DecoupledSoftLabels
from limbeck.objectives.entropy_penalty import EntropyPenalty
from limbeck.objectives.jensen_shannon import JensenShannon
from limbeck.objectives.logit_matching import LogitMatching
from limbeck.objectives.relational_logits import RelationalLogits
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.objectives.teacher_labels import TeacherLabels
from limbeck.objectives.weight_penalty import WeightPenalty

__all__ = [
    "BinarySoftLabels",
    "CrossEntropy",
    "DecoupledSoftLabels",
    "EntropyPenalty",
    "JensenShannon",
    "LogitMatching",
    "RelationalLogits",
    "SoftLabels",
    "TeacherLabels",
    "WeightPenalty",
]
