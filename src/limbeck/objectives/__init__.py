"""What a student is trained on: one file a term, and the objective that adds them up.

The names in `__all__` are the terms that a recipe may name, in snake case.
"""

from limbeck.objectives.adaptive_adversarial_distillation import AdaptiveAdversarialDistillation
from limbeck.objectives.adversarial_cross_entropy import AdversarialCrossEntropy
from limbeck.objectives.adversarially_robust_distillation import AdversariallyRobustDistillation
from limbeck.objectives.attention_transfer import AttentionTransfer
from limbeck.objectives.binary_cross_entropy import BinaryCrossEntropy
from limbeck.objectives.binary_soft_labels import BinarySoftLabels
from limbeck.objectives.bounded_regression import BoundedRegression
from limbeck.objectives.contrastive import Contrastive
from limbeck.objectives.correlation_alignment import CorrelationAlignment
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.curriculum_soft_labels import CurriculumSoftLabels
from limbeck.objectives.decoupled_soft_labels import DecoupledSoftLabels
from limbeck.objectives.domain_adversarial import DomainAdversarial
from limbeck.objectives.entropy_penalty import EntropyPenalty
from limbeck.objectives.hint import Hint
from limbeck.objectives.jensen_shannon import JensenShannon
from limbeck.objectives.l2_sp import L2Sp
from limbeck.objectives.learning_without_forgetting import LearningWithoutForgetting
from limbeck.objectives.logit_matching import LogitMatching
from limbeck.objectives.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from limbeck.objectives.minimum_class_confusion import MinimumClassConfusion
from limbeck.objectives.neuron_selectivity import NeuronSelectivity
from limbeck.objectives.probabilistic_knowledge import ProbabilisticKnowledge
from limbeck.objectives.relational_angle import RelationalAngle
from limbeck.objectives.relational_distance import RelationalDistance
from limbeck.objectives.relational_logits import RelationalLogits
from limbeck.objectives.review import Review
from limbeck.objectives.robust_soft_labels import RobustSoftLabels
from limbeck.objectives.shared_classifier import SharedClassifier
from limbeck.objectives.similarity_preserving import SimilarityPreserving
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.objectives.soft_regression import SoftRegression
from limbeck.objectives.squared_error import SquaredError
from limbeck.objectives.teacher_labels import TeacherLabels
from limbeck.objectives.trades import Trades
from limbeck.objectives.variational import Variational
from limbeck.objectives.weight_penalty import WeightPenalty

__all__ = [
    "AdaptiveAdversarialDistillation",
    "AdversarialCrossEntropy",
    "AdversariallyRobustDistillation",
    "AttentionTransfer",
    "BinaryCrossEntropy",
    "BinarySoftLabels",
    "BoundedRegression",
    "Contrastive",
    "CorrelationAlignment",
    "CrossEntropy",
    "CurriculumSoftLabels",
    "DecoupledSoftLabels",
    "DomainAdversarial",
    "EntropyPenalty",
    "Hint",
    "JensenShannon",
    "L2Sp",
    "LearningWithoutForgetting",
    "LogitMatching",
    "MaximumMeanDiscrepancy",
    "MinimumClassConfusion",
    "NeuronSelectivity",
    "ProbabilisticKnowledge",
    "RelationalAngle",
    "RelationalDistance",
    "RelationalLogits",
    "Review",
    "RobustSoftLabels",
    "SharedClassifier",
    "SimilarityPreserving",
    "SoftLabels",
    "SoftRegression",
    "SquaredError",
    "TeacherLabels",
    "Trades",
    "Variational",
    "WeightPenalty",
]
