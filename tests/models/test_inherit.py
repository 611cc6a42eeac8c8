"""Which layers of a deeper network a shallower one of its kind gets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import ModelError
from limbeck.models import MLP, ResNet
from limbeck.models.inherit import copy_layers, matching, share_of

SHAPE = (3, 16, 16)


class Encoder(nn.Module):
    """A stem, equal blocks under a numbered list, and a head, as transformers have them."""

    def __init__(self, depth: int, width: int = 6) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, width), nn.Linear(width, 3)
        self.layer = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 8, dropout=0.0, batch_first=True) for _ in range(depth)
        )
        self.position = nn.Parameter(torch.randn(5, width))


def layers_of(pairs: dict[str, str], prefix: str) -> dict[int, int]:
    """Return which of the teacher's numbered layers each of the student's gets."""
    place = prefix.count(".") + 1
    return {
        int(name.split(".")[place]): int(other.split(".")[place])
        for name, other in pairs.items()
        if name.startswith(f"{prefix}.")
    }


@pytest.mark.parametrize(
    ("deep", "shallow", "wanted"),
    [
        (6, 3, {0: 0, 1: 2, 2: 5}),
        (12, 6, {0: 0, 1: 2, 2: 4, 3: 7, 4: 9, 5: 11}),
        (6, 1, {0: 0}),
        (4, 4, {0: 0, 1: 1, 2: 2, 3: 3}),
        (2, 4, {0: 0, 1: 1}),
    ],
)
def test_layers_at_equal_distances(deep: int, shallow: int, wanted: dict[int, int]) -> None:
    teacher, student = Encoder(deep), Encoder(shallow)
    pairs = copy_layers(student, teacher)
    assert layers_of(pairs, "layer") == wanted
    mine, theirs = student.state_dict(), teacher.state_dict()
    assert {"stem.weight", "head.bias", "position"} <= pairs.keys()
    assert all(torch.equal(mine[name], theirs[other]) for name, other in pairs.items())
    assert share_of(student, pairs) == (1.0 if shallow <= deep else pytest.approx(share_of(student, pairs)))


def test_layers_by_number() -> None:
    teacher, student = Encoder(6), Encoder(2)
    assert layers_of(copy_layers(student, teacher, [1, 4]), "layer") == {0: 1, 1: 4}
    assert torch.equal(student.layer[1].linear1.weight, teacher.layer[4].linear1.weight)


def test_the_teacher_stays_as_it_is() -> None:
    teacher, student = Encoder(4), Encoder(2)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    copy_layers(student, teacher)
    with torch.no_grad():
        student.layer[0].linear1.weight.zero_()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_stages_of_a_resnet_get_blocks_of_their_own() -> None:
    teacher, student = ResNet(SHAPE, 10, depth=20), ResNet(SHAPE, 10, depth=14)
    pairs = copy_layers(student, teacher)
    # three blocks a stage to two: in the first stage all are alike, in the others the first one changes the size
    assert layers_of(pairs, "body") == {0: 0, 1: 2, 2: 3, 3: 4, 4: 6, 5: 7}
    assert share_of(student, pairs) == 1.0
    assert {name.rsplit(".", 1)[1] for name in pairs} >= {"running_mean", "num_batches_tracked"}


def test_an_mlp_of_equal_width() -> None:
    teacher = MLP(SHAPE, 10, hidden=(8, 8, 8, 8))
    student = MLP(SHAPE, 10, hidden=(8, 8))
    pairs = copy_layers(student, teacher)
    assert pairs == {
        "body.1.weight": "body.1.weight", "body.1.bias": "body.1.bias",
        "body.3.weight": "body.3.weight", "body.3.bias": "body.3.bias",
        "head.weight": "head.weight", "head.bias": "head.bias",
    }  # fmt: skip
    dropping = MLP(SHAPE, 10, hidden=(8, 8), dropout=0.5)
    assert matching(dropping, teacher)["body.4.weight"] == "body.3.weight", "layers without weights do not count"


def test_what_repeats_in_turn_is_left_alone() -> None:
    def net(depth: int) -> nn.Module:
        parts = [part for _ in range(depth) for part in (nn.Linear(4, 4), nn.LayerNorm(4))]
        return nn.ModuleDict({"first": nn.Linear(4, 4), "body": nn.Sequential(*parts)})

    assert set(matching(net(2), net(4))) == {"first.weight", "first.bias"}


@pytest.mark.parametrize(
    ("student", "teacher", "layers", "said"),
    [
        (Encoder(2, width=4), Encoder(4), "even", "No layer of the teacher fits the student: no weights of the same"),
        (MLP(SHAPE, 10, hidden=(4,)), MLP(SHAPE, 10, hidden=(8, 8)), "even", "No layer of the teacher fits"),
        (MLP(SHAPE, 10), ResNet(SHAPE, 10, depth=8), "even", "No layer of the teacher fits"),
        (Encoder(2), Encoder(4), [0], r"layers is \[0\]; expected one of the teacher's layers 0 to 3 for each of .* 2"),
        (Encoder(2), Encoder(4), [0, 4], r"layers is \[0, 4\]; expected one of the teacher's layers 0 to 3"),
        (Encoder(2), Encoder(2), [0, 1], "layers is a list, but no sequences of layers differ in length"),
        (MLP(SHAPE, 10, hidden=(8, 8)), MLP(SHAPE, 10, hidden=(8, 8, 8)), [1, 2],
         "the teacher's layer 1 has other weights than the student's layer 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(student: nn.Module, teacher: nn.Module, layers: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        copy_layers(student, teacher, layers)  # type: ignore[arg-type]
