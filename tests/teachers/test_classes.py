from __future__ import annotations

import math

import pytest
import torch

from limbeck.errors import DataError
from limbeck.objectives.base import log_softened
from limbeck.teachers.classes import ClassMap, map_classes, unknown_classes
from limbeck.types import Knowledge

SCORES = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * 20
FRUIT, MINE = ("apple", "pear", "oak", "elm"), ("tree", "fruit")
SORTED = {"apple": "fruit", "pear": "fruit", "oak": "tree", "elm": "tree"}


def mapping(theirs: tuple[str, ...], mine: tuple[str, ...], given: dict[str, str] | None = None) -> ClassMap:
    return map_classes(theirs, mine, count=len(theirs), given=given, who="The teacher")


def test_equal_names_in_another_order_are_a_renaming() -> None:
    found = mapping(("c", "a", "b", "d"), ("a", "b", "c", "d"))
    assert torch.equal(found.scores(SCORES), SCORES[:, [1, 2, 0, 3]])
    assert found.labels(torch.tensor([0, 1, 2, 3, -1])).tolist() == [2, 0, 1, 3, -1]
    assert found.plain and not found.trivial
    assert mapping(FRUIT, FRUIT).trivial


def test_probabilities_of_one_group_are_summed() -> None:
    found = mapping(FRUIT, MINE, SORTED)
    chances, theirs = found.scores(SCORES).softmax(1), SCORES.double().softmax(1)
    wanted = torch.stack([theirs[:, 2] + theirs[:, 3], theirs[:, 0] + theirs[:, 1]], dim=1)
    torch.testing.assert_close(chances, wanted.float())
    assert not found.plain
    assert found.labels(torch.arange(4)).tolist() == [1, 1, 0, 0]


def test_sums_are_exact_in_the_tails() -> None:
    """At T = 20 a tail of e^-60 is 5 %; clipped at 1e-12 it would be 20 %."""
    found = mapping(FRUIT, MINE, SORTED)
    scores = torch.tensor([[60.0, 50.0, 0.0, -5.0]])
    softened = log_softened(Knowledge(logits=found.scores(scores)), 20.0).exp()
    assert softened[0, 0] == pytest.approx(1 / (1 + math.exp(60 / 20)), rel=0.01)


@pytest.mark.parametrize(
    "given", [{"apple": "fruit", "oak": "tree"}, {"apple": "fruit", "pear": "fruit", "oak": "tree"}]
)
def test_what_is_not_mapped_is_dropped_and_the_rest_is_renormalised(given: dict[str, str]) -> None:
    found = mapping(FRUIT, MINE, given)
    theirs = SCORES.double().softmax(1)
    fruit = theirs[:, 0] + (theirs[:, 1] if "pear" in given else 0)
    wanted = torch.stack([theirs[:, 2], fruit], dim=1)
    torch.testing.assert_close(found.scores(SCORES).softmax(1), (wanted / wanted.sum(1, keepdim=True)).float())
    torch.testing.assert_close(found.dropped(SCORES), 1 - wanted.sum(1))
    assert found.labels(torch.tensor([3])).tolist() == [-1]


def test_a_class_that_the_teacher_does_not_know_gets_nothing_at_any_temperature() -> None:
    found = mapping(FRUIT, ("tree", "stone", "fruit"), SORTED)
    for temperature in (1.0, 20.0, 100.0):
        softened = log_softened(Knowledge(logits=found.scores(SCORES)), temperature).exp()
        assert (softened[:, 1] < 1e-40).all() and torch.isfinite(softened).all()
    assert unknown_classes(found, ("tree", "stone", "fruit")) == ["stone"]


def test_without_names_the_order_counts() -> None:
    assert map_classes(None, MINE, count=2, given=None, who="x").trivial


@pytest.mark.parametrize(
    ("theirs", "count", "given", "sentence"),
    [
        (
            ("fruit", "trees"),
            2,
            None,
            'the class "trees", which this data does not have: tree, fruit. Did you mean "tree"',
        ),
        (("fruit",), 1, None, 'knows no class "tree"; it knows fruit'),
        (
            FRUIT,
            4,
            {"aple": "fruit"},
            'names the class "aple", but t knows apple, pear, oak, elm. Did you mean "apple"',
        ),
        (
            FRUIT,
            4,
            {"apple": "friut"},
            '"apple" stands for "friut", but this data has tree, fruit. Did you mean "fruit"',
        ),
        (FRUIT, 3, SORTED, "answers for 3 classes, but teacher.classes.names has 4"),
        (("a", "a"), 2, None, "has 1 different names"),
        (None, 3, None, "answers for 3 classes without naming them; this data has 2"),
        (None, 2, SORTED, "teacher.classes.names: [...]"),
    ],
)
def test_names_that_do_not_fit(
    theirs: tuple[str, ...] | None, count: int, given: dict[str, str] | None, sentence: str
) -> None:
    with pytest.raises(DataError) as error:
        map_classes(theirs, MINE, count=count, given=given, who="t")
    assert sentence in str(error.value)
