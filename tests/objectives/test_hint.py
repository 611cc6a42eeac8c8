"""Hint against numpy loops, and what all terms on features have in common."""

from __future__ import annotations

import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_parts, check_student_only
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import Hint, SoftLabels
from limbeck.objectives.base import Context, Term
from limbeck.objectives.objective import Objective
from limbeck.types import Batch, Knowledge, Outputs

PICTURES = ({"s": (3, 4, 4), "v": (3,)}, {"t": (5, 4, 4), "w": (5,)})


def by_hand(case: Case) -> Tensor:
    """Return the mean over samples, channels and places of the squared error, one number at a time."""
    (student,), (teacher,) = list(case.student.values())[:1], list(case.teacher.values())[:1]
    layer = case.term.projectors[0]  # type: ignore[index]
    if student.ndim != teacher.ndim:
        student, teacher = (one.flatten(2).mean(2) if one.ndim == 4 else one for one in (student, teacher))
    if student.ndim == 4 and student.shape[2] > teacher.shape[2]:
        student = quarters(student)
    total, count = torch.zeros((), dtype=torch.float64), 0
    mine, theirs = (one.flatten(2) if one.ndim > 2 else one[..., None] for one in (student, teacher))
    for sample in range(len(mine)):
        for spot in range(mine.shape[2]):
            for channel in range(theirs.shape[1]):
                value = layer.bias[channel]
                for inner in range(mine.shape[1]):
                    value = value + layer.weight[channel, inner] * mine[sample, inner, spot]
                total, count = total + (value - theirs[sample, channel, spot].detach()) ** 2, count + 1
    return total / count


def quarters(features: Tensor) -> Tensor:
    """Return the mean of each square of two by two."""
    b, c, h, w = features.shape
    return features.reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5))


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        PICTURES,
        ({"s": (3, 4, 4)}, {"t": (5, 2, 2)}),
        ({"s": (3,)}, {"t": (4,)}),
        ({"s": (3,)}, {"t": (4, 2, 2)}),
        ({"s": (3, 2, 2)}, {"t": (4,)}),
    ],
    ids=["one size", "student larger", "vectors", "vector and picture", "picture and vector"],
)
def test_it_equals_the_loop(student: dict[str, tuple[int, ...]], teacher: dict[str, tuple[int, ...]]) -> None:
    check_equals(Case(Hint(), student, teacher, batch=3), by_hand)


def test_the_properties_of_a_term() -> None:
    check_student_only(Case(Hint(), *PICTURES))
    check_halves(lambda dtype: Case(Hint(), *PICTURES, dtype=dtype))
    check_parts(Case(Hint(), *PICTURES))


def test_tokens_are_projected_over_their_channels() -> None:
    case = Case(Hint(), {"s": (6, 3)}, {"t": (6, 4)})
    layer = case.term.projectors[0]
    assert (layer.in_features, layer.out_features) == (3, 4)
    wanted = (layer(case.student["s"]) - case.teacher["t"]).square().mean()
    torch.testing.assert_close(case.value(), wanted)


def test_named_pairs_are_summed_and_auto_takes_the_middle() -> None:
    shapes = ({f"s{n}": (2 + n, 8 >> n, 8 >> n) for n in range(3)}, {f"t{n}": (4, 8 >> n, 8 >> n) for n in range(3)})
    assert [(pair.student, pair.teacher) for pair in Case(Hint(), *shapes).term.pairs] == [("s1", "t1")]
    both = Case(Hint(layers=("s0:t0", "s2:t1")), *shapes)
    total = 0
    for place, (mine, theirs) in enumerate([("s0", "t0"), ("s2", "t1")]):
        alone = Case(Hint(layers=(f"{mine}:{theirs}",)), *shapes)
        alone.term.projectors[0].load_state_dict(both.term.projectors[place].state_dict())
        total = total + alone.value()
    torch.testing.assert_close(both.value(), total)


def test_a_layer_that_nobody_gives_is_refused_with_near_ones() -> None:
    with pytest.raises(ObjectiveError, match=r"The student gives no features of 'x'; near it are v, s\."):
        Case(Hint(layers=("x:t",)), *PICTURES)
    with pytest.raises(ObjectiveError, match=r"The teacher gives no features of 'y'; near it are w, t\."):
        Case(Hint(layers=("s:y",)), *PICTURES)


def test_the_context_says_what_auto_may_take() -> None:
    outputs = Outputs(torch.zeros(2, 3), features={"a": torch.zeros(2, 3), "b": torch.zeros(2, 4)})
    term = Hint()
    term.prepare(outputs, Knowledge(features=outputs.features), Context(torch.nn.Identity(), 2, ("a",), ("a",)))
    assert [pair.student for pair in term.pairs] == ["a"]


def test_a_term_that_was_never_prepared_says_so() -> None:
    with pytest.raises(ObjectiveError, match=r"call objective\.prepare"):
        Hint()(Outputs(torch.zeros(2, 3)), Knowledge(), Batch(torch.zeros(2, 1)))


def test_a_black_box_is_refused_naming_what_works() -> None:
    objective = Objective([(1.0, Hint()), (1.0, SoftLabels())])
    assert objective.compares_features == ["hint"] and objective.needs == {"features", "probs"}
    with pytest.raises(ObjectiveError, match=r"hint needs features from the teacher, which gives .*soft_labels"):
        objective.check(frozenset({"logits", "probs", "labels"}))


class Loose(Term):
    needs = frozenset({"features"})

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        return student.logits.sum()


def test_features_are_for_terms_that_say_whose() -> None:
    with pytest.raises(ObjectiveError, match=r"loose needs features, but is no limbeck\.FeatureTerm"):
        Objective([(1.0, Loose())])


def test_the_description_says_the_layers() -> None:
    assert Hint().describe() == "hint(layers='auto')"
    assert Objective([(100, Hint(("a:b",)))]).describe() == "100 hint(layers=('a:b',))"


def test_a_control_has_no_term_on_features_and_its_labels_weigh_what_they_do() -> None:
    from limbeck.objectives import CrossEntropy

    objective = Objective([(100.0, Hint()), (0.9, SoftLabels()), (0.1, CrossEntropy())])
    assert objective.control().describe() == "1 cross_entropy(label_smoothing=0.0)"
    share = objective.control(teacher_labels=True)
    assert share.describe() == "0.111111 cross_entropy(label_smoothing=0.0) + 1 teacher_labels"
    alone = Objective([(100.0, Hint()), (0.5, CrossEntropy())]).control(teacher_labels=True)
    assert alone.describe() == "1 cross_entropy(label_smoothing=0.0) + 1 teacher_labels"
    assert Objective([(100.0, Hint())]).control(teacher_labels=True).describe() == "1 teacher_labels"
