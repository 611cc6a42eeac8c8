from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from limbeck.errors import DiskError, ModelError
from limbeck.models import CNN, MLP
from limbeck.models.weights import CARD, WEIGHTS, checksum, load_weights, read_card, save_weights, start_from

SHAPE = (1, 8, 8)


def cnn(seed: int = 0, width: int = 2) -> CNN:
    torch.manual_seed(seed)
    return CNN(SHAPE, 3, width=width)


def test_what_is_saved_comes_back_bit_by_bit(tmp_path: Path) -> None:
    net, other = cnn(), cnn(seed=1)
    net(torch.rand(16, *SHAPE))  # moves the statistics of batch norm
    save_weights(tmp_path / "deep" / "model", net, {"architecture": "cnn", "classes": 3})
    card = read_card(tmp_path / "deep" / "model")
    assert card == {"architecture": "cnn", "classes": 3, "sha256": checksum(net)}
    load_weights(other, tmp_path / "deep" / "model" / WEIGHTS, expected=card["sha256"])
    inputs = torch.rand(4, *SHAPE)
    assert torch.equal(net.eval()(inputs), other.eval()(inputs))
    assert checksum(net) == checksum(other)


def test_a_folder_holds_weights_and_a_card_and_no_pickle(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 2))
    net[1].weight = nn.Parameter(torch.rand(4, 2).T)  # not contiguous
    save_weights(tmp_path, net, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CARD, WEIGHTS])
    content = (tmp_path / WEIGHTS).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header) - {"__metadata__"} == set(net.state_dict())
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in load_file(tmp_path / WEIGHTS).items())


def test_weights_that_share_memory_are_saved(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    save_weights(tmp_path, net, {})
    assert len(load_file(tmp_path / WEIGHTS)) == 4


def test_the_checksum_is_one_of_names_shapes_types_and_bytes() -> None:
    net = nn.Linear(2, 3).double()
    digest = hashlib.sha256()
    for name, value in (("bias", net.bias), ("weight", net.weight)):
        digest.update(f"{name}{tuple(value.shape)}torch.float64".encode() + value.detach().numpy().tobytes())
    assert checksum(net) == digest.hexdigest()


@pytest.mark.parametrize("buffer", ["running_mean", "num_batches_tracked"])
def test_the_checksum_sees_a_buffer_move(buffer: str) -> None:
    norm = nn.BatchNorm1d(2)
    before = checksum(norm)
    getattr(norm, buffer).add_(1)
    assert checksum(norm) != before


def test_weights_of_another_architecture_are_named(tmp_path: Path) -> None:
    save_weights(tmp_path, MLP(SHAPE, 3, hidden=(4,)), {})
    with pytest.raises(ModelError) as caught:
        load_weights(nn.Sequential(nn.Linear(64, 4)), tmp_path / WEIGHTS)
    assert str(caught.value) == (
        f"The weights in {tmp_path / WEIGHTS} belong to another architecture: missing 0.bias, 0.weight, not "
        f"expected body.1.bias, body.1.weight, head.bias and 1 more."
    )


def test_one_missing_weight_is_named(tmp_path: Path) -> None:
    save_weights(tmp_path, nn.Linear(4, 3, bias=False), {})
    with pytest.raises(ModelError, match="missing bias, not expected nothing"):
        load_weights(nn.Linear(4, 3), tmp_path / WEIGHTS)


def test_weights_of_another_size_are_named(tmp_path: Path) -> None:
    save_weights(tmp_path, nn.Linear(4, 3), {})
    net = nn.Linear(5, 3)
    before = checksum(net)
    with pytest.raises(ModelError) as caught:
        load_weights(net, tmp_path / WEIGHTS)
    assert str(caught.value) == (
        f"The weights in {tmp_path / WEIGHTS} do not fit: weight has shape [3, 4], the model expects [3, 5]."
    )
    assert checksum(net) == before


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x04pickle" * 50])
def test_a_broken_weight_file_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelError, match="is not a readable safetensors file"):
        load_weights(nn.Linear(4, 3), tmp_path / WEIGHTS)


def test_a_truncated_weight_file_gets_a_sentence(tmp_path: Path) -> None:
    save_weights(tmp_path, nn.Linear(4, 3), {})
    content = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(content[:-5])
    with pytest.raises(ModelError, match="is not a readable safetensors file"):
        load_weights(nn.Linear(4, 3), tmp_path / WEIGHTS)


def test_a_weight_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"There is no weight file {tmp_path / WEIGHTS}"):
        load_weights(nn.Linear(4, 3), tmp_path / WEIGHTS)


def test_weights_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    save_weights(tmp_path, cnn(), {})
    expected = read_card(tmp_path)["sha256"]
    save_weights(tmp_path, cnn(seed=1), {})
    with pytest.raises(ModelError, match="are not those that its model.json describes"):
        load_weights(cnn(), tmp_path / WEIGHTS, expected=expected)


def test_a_folder_without_a_card_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model.json; expected a model folder such as RUN/teacher"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'{"classes": 3', "is not readable JSON"), (b"\xff\xfe", "is not readable JSON"), (b"[1]", "got list")],
)
def test_a_broken_card_gets_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / CARD).write_bytes(content)
    with pytest.raises(ModelError, match=words):
        read_card(tmp_path)


def test_a_folder_that_cannot_be_made_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DiskError, match="cannot be written"):
        save_weights(tmp_path / "file" / "model", nn.Linear(2, 2), {})


def test_a_head_for_other_classes_stays_new(tmp_path: Path) -> None:
    old, new = MLP((4,), 3, hidden=[5]), MLP((4,), 7, hidden=[5])
    save_weights(tmp_path, old, {})
    head = dict(new.named_parameters())
    before = {name: one.clone() for name, one in head.items()}
    fresh = start_from(new, tmp_path / "model.safetensors")
    assert len(fresh) == 2 and all(torch.equal(head[name], before[name]) for name in fresh)
    assert all(torch.equal(left, old.state_dict()[name]) for name, left in fresh.items())
    kept = dict(old.named_parameters())
    assert all(torch.equal(head[name], kept[name]) for name in head if name not in fresh)
    alike = MLP((4,), 3, hidden=[5])
    before = alike.head.weight.clone()
    assert start_from(alike, tmp_path / "model.safetensors", "head").keys() == {"head.weight", "head.bias"}
    assert torch.equal(alike.head.weight, before)
    with pytest.raises(ModelError, match="do not fit"):
        start_from(MLP((6,), 7, hidden=[5]), tmp_path / "model.safetensors")
