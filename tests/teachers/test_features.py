"""A model that teaches by its layers: what it gives is the model's own, folded or not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.errors import ModelError, ObjectiveError
from limbeck.knowledge.form import Dense
from limbeck.knowledge.label import Labeller
from limbeck.knowledge.recall import Recalled
from limbeck.models import CNN
from limbeck.models.adapt import Adapted, Normalise
from limbeck.teachers.base import Teacher
from limbeck.teachers.classes import ClassMap, map_classes
from limbeck.teachers.mapped import MappedTeacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.types import Batch, Knowledge

INPUTS = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def settled() -> Adapted:
    """Return a model whose batch norm has seen the inputs."""
    torch.manual_seed(0)
    model = Adapted(CNN((1, 8, 8), 3, width=2), classes=3, normalise=Normalise([0.3], [0.2])).train()
    with torch.no_grad():
        model(INPUTS)
    return model.eval()


def features_of(model: Adapted, *names: str) -> dict[str, Tensor]:
    model.listen_to(names)
    with torch.no_grad():
        return dict(model(INPUTS).features)


@pytest.mark.parametrize("name", ["body.0", "body.0.1", "body.2", "body.4.2", "pool", "body.0.0", "body.3.0"])
@pytest.mark.parametrize("sample", [None, INPUTS[:2]], ids=["plain", "folded"])
def test_its_features_are_those_of_the_model_at_every_layer(name: str, sample: Tensor | None) -> None:
    """body.0.0 and body.3.0 are convolutions that have their norm inside in the folded copy."""
    teacher = ModuleTeacher(settled(), sample, "fp32")
    logits = teacher(Batch(INPUTS)).logits
    assert teacher(Batch(INPUTS)).features == {}
    teacher.listen_to([name], INPUTS[:2])
    said = teacher(Batch(INPUTS))
    torch.testing.assert_close(said.features[name], features_of(settled(), name)[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said.logits, logits, rtol=1e-4, atol=1e-5)
    assert not said.features[name].is_inference() and not said.features[name].requires_grad
    assert teacher.current_fingerprint() == teacher.fingerprint
    teacher.listen_to((), INPUTS[:2])
    assert teacher(Batch(INPUTS)).features == {} and torch.equal(teacher(Batch(INPUTS)).logits, logits)  # type: ignore[arg-type]


def test_the_fast_copy_goes_on_answering_where_its_layers_are_the_models() -> None:
    teacher = ModuleTeacher(settled(), INPUTS[:2], "fp32")
    teacher.listen_to(["body.1", "body.4.2"], INPUTS[:2])
    assert teacher._listened_to is teacher._answering is not teacher.model
    teacher.listen_to(["body.1", "body.0.0"], INPUTS[:2])
    assert teacher._listened_to is teacher.model


def test_features_of_parts_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = features_of(settled(), "body.2")["body.2"]
    monkeypatch.setattr("limbeck.teachers.module.WORK_AT_ONCE", 1)
    monkeypatch.setattr("limbeck.teachers.module.LEAST_AT_ONCE", 4)
    teacher = ModuleTeacher(settled(), INPUTS[:2])
    teacher.listen_to(["body.2"], INPUTS[:2])
    torch.testing.assert_close(teacher(Batch(INPUTS)).features["body.2"], whole, rtol=1e-4, atol=1e-5)


def test_features_in_bf16_are_near_and_float32() -> None:
    teacher = ModuleTeacher(settled(), INPUTS[:2], "bf16")
    teacher.listen_to(["body.2"], INPUTS[:2])
    found = teacher(Batch(INPUTS)).features["body.2"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features_of(settled(), "body.2")["body.2"], rtol=0.05, atol=0.05)


def test_it_names_its_stages_and_refuses_what_it_does_not_have() -> None:
    teacher = ModuleTeacher(settled(), INPUTS[:2])
    assert teacher.layers(INPUTS[:2]) == ("body.1.2", "body.4.2", "pool.1")
    with pytest.raises(ModelError, match=r"no layer 'body\.22'; near it are body\.2"):
        teacher.listen_to(["body.22"], INPUTS[:2])


class Box(Teacher):
    provides, classes, fingerprint = frozenset({"labels"}), 3, "box"

    def current_fingerprint(self) -> str:
        return "box"

    def __call__(self, batch: Batch) -> Knowledge:
        return Knowledge(labels=torch.zeros(len(batch.inputs), dtype=torch.int64))


def test_nobody_can_listen_inside_a_black_box() -> None:
    box = Box()
    assert box.layers(INPUTS) == ()
    box.listen_to((), INPUTS)
    with pytest.raises(ObjectiveError, match="known by its answers alone"):
        box.listen_to(["body"], INPUTS)


def test_a_class_map_changes_no_feature() -> None:
    mapped = MappedTeacher(ModuleTeacher(settled()), mapping())
    assert "features" in mapped.provides and mapped.layers(INPUTS[:2]) == ("body.1.2", "body.4.2", "pool.1")
    mapped.listen_to(["pool"], INPUTS[:2])
    torch.testing.assert_close(mapped(Batch(INPUTS)).features["pool"], features_of(settled(), "pool")["pool"])


def mapping() -> ClassMap:
    return map_classes(("a", "b", "c"), ("b", "a", "c"), count=3, given=None, who="it")


def test_recalled_answers_hold_no_features() -> None:
    samples = Samples(INPUTS, torch.zeros(6, dtype=torch.int64), tuple("abcdef"))
    recalled = Recalled(Labeller(ModuleTeacher(settled()), samples, None, Dense(3)))
    assert "features" not in recalled.provides and recalled.layers(INPUTS) == ()
