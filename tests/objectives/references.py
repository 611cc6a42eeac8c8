"""What each term is worth, worked out slowly and apart from Limbeck: by scipy, scikit-learn, or a loop, in float64.

A reference gets the numbers of a batch and the term, whose options (and parameters) it reads, and returns a float.
Shapes: B samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.special import expit, softmax
from scipy.stats import entropy, pearsonr
from sklearn.metrics import log_loss, mean_squared_error

SEED = 5  # of what a term draws for a batch
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Seen:
    """A batch in float64: logits [B, C] of student and teacher, labels [B] (-1 = withheld) or [B, C] (NaN), features by
    name, the student's parameters, what the term remembered before the batch, and the inputs [B, D].
    """

    logits: Numbers
    teacher: Numbers
    labels: Numbers
    features: dict[str, Numbers]
    teacher_features: dict[str, Numbers]
    weights: list[Numbers]
    memory: dict[str, torch.Tensor] = field(default_factory=dict)
    inputs: Numbers = field(default_factory=lambda: np.zeros((0, 0)))


def on_features(by_hand: Callable[[Any], Any]) -> Callable[[Seen, Any], float]:
    """The loop that a term's own tests compare it with, shown this batch."""

    @torch.no_grad()
    def reference(seen: Seen, term: Any) -> float:
        both = (seen.features, seen.teacher_features)
        student, teacher = ({name: torch.from_numpy(one) for name, one in each.items()} for each in both)
        case = SimpleNamespace(student=student, teacher=teacher, term=term, rows=seen.labels, seed=SEED)
        case.first = seen.memory.get("bank")
        return float(by_hand(case))

    return reference


def cross_entropy(seen: Seen, term: Any) -> float:
    """scikit-learn's log loss of the labelled rows, mixed with that of every class for the smoothed share."""
    known = seen.labels >= 0
    chances, classes = softmax(seen.logits[known], axis=1), range(seen.logits.shape[1])
    plain = log_loss(seen.labels[known], chances, labels=classes)
    every = [log_loss(np.full(known.sum(), one), chances, labels=classes) for one in classes]
    return float((1 - term.label_smoothing) * plain + term.label_smoothing * np.mean(every))


def teacher_labels(seen: Seen, term: Any) -> float:
    """scikit-learn's log loss at the teacher's top class."""
    classes = range(seen.logits.shape[1])
    return float(log_loss(seen.teacher.argmax(1), softmax(seen.logits, axis=1), labels=classes))


def entropy_penalty(seen: Seen, term: Any) -> float:
    """scipy's entropy of each row."""
    return float(np.mean([entropy(row) for row in softmax(seen.logits, axis=1)]))


def weight_penalty(seen: Seen, term: Any) -> float:
    """A loop over every number in the student."""
    kept = [one for one in seen.weights if one.ndim > 1 or not term.exclude_norm_and_bias]
    return sum(float(number) ** 2 for one in kept for number in one.ravel())


def l2_sp(seen: Seen, term: Any) -> float:
    """A loop over every number in the student, and where it started."""
    starts = [start.double().numpy() for _, _, start in term._pulled]
    ways = [now - start for now, start in zip(seen.weights, starts, strict=True)]
    return term.alpha / 2 * sum(float(number) ** 2 for way in ways for number in way.ravel())


def learning_without_forgetting(seen: Seen, term: Any) -> float:
    """scipy's relative entropy of each row, from the layer for logits as it was."""
    weight, bias = (one.detach().double().numpy() for one in list(term._before[0].parameters())[:2])
    before = softmax((seen.inputs @ weight.T + bias) / term.temperature, axis=1)
    now = softmax(seen.logits / term.temperature, axis=1)
    return float(term.temperature**2 * np.mean([entropy(p, q) for p, q in zip(before, now, strict=True)]))


def weights(seen: Seen, term: Any) -> Numbers:
    """What each sample counts: by scipy's entropy in units of log C, or by whether the teacher has the label right."""
    if term.per_sample is None:
        return np.ones(len(seen.logits))
    if term.per_sample == "confidence":
        return np.array([1 - entropy(softmax(row), base=len(row)) for row in seen.teacher])
    pairs = zip(seen.teacher, seen.labels, strict=True)
    return np.array([0.0 if label >= 0 and int(np.argmax(row)) != label else 1.0 for row, label in pairs])


def logit_matching(seen: Seen, term: Any) -> float:
    """scikit-learn's mean squared error, summed over classes in place of averaged."""
    each = mean_squared_error(seen.teacher.T, seen.logits.T, multioutput="raw_values") * seen.logits.shape[1]
    return float(np.mean(each * weights(seen, term))) / 2


def soft_labels(seen: Seen, term: Any) -> float:
    """scipy's relative entropy of each row."""
    student, teacher = seen.logits, seen.teacher
    if term.standardise:
        student, teacher = (
            (z - z.mean(1, keepdims=True)) / (z.std(1, ddof=1, keepdims=True) + 1e-7) for z in (student, teacher)
        )
    pairs = zip(softmax(teacher / term.temperature, axis=1), softmax(student / term.temperature, axis=1), strict=True)
    return term.temperature**2 * float(np.mean([entropy(p, q) for p, q in pairs] * weights(seen, term)))


def curriculum_soft_labels(seen: Seen, term: Any) -> float:
    """scipy's relative entropy of each row, at the temperature that theta stands for."""
    theta = float(term.theta.detach())
    temperature = term.lowest + (term.highest - term.lowest) * float(expit(theta))
    pairs = zip(softmax(seen.teacher / temperature, axis=1), softmax(seen.logits / temperature, axis=1), strict=True)
    return temperature**2 * float(np.mean([entropy(p, q) for p, q in pairs]))


def decoupled_soft_labels(seen: Seen, term: Any) -> float:
    """A loop over rows: scipy's relative entropy of (p_y, 1 - p_y), and of the classes that are left without y."""
    total = 0.0
    for z_s, z_t, label, weight in zip(
        seen.logits / term.temperature,
        seen.teacher / term.temperature,
        seen.labels,
        weights(seen, term),
        strict=True,
    ):
        y = int(label) if label >= 0 else int(np.argmax(z_t))
        p_s, p_t = softmax(z_s), softmax(z_t)
        total += weight * term.target * entropy([p_t[y], 1 - p_t[y]], [p_s[y], 1 - p_s[y]])
        total += weight * term.others * entropy(softmax(np.delete(z_t, y)), softmax(np.delete(z_s, y)))
    return term.temperature**2 * float(total) / len(seen.logits)


def relational_logits(seen: Seen, term: Any) -> float:
    """scipy's Pearson correlation of each row and of each column."""
    student, teacher = (softmax(z / term.temperature, axis=1) for z in (seen.logits, seen.teacher))
    rows = np.mean([1 - pearsonr(s, t).statistic for s, t in zip(student, teacher, strict=True)])
    columns = np.mean([1 - pearsonr(s, t).statistic for s, t in zip(student.T, teacher.T, strict=True)])
    return term.temperature**2 * float(term.inter * rows + term.intra * columns)


def jensen_shannon(seen: Seen, term: Any) -> float:
    """scipy's relative entropies to the mixture; of each other at both ends."""
    total = 0.0
    rows = zip(seen.logits / term.temperature, seen.teacher / term.temperature, weights(seen, term), strict=True)
    for z_s, z_t, weight in rows:
        p_s, p_t, beta = softmax(z_s), softmax(z_t), term.beta
        mixture = beta * p_t + (1 - beta) * p_s
        ends = {0.0: (p_t, p_s), 1.0: (p_s, p_t)}
        total += weight * (
            entropy(*ends[beta]) if beta in ends else beta * entropy(p_t, mixture) + (1 - beta) * entropy(p_s, mixture)
        )
    return term.temperature**2 * float(total) / len(seen.logits)


def binary_soft_labels(seen: Seen, term: Any) -> float:
    """A loop over rows and classes."""
    total = 0.0
    each = np.repeat(weights(seen, term), seen.logits.shape[1])
    for z_s, z_t, weight in zip(seen.logits.ravel(), seen.teacher.ravel(), each, strict=True):
        p, q = float(expit(z_t / term.temperature)), float(expit(z_s / term.temperature))
        total += weight * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    return term.temperature**2 * total / len(seen.logits)


def binary_cross_entropy(seen: Seen, term: Any) -> float:
    """scikit-learn's log loss of each label by itself, over the labelled rows."""
    there = ~np.isnan(seen.labels).any(axis=1)
    chances, truth = expit(seen.logits[there]), seen.labels[there]
    return float(sum(log_loss(truth[:, one], chances[:, one], labels=[0, 1]) for one in range(truth.shape[1])))


def squared_error(seen: Seen, term: Any) -> float:
    """scikit-learn's mean squared error over the labelled rows, summed over values in place of averaged."""
    there = ~np.isnan(seen.labels).any(axis=1)
    return float(mean_squared_error(seen.labels[there], seen.logits[there])) * seen.logits.shape[1]


def soft_regression(seen: Seen, term: Any) -> float:
    """The same to the teacher's values, over all rows."""
    return float(mean_squared_error(seen.teacher, seen.logits)) * seen.logits.shape[1]


def bounded_regression(seen: Seen, term: Any) -> float:
    """A loop over the labelled rows: the student's own error, where the teacher's is not larger by the margin."""
    errors = []
    for s, t, y in zip(seen.logits, seen.teacher, seen.labels.astype(np.float64), strict=True):
        if np.isnan(y).any():
            continue
        mine, bound = (float(np.linalg.norm(one - y)) ** 2 for one in (s, t))
        errors.append(mine if mine + term.margin > bound else 0.0)
    return sum(errors) / len(errors)
