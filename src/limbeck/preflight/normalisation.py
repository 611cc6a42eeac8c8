"""Is the teacher shown pictures as it knows them? B: samples in the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from limbeck.models.adapt import Adapted, Normalise, find_logits
from limbeck.preflight.chance import explains
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject

MARGIN = 0.01
Prepare = Callable[[Tensor], Tensor]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Variant:
    """Another way of showing pictures. name: of the finding; words: what it is; cure: what to do if it is right."""

    name: str
    words: str
    cure: str
    prepare: Prepare


def check_normalisation(subject: Subject) -> list[Finding]:
    """Try the usual ways of preparing inputs; a fault where one makes the teacher right on clearly more samples.

    Clearly: by `explains` on the same rows, with a margin of 1 point. The fault is `channel_order` for blue, green,
    red and `normalisation` for the rest.
    """
    assert subject.teacher is not None
    teacher = copy.deepcopy(subject.teacher).to(subject.device).eval()
    vote = subject.neighbours == subject.labels
    found = [
        (float(right.float().mean()), variant)
        for variant in variants(subject, teacher)
        if explains(right := _right(subject, teacher, variant), subject.teacher_right, vote, MARGIN)
    ]
    if not found:
        return []
    share, best = max(found, key=lambda pair: pair[0])
    given = float(subject.teacher_right.float().mean())
    sentence = (
        f"The teacher is right on {share:.1%} with {best.words}, as the plan shows them on {given:.1%}; {best.cure}."
    )
    return [Finding("fault", best.name, sentence)]


def variants(subject: Subject, teacher: Adapted) -> Iterator[Variant]:
    """Yield other ways of preparing inputs [B, ...] than the teacher's own."""
    set_it = "set teacher.normalise (in Python teacher_normalise) to"
    if subject.plan.data.preprocessing is None:  # a table's are in its preprocessing
        own = _normaliser(subject, *subject.plan.data.statistics())
        yield Variant("normalisation", "the data's own mean and standard deviation", f"{set_it} data", own)
    yield Variant("normalisation", "no normalisation", f"{set_it} none", lambda x: x)
    if subject.plan.data.kind != "image":
        return
    half = [0.5] * subject.plan.data.shape[0]
    centred = _normaliser(subject, half, half)
    yield Variant("normalisation", "values in -1..1", f"{set_it} mean 0.5 and std 0.5", centred)
    yield Variant("normalisation", "values in 0..255", f"{set_it} mean 0 and std 1/255", lambda x: x * 255)
    yield Variant("normalisation", "values divided by 255", "give the pictures in 0..1", lambda x: x / 255)
    given: Prepare = teacher.normalise or (lambda x: x)
    cure = "invert the pictures, light on dark for dark on light"
    yield Variant("normalisation", "inverted pictures", cure, lambda x: given(1 - x))
    yield Variant("normalisation", "inverted pictures", cure, lambda x: -given(x))
    if subject.plan.data.shape[0] == 3:
        imagenet = _normaliser(subject, *IMAGENET)
        yield Variant("normalisation", "the mean and standard deviation of ImageNet", f"{set_it} these", imagenet)
        cure = "it takes channels in the order blue, green, red"
        yield Variant("channel_order", "red and blue exchanged", cure, lambda x: given(x.flip(1)))
        yield Variant("channel_order", "red and blue exchanged", cure, lambda x: given(x).flip(1))


def _normaliser(subject: Subject, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Prepare:
    normalise: Prepare = Normalise(mean, std).to(subject.device)
    return normalise


def _right(subject: Subject, teacher: Adapted, variant: Variant) -> Tensor:
    """Return where the teacher is right when shown a variant: bool [N]."""
    logits = subject.ask(lambda inputs: find_logits(teacher.net(variant.prepare(inputs)), teacher.classes))
    return logits.argmax(1) == subject.labels
