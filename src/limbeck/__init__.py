"""Limbeck turns a large model into a small one that can be shipped, and proves what that cost.

    data = limbeck.Data.open("folder:photos")
    result = limbeck.distill(teacher, Student, data, epochs=20, seeds=5)
    print(result.verdict["sentence"])

Names are imported when they are first used, so `import limbeck` is quick and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.api import check, distill, run_recipe
    from limbeck.data.affine import Crop, Rotate, Scale
    from limbeck.data.contents import ReadOptions
    from limbeck.data.dataset import Data
    from limbeck.data.elastic import Elastic
    from limbeck.data.erase import Erase
    from limbeck.data.light import Brightness, Contrast
    from limbeck.data.mixup import Mixup
    from limbeck.data.noise import Noise
    from limbeck.data.per_sample import PerSample
    from limbeck.data.views import Flip, Shift, Transform
    from limbeck.errors import Failure, LimbeckError, UserError
    from limbeck.export.predict import predict
    from limbeck.models.inherit import copy_layers
    from limbeck.objectives import (
        AdaptiveAdversarialDistillation,
        AdversarialCrossEntropy,
        AdversariallyRobustDistillation,
        AttentionTransfer,
        BinaryCrossEntropy,
        BinarySoftLabels,
        BoundedRegression,
        Contrastive,
        CrossEntropy,
        DecoupledSoftLabels,
        EntropyPenalty,
        Hint,
        JensenShannon,
        LogitMatching,
        NeuronSelectivity,
        ProbabilisticKnowledge,
        RelationalAngle,
        RelationalDistance,
        RelationalLogits,
        Review,
        RobustSoftLabels,
        SharedClassifier,
        SimilarityPreserving,
        SoftLabels,
        SoftRegression,
        SquaredError,
        TeacherLabels,
        Trades,
        Variational,
        WeightPenalty,
    )
    from limbeck.objectives.base import Term
    from limbeck.objectives.feature_term import FeatureTerm
    from limbeck.objectives.objective import Objective
    from limbeck.objectives.schedule import Schedule
    from limbeck.preflight.finding import Finding
    from limbeck.run.ensemble import Ensemble
    from limbeck.run.ranking import rank
    from limbeck.run.result import Result, load
    from limbeck.train.settings import Settings
    from limbeck.types import Batch, Knowledge, Outputs

__version__ = "0.1.0"

_HOMES = {
    "limbeck.api": ("check", "distill", "run_recipe"),
    "limbeck.data.contents": ("ReadOptions",),
    "limbeck.data.dataset": ("Data",),
    "limbeck.data.affine": ("Crop", "Rotate", "Scale"),
    "limbeck.data.elastic": ("Elastic",),
    "limbeck.data.erase": ("Erase",),
    "limbeck.data.light": ("Brightness", "Contrast"),
    "limbeck.data.mixup": ("Mixup",),
    "limbeck.data.noise": ("Noise",),
    "limbeck.data.per_sample": ("PerSample",),
    "limbeck.data.views": ("Flip", "Shift", "Transform"),
    "limbeck.errors": ("Failure", "LimbeckError", "UserError"),
    "limbeck.export.predict": ("predict",),
    "limbeck.models.inherit": ("copy_layers",),
    "limbeck.objectives": (
        "AdaptiveAdversarialDistillation",
        "AdversarialCrossEntropy",
        "AdversariallyRobustDistillation",
        "RobustSoftLabels",
        "Trades",
        "BinaryCrossEntropy",
        "BinarySoftLabels",
        "BoundedRegression",
        "AttentionTransfer",
        "Contrastive",
        "CrossEntropy",
        "DecoupledSoftLabels",
        "EntropyPenalty",
        "JensenShannon",
        "LogitMatching",
        "RelationalLogits",
        "Hint",
        "NeuronSelectivity",
        "ProbabilisticKnowledge",
        "RelationalAngle",
        "RelationalDistance",
        "Review",
        "SharedClassifier",
        "SimilarityPreserving",
        "SoftLabels",
        "SoftRegression",
        "SquaredError",
        "TeacherLabels",
        "Variational",
        "WeightPenalty",
    ),
    "limbeck.objectives.base": ("Term",),
    "limbeck.objectives.feature_term": ("FeatureTerm",),
    "limbeck.objectives.objective": ("Objective",),
    "limbeck.objectives.schedule": ("Schedule",),
    "limbeck.preflight.finding": ("Finding",),
    "limbeck.run.ensemble": ("Ensemble",),
    "limbeck.run.ranking": ("rank",),
    "limbeck.run.result": ("Result", "load"),
    "limbeck.train.settings": ("Settings",),
    "limbeck.types": ("Batch", "Knowledge", "Outputs"),
}

__all__ = [
    "AdaptiveAdversarialDistillation",
    "AdversarialCrossEntropy",
    "AdversariallyRobustDistillation",
    "AttentionTransfer",
    "Batch",
    "BinaryCrossEntropy",
    "BinarySoftLabels",
    "BoundedRegression",
    "Brightness",
    "Contrast",
    "Contrastive",
    "Crop",
    "CrossEntropy",
    "Data",
    "DecoupledSoftLabels",
    "Elastic",
    "Ensemble",
    "EntropyPenalty",
    "Erase",
    "Failure",
    "FeatureTerm",
    "Finding",
    "Flip",
    "Hint",
    "JensenShannon",
    "Knowledge",
    "LimbeckError",
    "LogitMatching",
    "Mixup",
    "NeuronSelectivity",
    "Noise",
    "Objective",
    "Outputs",
    "PerSample",
    "ProbabilisticKnowledge",
    "ReadOptions",
    "RelationalAngle",
    "RelationalDistance",
    "RelationalLogits",
    "Result",
    "Review",
    "RobustSoftLabels",
    "Rotate",
    "Scale",
    "Schedule",
    "Settings",
    "SharedClassifier",
    "Shift",
    "SimilarityPreserving",
    "SoftLabels",
    "SoftRegression",
    "SquaredError",
    "TeacherLabels",
    "Term",
    "Trades",
    "Transform",
    "UserError",
    "Variational",
    "WeightPenalty",
    "check",
    "copy_layers",
    "distill",
    "load",
    "predict",
    "rank",
    "run_recipe",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'limbeck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
