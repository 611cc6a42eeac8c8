"""What a sample counts by what the teacher says about it."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import limbeck.objectives
from limbeck.errors import ObjectiveError, RecipeError
from limbeck.objectives import LogitMatching, SoftLabels, TeacherLabels
from limbeck.objectives.base import Term
from limbeck.objectives.objective import Objective
from limbeck.objectives.per_sample import confidence, correctness, needs_of
from limbeck.recipe.load import parse_recipe
from limbeck.types import Batch, Knowledge, Outputs, TopK

C = 4
EVEN, SURE = torch.zeros(1, C), torch.tensor([[90.0, 0.0, 0.0, 0.0]])
HALVES = torch.tensor([[50.0, 50.0, -50.0, -50.0]])


def test_confidence_of_what_is_known_by_hand() -> None:
    logits = torch.cat([EVEN, SURE, HALVES])
    expected = torch.tensor([0.0, 1.0, 1 - math.log(2) / math.log(4)])
    torch.testing.assert_close(confidence(Knowledge(logits=logits)), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(confidence(Knowledge(probs=logits.softmax(1))), expected, atol=1e-6, rtol=0)


@given(st.lists(st.floats(-30, 30), min_size=C, max_size=C), st.floats(-5, 5))
def test_confidence_is_a_share_and_a_shift_of_all_logits_changes_nothing(row: list[float], shift: float) -> None:
    logits = torch.tensor([row])
    value = confidence(Knowledge(logits=logits))
    assert 0 <= float(value) <= 1
    torch.testing.assert_close(confidence(Knowledge(logits=logits + shift)), value, atol=1e-3, rtol=0)


def test_confidence_of_the_top_takes_the_others_as_one_class() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.5, -1.0]])
    chances = logits.softmax(1)[0]
    top = TopK(logits[:, :2], torch.tensor([[0, 1]]), {1.0: logits[:, 2:].logsumexp(1)})
    three = torch.tensor([chances[0], chances[1], chances[2] + chances[3]])
    expected = 1 + float((three * three.log()).sum()) / math.log(3)
    assert float(confidence(Knowledge(topk=top))) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ObjectiveError, match="asks at temperature 1, .* add 1 to knowledge.temperatures"):
        confidence(Knowledge(topk=TopK(top.values, top.classes, {4.0: top.tails[1.0]})))


def test_correctness_asks_the_labels_that_are_known() -> None:
    logits = torch.eye(4)
    shown = torch.zeros(4, 2)
    assert correctness(Knowledge(logits=logits), Batch(shown, torch.tensor([0, 0, -1, 3]))).tolist() == [1, 0, 1, 1]
    assert correctness(Knowledge(logits=logits), Batch(shown)).tolist() == [1, 1, 1, 1]


def test_of_a_mixed_sample_either_label_does() -> None:
    batch = Batch(
        torch.zeros(4, 2), torch.tensor([0, 0, 0, 0]), partner=torch.arange(4),
        partner_labels=torch.tensor([3, 1, 1, -1]), share=torch.full((4,), 0.5),
    )  # fmt: skip
    assert correctness(Knowledge(logits=torch.eye(4)), batch).tolist() == [1, 1, 0, 1]


def test_a_sample_that_counts_nothing_teaches_nothing_and_the_others_as_much_as_before() -> None:
    student, teacher = torch.randn(3, C), torch.eye(C)[:3] * 5
    batch = Batch(torch.zeros(3, 2), torch.tensor([0, 3, 2]))  # the second is wrong
    logits = student.clone().requires_grad_(True)
    SoftLabels(2.0, per_sample="correctness")(Outputs(logits), Knowledge(logits=teacher), batch).backward()
    plain = student.clone().requires_grad_(True)
    SoftLabels(2.0)(Outputs(plain), Knowledge(logits=teacher), batch).backward()
    assert logits.grad is not None and plain.grad is not None
    assert logits.grad[1].abs().sum() == 0
    torch.testing.assert_close(logits.grad[[0, 2]], plain.grad[[0, 2]])


def test_what_is_asked_of_the_teacher() -> None:
    assert needs_of(frozenset({"probs"}), None) == needs_of(frozenset({"probs"}), "correctness") == {"probs"}
    assert needs_of(frozenset({"labels"}), "confidence") == {"labels", "probs"}
    assert LogitMatching("confidence").needs == {"logits"}
    assert SoftLabels(standardise=True, per_sample="confidence").needs == {"logits"}


def test_only_terms_that_are_means_over_samples_have_it_and_others_are_refused_by_name() -> None:
    terms = [getattr(limbeck.objectives, name) for name in limbeck.objectives.__all__]
    having = [term for term in terms if "per_sample" in inspect.signature(term).parameters]
    assert len(having) == 5 and all(issubclass(term, Term) and term.additive for term in having)
    with pytest.raises(RecipeError) as caught:
        parse_recipe("student: {model: mlp}\nteacher: {model: mlp}\nobjective: [hint: {per_sample: confidence}]")
    assert (
        "objective.0.hint.per_sample (line 3): unknown key. It goes with terms that teach each sample by itself: "
        "binary_soft_labels, decoupled_soft_labels, jensen_shannon, logit_matching, soft_labels."
    ) in str(caught.value)


def test_a_word_that_is_not_known_gets_a_sentence() -> None:
    with pytest.raises(RecipeError, match="per_sample.*expected 'confidence' or 'correctness'.* got 'confident'"):
        parse_recipe("student: {model: mlp}\nteacher: {model: mlp}\nobjective: [soft_labels: {per_sample: confident}]")


def test_it_is_told_where_it_is_given() -> None:
    objective = Objective([(0.9, SoftLabels(per_sample="confidence")), (0.1, TeacherLabels())])
    assert objective.describe() == (
        "0.9 soft_labels(temperature=4.0, standardise=False, per_sample='confidence') + 0.1 teacher_labels"
    )
