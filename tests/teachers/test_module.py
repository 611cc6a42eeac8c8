from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.models import CNN
from limbeck.models.adapt import Adapted, Normalise
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.types import Batch

INPUTS = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def model(normalise: Normalise | None = None) -> Adapted:
    torch.manual_seed(0)
    return Adapted(CNN((1, 8, 8), 3, width=2, dropout=0.5), classes=3, normalise=normalise)


def test_it_answers_with_the_logits_of_its_model_in_evaluation_mode() -> None:
    teacher, reference = ModuleTeacher(model()), model().eval()
    logits = teacher(Batch(INPUTS)).logits
    assert logits is not None and not logits.requires_grad
    assert torch.equal(logits, reference(INPUTS).logits)
    assert teacher.classes == 3 and teacher.provides == {"logits", "probs", "labels", "features", "gradients"}


def test_nothing_puts_it_back_into_training_mode() -> None:
    teacher = ModuleTeacher(model())
    first, fingerprint = teacher(Batch(INPUTS)).logits, teacher.fingerprint
    nn.ModuleList([teacher.model]).train()
    second = teacher(Batch(INPUTS)).logits
    assert torch.equal(first, second) and not teacher.model.training
    assert teacher.current_fingerprint() == fingerprint


def test_its_parameters_are_frozen() -> None:
    assert not any(parameter.requires_grad for parameter in ModuleTeacher(model()).model.parameters())


def test_the_fingerprint_shows_when_a_buffer_was_moved() -> None:
    teacher = ModuleTeacher(model())
    teacher.model.train()
    teacher.model(INPUTS)
    assert teacher.current_fingerprint() != teacher.fingerprint


def test_it_is_fed_with_its_own_normalisation() -> None:
    own = ModuleTeacher(model(Normalise([0.3], [0.2])))
    by_hand = model().eval()((INPUTS - 0.3) / 0.2).logits
    torch.testing.assert_close(own(Batch(INPUTS)).logits, by_hand)
    assert not torch.allclose(own(Batch(INPUTS)).logits, ModuleTeacher(model())(Batch(INPUTS)).logits)


def test_samples_it_was_asked_about_are_counted() -> None:
    teacher, other = ModuleTeacher(model()), ModuleTeacher(model())
    teacher(Batch(INPUTS))
    teacher(Batch(INPUTS[:2]))
    assert (teacher.asked, other.asked) == (8, 0)


def test_a_teacher_that_does_not_answer_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Teacher()  # type: ignore[abstract]


def settled() -> Adapted:
    """Return a model whose batch norm has seen the inputs."""
    net = model(Normalise([0.3], [0.2])).train()
    with torch.no_grad():
        net(INPUTS)
    return net.eval()


def test_answers_made_for_speed_are_those_of_the_model_and_leave_it_as_it_is() -> None:
    plain, fast, reference = settled(), ModuleTeacher(settled(), INPUTS[:2], "fp32"), settled()
    logits = fast(Batch(INPUTS)).logits
    assert logits is not None and not logits.is_inference() and not logits.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(logits, reference(INPUTS).logits, rtol=1e-4, atol=1e-5)
    assert fast.fingerprint == fast.current_fingerprint() == ModuleTeacher(plain).fingerprint


def test_a_gradient_may_pass_by_its_answers() -> None:
    logits = ModuleTeacher(settled(), INPUTS[:2])(Batch(INPUTS)).logits
    weight = torch.ones(3, requires_grad=True)
    (weight * logits).square().sum().backward()
    assert weight.grad is not None and bool((weight.grad != 0).all())


def test_answers_in_bf16_are_near_and_have_a_fingerprint_of_their_own() -> None:
    exact, near = ModuleTeacher(settled(), INPUTS[:2], "fp32"), ModuleTeacher(settled(), INPUTS[:2], "bf16")
    wanted, found = exact(Batch(INPUTS)).logits, near(Batch(INPUTS)).logits
    assert wanted is not None and found is not None and found.dtype == torch.float32
    assert not torch.equal(found, wanted)
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
    assert near.fingerprint == near.current_fingerprint() != exact.fingerprint


def test_however_many_are_asked_about_the_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ModuleTeacher(settled(), INPUTS[:2])(Batch(INPUTS)).logits
    monkeypatch.setattr("limbeck.teachers.module.WORK_AT_ONCE", 1)
    monkeypatch.setattr("limbeck.teachers.module.LEAST_AT_ONCE", 4)
    teacher = ModuleTeacher(settled(), INPUTS[:2])
    torch.testing.assert_close(teacher(Batch(INPUTS)).logits, whole)
    assert teacher.asked == len(INPUTS)


def test_the_fingerprint_shows_when_the_copy_that_answers_was_moved() -> None:
    teacher = ModuleTeacher(settled(), INPUTS[:2])
    with torch.no_grad():
        next(teacher._answering.parameters()).add_(1)
    assert teacher.current_fingerprint() != teacher.fingerprint
