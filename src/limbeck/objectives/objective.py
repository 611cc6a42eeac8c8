"""The weighted sum of terms that a student is trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.data.further import FurtherTask
from limbeck.errors import ObjectiveError
from limbeck.objectives.adversarial_cross_entropy import AdversarialCrossEntropy
from limbeck.objectives.adversarial_term import AdversarialTerm
from limbeck.objectives.balance import Balance
from limbeck.objectives.base import Context, Term, snake_case
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.domain_term import DomainTerm
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.objectives.fitting import listed, task_sentence, terms_for
from limbeck.objectives.learning_without_forgetting import LearningWithoutForgetting
from limbeck.objectives.minimum_class_confusion import MinimumClassConfusion
from limbeck.objectives.of_task import OfTask
from limbeck.objectives.pairing import Pair
from limbeck.objectives.schedule import Schedule, Weight, peak, told, weight_at
from limbeck.objectives.shared_classifier import SharedClassifier
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.objectives.teacher_labels import TeacherLabels
from limbeck.objectives.trades import Trades
from limbeck.objectives.uncertainty import Uncertainty
from limbeck.types import Batch, Knowledge, Outputs, TaskName

ALIGNING = (DomainTerm, MinimumClassConfusion)  # what brings two domains together
MAIN = "main"  # the first task, where it stands beside others
Balancing = Literal["none", "gradients", "uncertainty"]
BALANCED: Mapping[Balancing, str] = {
    "none": "",
    "gradients": ", weights as shares of the gradient",
    "uncertainty": ", tasks weighed by uncertainty",
}


class Objective(nn.Module):
    """`L = sum of weight_i * term_i`.

    terms: pairs (weight, term); a weight is a number or a Schedule. Calling it gives (loss, parts): the loss a scalar
    to call backward on, the parts detached and unweighted, by the term's name. Works inside any PyTorch loop.
    balance: with "gradients" a weight is the term's share of the gradient at the student's weights; with "uncertainty"
    the terms of each task are multiplied by a number that is learned.
    """

    def __init__(self, terms: Iterable[tuple[Weight, Term]], *, balance: Balancing = "none") -> None:
        super().__init__()
        pairs = list(terms)
        if not pairs:
            raise ObjectiveError(
                "An objective expects at least one term, got none; [(1.0, CrossEntropy())] trains on labels."
            )
        for pair in pairs:
            if not isinstance(pair, Sequence) or len(pair) != 2 or not isinstance(pair[1], Term):
                raise ObjectiveError(f"An objective expects pairs (weight, term), got {pair!r}.")
            if "features" in pair[1].needs and not isinstance(pair[1], FeatureTerm):
                raise ObjectiveError(
                    f"{snake_case(type(pair[1]).__name__)} needs features, but is no limbeck.FeatureTerm, which says "
                    f"whose; make it a subclass of that."
                )
        self.weights = tuple(weight if isinstance(weight, Schedule) else float(weight) for weight, _ in pairs)
        self.terms = nn.ModuleList(term for _, term in pairs)
        self.names = _unique([_title(term) for _, term in pairs])
        self.balancing = balance
        self.balance = Balance(len(pairs)) if balance == "gradients" else None
        self.uncertainty = Uncertainty([_task(term) for _, term in pairs]) if balance == "uncertainty" else None

    @property
    def needs(self) -> frozenset[str]:
        """What the terms ask of a teacher; empty when none is needed."""
        return frozenset().union(*(self._term(i).needs for i in range(len(self.weights))))

    @property
    def uses_unlabelled(self) -> bool:
        """Whether samples without a label teach anything here."""
        return any(self._term(number).unlabelled for number in range(len(self.weights)))

    @property
    def not_additive(self) -> list[str]:
        """The names of the terms for which a batch cannot be taken in parts."""
        return [name for number, name in enumerate(self.names) if not self._term(number).additive]

    @property
    def needs_all_logits(self) -> bool:
        """Whether a term asks the teacher for more than the K highest logits of an answer."""
        terms = [self._term(number) for number in range(len(self.weights))]
        return any(term.needs and (not term.topk or "logits" in term.needs) for term in terms)

    @property
    def temperatures(self) -> frozenset[float]:
        """The temperatures at which the teacher's distribution is compared with the student's."""
        return frozenset(float(term.temperature) for term in self.terms if isinstance(term, SoftLabels))

    @property
    def aligns(self) -> bool:
        """Whether a term brings two domains together."""
        return any(isinstance(term, ALIGNING) for term in self.terms)

    @property
    def adversarial(self) -> list[str]:
        """The names of the terms that ask the student itself, about inputs that are made to fool it."""
        return [name for name, term in zip(self.names, self.terms, strict=True) if isinstance(term, AdversarialTerm)]

    @property
    def follows_gradients(self) -> list[str]:
        """The names of the terms that need a teacher through which gradients go."""
        return [name for number, name in enumerate(self.names) if "gradients" in self._term(number).needs]

    @property
    def shared_classifier(self) -> SharedClassifier | None:
        """The term that wants the teacher's classifier in the place of the student's, None where there is none."""
        return next((term for term in self.terms if isinstance(term, SharedClassifier)), None)

    @property
    def aligned_layers(self) -> tuple[str, ...] | None:
        """The paths of the student's layers whose domains terms compare, as far as known; None without such a term."""
        terms = [term for term in self.terms if isinstance(term, DomainTerm)]
        return _each_once(name for term in terms for name in term.heard or term.named) if terms else None

    @property
    def remembers_source(self) -> bool:
        """Whether a term compares the student with what it was, by its source's head."""
        return any(isinstance(term, LearningWithoutForgetting) for term in self.terms)

    @property
    def learned(self) -> dict[str, dict[str, float]]:
        """What terms have learned for themselves, by the term's name; empty where none has."""
        found = {name: self._term(number).learned for number, name in enumerate(self.names)}
        found |= {} if self.uncertainty is None else {"uncertainty": self.uncertainty.learned}
        return {name: one for name, one in found.items() if one}

    @property
    def tasks(self) -> dict[str, FurtherTask]:
        """The further tasks that terms are about, by name."""
        return {term.task.name: term.task for term in self.terms if isinstance(term, OfTask)}

    def of_task(self, name: str = MAIN) -> Objective | None:
        """Return the terms about one task, as that task alone sees them; None where there are none."""
        pairs = [(weight, self._term(number)) for number, weight in enumerate(self.weights)]
        mine = [(weight, one.term if isinstance(one, OfTask) else one) for weight, one in pairs if _task(one) == name]
        return Objective(mine) if mine else None

    @property
    def without_aim(self) -> list[str]:
        """The names of the terms that draw the student to no distribution that they can name."""
        return [name for number, name in enumerate(self.names) if not self._term(number).aims]

    @property
    def compares_features(self) -> list[str]:
        """The names of the terms that look at the layers of student and teacher."""
        return [name for number, name in enumerate(self.names) if "features" in self._term(number).needs]

    @property
    def named_layers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths of the layers that somebody named: the student's and the teacher's, each once."""
        named = [pair for term in self.terms if isinstance(term, FeatureTerm) for pair in term.named]
        return _each_once(mine for mine, _ in named), _each_once(theirs for _, theirs in named)

    @property
    def pairs(self) -> dict[str, tuple[Pair, ...]]:
        """The layers that each term on features compares, known after `prepare`."""
        found = zip(self.names, self.terms, strict=True)
        return {name: term.pairs for name, term in found if isinstance(term, FeatureTerm)}

    @property
    def compared_layers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths of the layers that are compared: the student's and the teacher's, each once."""
        pairs = [pair for one in self.pairs.values() for pair in one]
        return _each_once(pair.student for pair in pairs), _each_once(pair.teacher for pair in pairs)

    @property
    def has_own_terms(self) -> bool:
        """Whether a term is a class of the user's own."""
        return any(type(term).__module__.partition(".")[0] != "limbeck" for term in self.terms)

    def check(self, provides: frozenset[str]) -> None:
        """Raise ObjectiveError when a teacher that provides this cannot serve every term."""
        for number, name in enumerate(self.names):
            missing = self._term(number).needs - provides
            if missing:
                raise ObjectiveError(
                    f"{name} needs {listed(missing)} from the teacher, which gives "
                    f"{listed(provides) or 'nothing (there is none)'}. "
                    f"Terms that would work: {', '.join(terms_for(provides))}."
                )

    def check_task(self, task: TaskName) -> None:
        """Raise ObjectiveError when a term is not made for what the data's labels are."""
        for number, name in enumerate(self.names):
            if task not in self._term(number).tasks:
                raise ObjectiveError(task_sentence(name, self._term(number).tasks, task))

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Let every term build what depends on shapes, before the optimizer exists."""
        for number in range(len(self.weights)):
            self._term(number).prepare(student, teacher, context)
        if self.balance is not None:
            self.balance.watch(context.student)

    def counted(self, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return over how many rows each term is a mean, float32 [terms]."""
        counts = [self._term(number).counted(teacher, batch) for number in range(len(self.weights))]
        return torch.stack([torch.as_tensor(count, device=batch.inputs.device).float() for count in counts])

    def forward(
        self,
        student: Outputs,
        teacher: Knowledge,
        batch: Batch,
        shares: Tensor | None = None,
        epoch: float | None = None,
        measure: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its parts; the parts are detached, unweighted scalars.

        shares: [terms], 0..1, what this batch counts for each term where it is a part of a larger one; sums over the
        parts of a batch are then the figures of the whole. epoch: how many epochs have passed, not necessarily whole,
        for weights that are schedules. measure: whether gradients are measured now, where they are balanced; they are
        the first time in any case.
        """
        for number in range(len(self.weights)):
            self._term(number).at_epoch(epoch)
        values = [term(student, teacher, batch) for term in self.terms]
        factors = self._factors(values, epoch, measure)
        values = [value if shares is None else value * shares[number] for number, value in enumerate(values)]
        loss = factors[0] * values[0]
        for factor, value in zip(factors[1:], values[1:], strict=True):
            loss = loss + factor * value
        if self.uncertainty is not None:
            loss = loss + self.uncertainty.penalty() * (1.0 if shares is None else shares.mean())
        return loss, {name: value.detach() for name, value in zip(self.names, values, strict=True)}

    def aims(self, teacher: Knowledge, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
        """Return each term's distributions [terms, B, C] and how much the rows count in it [terms, B]."""
        found = [self._term(number).aim(teacher, batch, classes) for number in range(len(self.weights))]
        return torch.stack([each for each, _ in found]), torch.stack([counts for _, counts in found])

    def gradients(self, epoch: float) -> Mapping[str, Mapping[str, float]] | None:
        """Return what was measured of the terms' gradients, None where they are not balanced; epoch: as in forward.

        norms: by term; cosines: by pair of terms; weights: what each term is multiplied by in the end.
        """
        if self.balance is None:
            return None
        return self.balance.describe(self.names, [weight_at(weight, epoch) for weight in self.weights])

    def control(
        self,
        *,
        label_smoothing: float = 0.0,
        teacher_labels: bool = False,
        without: tuple[type[Term], ...] = (),
        label: type[Term] = CrossEntropy,
    ) -> Objective:
        """Return the objective of a control: the teacher-free terms, with cross-entropy at weight 1.

        label: the term that stands in the place of cross-entropy where labels are no classes; label_smoothing: of that
        cross-entropy, 0 keeps what the objective says; teacher_labels: put the teacher's hard labels at weight 1 in the
        place of what else the teacher says, and cross-entropy beside them in the objective's own proportion, at most 1
        and none where the objective has none; without: kinds of terms that are left out. Terms that bring domains
        together, or make inputs that fool the student, are teacher-free too; where no term asks a teacher they are what
        is judged, so the control lacks them. A teacher-free term keeps its schedule; cross-entropy has none, so that
        the control is never short of labels. Weights that are shares of the gradient, or learned for each task, are so
        in a control of several terms too. Of several tasks each has its own; their cross-entropies stand to each other
        as the weights of what teaches the tasks do here.
        """
        if self.tasks:
            return self._of_every_task(
                lambda one: one.control(
                    label_smoothing=label_smoothing,
                    teacher_labels=teacher_labels and bool(one.needs),
                    without=without,
                    label=label,
                )
            )
        own = [term.label_smoothing for term in self.terms if isinstance(term, CrossEntropy)]
        smoothing = label_smoothing or (own[0] if own else 0.0)
        share = self._label_share() if teacher_labels else 1.0
        first = CrossEntropy(smoothing) if label is CrossEntropy else label()
        kept: list[tuple[Weight, Term]] = [(share, first)] if share > 0 else []
        for number, weight in enumerate(self.weights):
            term = self._term(number)
            judged = not self.needs and isinstance(term, (*ALIGNING, AdversarialTerm))
            if term.needs or judged or isinstance(term, (label, *without)):
                continue
            kept.append((weight, copy.deepcopy(term)))
        if teacher_labels:
            kept.append((1.0, TeacherLabels()))
        return Objective(kept, balance=self.balancing if len(kept) > 1 else "none")

    def single(self, task: str = MAIN) -> Objective:
        """Return the objective of a network for one task alone: the control on labels, without the other tasks."""
        alone = (self.of_task(task) or Objective([(1.0, CrossEntropy())])).control()
        return Objective(alone._as_of(self.tasks.get(task)))

    def _of_every_task(self, control: Callable[[Objective], Objective]) -> Objective:
        """Return the controls of all tasks in one objective; control: gives that of one task's own terms."""
        kept: list[tuple[Weight, Term]] = []
        labels = Objective([(1.0, CrossEntropy())])
        first = self.of_task() or labels
        for name in (MAIN, *self.tasks):
            one = self.of_task(name) or labels
            share = one._taught_weight() / (first._taught_weight() or 1.0) if name != MAIN else 1.0
            kept += control(one)._as_of(self.tasks.get(name), share)
        return Objective(kept, balance=self.balancing)

    def _as_of(self, task: FurtherTask | None, share: float = 1.0) -> Iterator[tuple[Weight, Term]]:
        """Yield the terms of a control as those of a task, None for the main one; share: what labels count there."""
        for number, weight in enumerate(self.weights):
            term = self._term(number)
            if isinstance(term, (CrossEntropy, TeacherLabels)) and isinstance(weight, float):
                weight = weight * share  # noqa: PLW2901
            yield weight, term if task is None else OfTask(term, task)

    def adversarial_control(self, kind: type[AdversarialCrossEntropy | Trades]) -> Objective:
        """Return the objective of a control whose labels are taught by adversarial training or TRADES.

        It has the budget of the first term that makes inputs; without such a term it is the control on labels.
        """
        base = self.control(without=(AdversarialTerm,))
        budgets = [term for term in self.terms if isinstance(term, AdversarialTerm)]
        if not budgets:
            return base
        term = kind(epsilon=budgets[0].epsilon, step_size=budgets[0].step_size, steps=budgets[0].steps)
        others = [(weight, base._term(number)) for number, weight in enumerate(base.weights)][1:]
        return Objective([(1.0, term), *others], balance=base.balancing)

    def at_peak(self) -> Objective:
        """Return the same terms unbalanced, every schedule at the end that is farther from 0, to try them out."""
        return Objective((peak(weight), self._term(number)) for number, weight in enumerate(self.weights))

    def _label_share(self) -> float:
        """Return the weight of cross-entropy for each unit of weight on the teacher's answers, at their peaks, 0..1.

        Weights of terms on features have another scale, so they do not count.
        """
        own = self._label_weight()
        taught = self._taught_weight() - own
        return min(own / taught, 1.0) if taught > 0 else float(own > 0)

    def _label_weight(self) -> float:
        pairs = zip(self.weights, self.terms, strict=True)
        return sum(peak(weight) for weight, term in pairs if isinstance(term, CrossEntropy))

    def _taught_weight(self) -> float:
        """Return the weight of labels and of the teacher's answers together."""
        pairs = [(peak(weight), self._term(number)) for number, weight in enumerate(self.weights)]
        return self._label_weight() + sum(weight for weight, term in pairs if term.needs - {"features"})

    def describe(self) -> str:
        """Return the sum in words, such as '0.9 soft_labels(temperature=4.0) + 0.1 weight_penalty'."""
        terms = [self._term(number).describe() for number in range(len(self.weights))]
        text = " + ".join(f"{told(weight)} {term}" for weight, term in zip(self.weights, terms, strict=True))
        return text + BALANCED[self.balancing]

    def _factors(self, values: Sequence[Tensor], epoch: float | None, measure: bool) -> Sequence[float | Tensor]:
        """Return what each term is multiplied by now; values: of the terms, unweighted, to measure gradients of."""
        weights = [weight_at(weight, epoch) for weight in self.weights]
        if self.uncertainty is not None:
            return [weight * one for weight, one in zip(weights, self.uncertainty.factors(), strict=True)]
        if self.balance is None:
            return weights
        if measure or not bool(self.balance.measured):
            self.balance.measure(values)
        factors = self.balance.factors(weights)
        return [weight * factors[number] for number, weight in enumerate(weights)]

    def _term(self, number: int) -> Term:
        term = self.terms[number]
        assert isinstance(term, Term)
        return term


def _title(term: Term) -> str:
    return term.title if isinstance(term, OfTask) else snake_case(type(term).__name__)


def _task(term: Term) -> str:
    return term.task.name if isinstance(term, OfTask) else MAIN


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _unique(names: list[str]) -> tuple[str, ...]:
    return tuple(
        name if names.index(name) == place else f"{name}_{names[:place].count(name) + 1}"
        for place, name in enumerate(names)
    )
