"""What a student keeps of a classifier that was made for other classes: the rows of those that it knows by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted
from limbeck.models.carry import Names, carry_over
from limbeck.models.mlp import MLP
from limbeck.objectives import L2Sp
from limbeck.objectives.base import Context
from limbeck.types import Batch, Knowledge, Outputs

ALL = ("a", "b", "c", "d", "e", "f")
classes = st.lists(st.sampled_from(ALL), min_size=2, max_size=6, unique=True).map(tuple)


def model(count: int, seed: int) -> Adapted:
    torch.manual_seed(seed)
    return Adapted(MLP((4,), count, hidden=[5]), classes=count)


def carried(mine: tuple[str, ...], theirs: tuple[str, ...], folder: Path) -> tuple[Adapted, Adapted, Adapted]:
    """The model of the earlier classes, the new one before, and the new one after it was given its start."""
    old, plain, new = model(len(theirs), 1), model(len(mine), 2), model(len(mine), 2)
    save_file(old.net.state_dict(), folder / "w.safetensors")
    carry_over(new, folder / "w.safetensors", Names(mine, theirs, (4,)))
    return old, plain, new


@settings(max_examples=40, deadline=None)
@given(classes, classes)
def test_rows_follow_the_names_of_their_classes(
    tmp_path_factory: pytest.TempPathFactory, mine: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    old, plain, new = carried(mine, theirs, tmp_path_factory.mktemp("w"))
    old.eval(), plain.eval(), new.eval()
    inputs = torch.randn(3, 4)
    for place, name in enumerate(mine):
        given = (old, theirs.index(name)) if name in theirs else (plain, place)
        for tensor in ("head.weight", "head.bias"):
            assert torch.equal(new.net.state_dict()[tensor][place], given[0].net.state_dict()[tensor][given[1]])
    shared = [name for name in theirs if name in mine]
    now, before = new(inputs).logits, old(inputs).logits
    columns, earlier = [mine.index(name) for name in shared], [theirs.index(name) for name in shared]
    assert torch.allclose(now[:, columns], before[:, earlier], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(classes, classes)
def test_the_answer_as_the_source_is_that_of_all_its_classes(
    tmp_path_factory: pytest.TempPathFactory, mine: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    old, _, new = carried(mine, theirs, tmp_path_factory.mktemp("w"))
    inputs = torch.randn(3, 4)
    new.answer_as_source()
    outputs = new(inputs)
    assert torch.allclose(outputs.heads.get("source", outputs.logits), old(inputs).logits, atol=1e-6)
    assert bool(new.carried) == (set(theirs) <= set(mine) and mine != theirs)
    new.answer_as_source(False)
    assert not new.is_heard and not new(inputs).heads


def test_the_logits_of_classes_that_were_carried_over_learn(tmp_path: Path) -> None:
    _, _, new = carried(("a", "b", "c"), ("b", "a"), tmp_path)
    new.answer_as_source()
    new(torch.randn(3, 4)).heads["source"].sum().backward()
    gradient = new.net.head.weight.grad
    assert gradient is not None and gradient[:2].abs().sum() > 0 and gradient[2].abs().sum() == 0


def test_without_names_or_a_shared_class_the_whole_classifier_is_new(tmp_path: Path) -> None:
    _, plain, new = carried(("a", "b"), ("c", "d", "e"), tmp_path)
    unnamed = model(2, 2)
    carry_over(unnamed, tmp_path / "w.safetensors", None)
    for one in (new, unnamed):
        assert torch.equal(one.net.head.weight, plain.net.head.weight)
        assert set(one.fresh) == {"head.weight", "head.bias"} == set(one.left or ())
        assert not one.new_rows and not one.carried


def test_the_same_classes_are_loaded_as_they_are(tmp_path: Path) -> None:
    old, _, new = carried(("a", "b"), ("a", "b"), tmp_path)
    assert torch.equal(new.net.head.weight, old.net.head.weight)
    assert new.fresh == () and new.left == {} and not new.new_rows and not new.carried


def test_other_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save_file(MLP((4,), 2, hidden=[6]).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="do not fit"):
        carry_over(model(3, 0), tmp_path / "w.safetensors", Names(("a", "b", "c"), ("a", "b"), (4,)))


def test_a_pull_to_the_start_is_for_rows_that_came_from_there(tmp_path: Path) -> None:
    _, _, new = carried(("a", "b", "c"), ("c", "a"), tmp_path)
    for name, one in new.net.named_parameters():
        one.requires_grad_("head.weight" in name)
    term = L2Sp(alpha=1, beta=0.1)
    term.prepare(Outputs(torch.zeros(2, 3)), Knowledge(), Context(new, 2))
    head = new.net.head.weight

    def value() -> float:
        return term(Outputs(torch.zeros(2, 3)), Knowledge(), Batch(torch.zeros(2, 4))).item()

    assert value() == pytest.approx(0.1 / 2 * head[1].square().sum().item())
    with torch.no_grad():
        head.add_(1)
    way, size = head[[0, 2]].numel(), head[1].square().sum().item()
    assert value() == pytest.approx(1 / 2 * way + 0.1 / 2 * size)


def test_a_classifier_without_a_row_for_each_class_stays_new(tmp_path: Path) -> None:
    class Folded(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2 * count)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x).reshape(len(x), -1, 2).sum(2)

    save_file(Folded(2).state_dict(), tmp_path / "w.safetensors")
    new = Adapted(Folded(3), classes=3)
    carry_over(new, tmp_path / "w.safetensors", Names(("a", "b", "c"), ("a", "b"), (4,)))
    assert set(new.fresh) == {"head.weight", "head.bias"} and not new.carried
