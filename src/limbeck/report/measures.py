"""What each metric is called on the page, what it means, and how its values are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.report import numbers


@dataclass(frozen=True)
class Measure:
    """A metric as a reader meets it.

    rate: whether it lies in 0..1 and is written as percent; digits: significant ones of a number in the user's own
    units.
    """

    label: str
    meaning: str
    rate: bool
    digits: int | None = None


_MEASURES = {
    "accuracy": Measure("Accuracy", "Share of test samples whose class is right.", True),
    "worst_class_accuracy": Measure("Worst class", "Accuracy on the class that fares worst.", True),
    "nll": Measure("Log loss (NLL)", "Mean negative log-likelihood of the true class, in nats.", False),
    "brier": Measure("Brier score", "Squared error of the probabilities, 0 to 2.", False),
    "ece": Measure("Calibration (ECE)", "Mean distance between confidence and accuracy, 15 bins.", True),
    "agreement": Measure("Agrees with teacher", "Share of samples given the teacher's class.", True),
    "negative_flips": Measure("Negative flips", "Right by the teacher, wrong here.", True),
    "mse": Measure("Mean squared error", "Of the values, in the square of their own unit.", False, 4),
    "nmse": Measure(
        "Standardised squared error", "Each value over its deviation in training, so all count alike.", False
    ),
    "mae": Measure("Mean absolute error", "Of the values, in their own unit.", False, 4),
    "r2": Measure("R²", "Share of the variance that is explained; 0 is what the mean alone explains.", False),
    "map": Measure(
        "Average precision", "How well samples with a label are ranked before others; mean over labels.", True
    ),
    "auroc": Measure("AUROC", "How often a sample with a label is ranked before one without; mean over labels.", True),
    "f1": Measure("F1", "Of labels said to be there above a probability of 0.5; mean over labels.", True),
    "exact_match": Measure("All labels right", "Share of samples with no label too many or too few.", True),
}


def measure(name: str) -> Measure:
    """Return how a metric is shown; one that is not known here keeps its own name and is a plain number."""
    return _MEASURES.get(name) or Measure(name.replace("_", " ").capitalize(), "", False)


def ordered(names: set[str]) -> list[str]:
    """Return metric names in the page's order, those not known here last and by name."""
    return [name for name in _MEASURES if name in names] + sorted(names - set(_MEASURES))


def value_text(name: str, value: float | None) -> str:
    """Write one value of a metric: "97.2 %" for a rate, three decimals for a plain number."""
    known = measure(name)
    if known.digits is not None:
        return numbers.significant(value, known.digits)
    return numbers.percent(value) if known.rate else numbers.fixed(value, 3)


def interval_text(name: str, bounds: Any) -> str:
    """Write a metric's 95 % interval in the same unit as its values, without the unit."""
    known = measure(name)
    if known.digits is not None and bounds is not None and all(numbers.known(bound) for bound in bounds):
        return " to ".join(numbers.significant(bound, known.digits) for bound in bounds)
    return numbers.interval(bounds) if known.rate else numbers.interval(bounds, 1, 3)


def gain_text(name: str, gain: float | None) -> str:
    """Write a gain in a metric: in points for a rate, as a signed number otherwise."""
    if measure(name).rate or not numbers.known(gain):
        return numbers.points(gain)
    digits = measure(name).digits
    return ("+" if gain > 0 else "") + (numbers.fixed(gain, 3) if digits is None else numbers.significant(gain, 3))


def validated_by(report: Mapping[str, Any]) -> str:
    """Return the metric that fits were validated by; accuracy in older reports."""
    return str(report.get("validated_by") or "accuracy")


def direction(metric: Mapping[str, Any]) -> str:
    """Return in words which way of a metric is better."""
    return "higher is better" if metric["higher_is_better"] else "lower is better"
