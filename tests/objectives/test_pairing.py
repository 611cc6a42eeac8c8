"""Pairs of layers: named, matched by themselves, refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import ObjectiveError
from limbeck.objectives.pairing import Shape, _distance, match, read_pairs

RESNET: dict[str, Shape] = {"s1": (16, 32, 32), "s2": (32, 16, 16), "s3": (64, 8, 8), "vector": (64,)}
VGG: dict[str, Shape] = {"a": (64, 32, 32), "b": (128, 16, 16), "c": (256, 8, 8), "d": (512, 4, 4), "v": (512,)}
MLP: dict[str, Shape] = {"h1": (64,), "h2": (32,)}
TOKENS: dict[str, Shape] = {f"t{place}": (16, 8) for place in range(12)}


@pytest.mark.parametrize(
    ("student", "teacher", "wanted"),
    [
        (RESNET, RESNET, ["s1:s1", "s2:s2", "s3:s3"]),
        (RESNET, VGG, ["s1:a", "s2:b", "s3:c"]),
        (VGG, RESNET, ["a:s1", "b:s2", "c:s3"]),
        (MLP, VGG, ["h1:b", "h2:d"]),
        (VGG, MLP, ["b:h1", "d:h2"]),
        (MLP, MLP, ["h1:h1", "h2:h2"]),
        (MLP, {"only": (4,)}, ["h2:only"]),
        ({f"s{place}": (16, 4) for place in range(3)}, TOKENS, ["s0:t3", "s1:t7", "s2:t11"]),
        ({"deep": (8, 8, 8)}, RESNET, ["deep:s3"]),
        ({"shallow": (8, 32, 32)}, RESNET, ["shallow:s1"]),
        ({"small": (8, 14, 14), "smaller": (8, 7, 7)}, RESNET, ["small:s2", "smaller:s3"]),
    ],
)
def test_stages_are_matched_by_size_and_depth(
    student: dict[str, Shape], teacher: dict[str, Shape], wanted: list[str]
) -> None:
    assert [":".join(pair) for pair in match("stages", student, teacher)] == wanted


def test_the_reach_of_a_term() -> None:
    assert match("middle", RESNET, VGG) == [("s2", "b")]
    assert match("last", RESNET, VGG) == [("s3", "c")]
    assert match("embedding", RESNET, VGG) == [("vector", "v")]
    assert match("middle", MLP, MLP) == [("h2", "h2")]


sizes = st.sampled_from([32, 16, 8, 4])
layers = st.lists(sizes, min_size=1, max_size=4).map(
    lambda found: {f"l{place}": (3, n, n) for place, n in enumerate(found)}
)


@given(layers, layers)
def test_no_other_pairs_in_order_are_nearer(student: dict[str, Shape], teacher: dict[str, Shape]) -> None:
    if len(student) > len(teacher):
        student, teacher = teacher, student
    mine, theirs = list(student.values()), list(teacher.values())

    def cost(places: tuple[int, ...]) -> float:
        depths = ((place + 1) / len(mine) for place in range(len(mine)))
        pairs = zip(mine, depths, places, strict=True)
        return sum(_distance(shape, depth, theirs[one], (one + 1) / len(theirs)) for shape, depth, one in pairs)

    found = tuple(list(teacher).index(name) for _, name in match("stages", student, teacher))
    assert found == tuple(sorted(set(found)))
    least = min(cost(places) for places in itertools.combinations(range(len(theirs)), len(mine)))
    assert cost(found) == pytest.approx(least)


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_a_network_without_layers_gets_a_sentence(who: str) -> None:
    with pytest.raises(ObjectiveError, match=f"The {who} has no layer before its logits that could be compared"):
        match("stages", {} if who == "student" else RESNET, RESNET if who == "student" else {})


def test_named_pairs() -> None:
    assert read_pairs("auto") == ()
    assert read_pairs(["body.1:body.2", "pool:pool"]) == (("body.1", "body.2"), ("pool", "pool"))


@pytest.mark.parametrize("wrong", ["body.1:body.2", [], ["body.1"], ["a:b:c"], [":b"], ["a:"]])
def test_what_is_no_pair_gets_a_sentence(wrong: list[str]) -> None:
    with pytest.raises(ObjectiveError, match=r"layers expects"):
        read_pairs(wrong)


def test_the_table_says_paths_and_shapes() -> None:
    from limbeck.objectives.pairing import Pair

    pair = Pair("body.1", "body.4", (8, 4, 4), (16, 4, 4))
    assert str(pair) == "body.1 [8, 4, 4] with the teacher's body.4 [16, 4, 4]"
    assert torch.Size(pair.student_shape) == (8, 4, 4)
