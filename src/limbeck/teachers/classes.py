"""From the classes that a teacher knows to those of the data.

Shapes: B samples, T classes of the teacher, C classes of the data. Scores are logits or log probabilities: their
softmax over the classes is what the teacher says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import DataError, did_you_mean

NEVER = -1e4  # the log probability of a class that the teacher does not know; finite, so that no product is NaN


@dataclass(frozen=True)
class ClassMap:
    """Which of the teacher's classes stand for each class of the data.

    groups: for each class of the data the numbers of the teacher's classes whose probabilities are summed; none where
    the teacher knows no such class. count: T.
    """

    groups: tuple[tuple[int, ...], ...]
    count: int

    @property
    def plain(self) -> bool:
        """Whether each class of the data is exactly one of the teacher's, so that its logits stay logits."""
        return all(len(group) == 1 for group in self.groups)

    @property
    def trivial(self) -> bool:
        """Whether both know the same classes in the same order."""
        return self.groups == tuple((number,) for number in range(self.count))

    @property
    def kept(self) -> list[int]:
        """The numbers of the teacher's classes that stand for something."""
        return sorted(number for group in self.groups for number in group)

    def scores(self, scores: Tensor) -> Tensor:
        """Return scores [B, T] as scores [B, C]: classes of one group summed, those without a group left out.

        The softmax of the result is the teacher's distribution given that the class is one of those it shares
        with the data. A class without a group gets probability 0.
        """
        if self.plain:
            return scores[:, [group[0] for group in self.groups]]
        logs = torch.log_softmax(scores, dim=1)
        nothing = torch.full_like(logs[:, 0], NEVER)
        sums = [torch.logsumexp(logs[:, list(group)], dim=1) if group else nothing for group in self.groups]
        return torch.log_softmax(torch.stack(sums, dim=1), dim=1)

    def labels(self, labels: Tensor) -> Tensor:
        """Return the teacher's classes, int64 [B], as classes of the data; -1 where there is none."""
        table = torch.full((self.count + 1,), -1, dtype=torch.int64, device=labels.device)  # the last row is for -1
        for number, group in enumerate(self.groups):
            table[list(group)] = number
        return table[labels]

    def dropped(self, scores: Tensor) -> Tensor:
        """Return the share of each row's probability, [B] in 0..1, on classes that stand for nothing."""
        return 1 - torch.softmax(scores.double(), dim=1)[:, self.kept].sum(dim=1).clamp(max=1)


def map_classes(
    theirs: Sequence[str] | None, mine: Sequence[str], *, count: int, given: Mapping[str, str] | None, who: str
) -> ClassMap:
    """Return the map from a teacher's classes to the data's.

    theirs: the teacher's T names, None where they are not known; mine: the C names of the data; count: T; given: which
    of the teacher's names stands for which of the data's, None to go by equal names (or by order, where the teacher's
    names are not known); who: the teacher, for messages. Raises DataError for names or numbers that do not fit.
    """
    if theirs is None:
        return _by_order(mine, count, given, who)
    if len(theirs) != count or len(set(theirs)) != count:
        raise DataError(
            f"{who} answers for {count} classes, but teacher.classes.names has {len(set(theirs))} different names "
            f"({_some(theirs)}); name each class once, in the order of the answers."
        )
    if given is None:
        _check_same(theirs, mine, who)
        given = {name: name for name in theirs}
    _check_given(given, theirs, mine, who)
    groups = (tuple(n for n, name in enumerate(theirs) if given.get(name) == wanted) for wanted in mine)
    return ClassMap(tuple(groups), count)


def unknown_classes(theirs: ClassMap, mine: Sequence[str]) -> list[str]:
    """Return the classes of the data that no class of the teacher stands for."""
    return [name for name, group in zip(mine, theirs.groups, strict=True) if not group]


def _by_order(mine: Sequence[str], count: int, given: Mapping[str, str] | None, who: str) -> ClassMap:
    if given is not None or count != len(mine):
        raise DataError(
            f"{who} answers for {count} classes without naming them; this data has {len(mine)}: {_some(mine)}. "
            f"Name the teacher's classes in the order of its answers: teacher.classes.names: [...]."
        )
    return ClassMap(tuple((number,) for number in range(count)), count)


def _check_same(theirs: Sequence[str], mine: Sequence[str], who: str) -> None:
    unknown, missing = [name for name in theirs if name not in mine], [name for name in mine if name not in theirs]
    if unknown:
        raise DataError(
            f'{who} knows the class "{unknown[0]}", which this data does not have: {_some(mine)}.'
            f"{did_you_mean(unknown[0], mine)} teacher.classes.map says which class of yours each class of the "
            f"teacher stands for; what it does not name is dropped."
        )
    if missing:
        raise DataError(
            f'{who} knows no class "{missing[0]}"; it knows {_some(theirs)}. If the teacher really cannot tell it, say '
            f"so with teacher.classes.map, in which no class of the teacher stands for it."
        )


def _check_given(given: Mapping[str, str], theirs: Sequence[str], mine: Sequence[str], who: str) -> None:
    for name, wanted in given.items():
        if name not in theirs:
            raise DataError(
                f'teacher.classes.map names the class "{name}", but {who} knows {_some(theirs)}.'
                f"{did_you_mean(name, theirs)}"
            )
        if wanted not in mine:
            raise DataError(
                f'teacher.classes.map: "{name}" stands for "{wanted}", but this data has {_some(mine)}.'
                f"{did_you_mean(wanted, mine)}"
            )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
