"""Adapters change nothing at first, learn alone, and end up in the weights: held to the product written out by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import Failure, ModelError
from limbeck.models import CNN, MLP, ResNet
from limbeck.models.adapt import Adapted
from limbeck.models.freeze import frozen_checksum
from limbeck.models.library import Hf
from limbeck.models.lora import Adapters, Lora, add_adapters
from limbeck.models.stages import classifier_of, stages_of

pytest.importorskip("peft")
PICTURES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def cnn() -> Adapted:
    torch.manual_seed(0)
    return Adapted(CNN((1, 8, 8), 5, width=4), classes=5).train()


def mlp() -> Adapted:
    torch.manual_seed(0)
    return Adapted(MLP((1, 8, 8), 5, hidden=[7, 6]), classes=5).train()


def learn(model: Adapted, steps: int = 4) -> None:
    taken = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.5)
    for _ in range(steps):
        taken.zero_grad()
        nn.functional.cross_entropy(model.train()(PICTURES).logits, torch.arange(6) % 5).backward()
        taken.step()


def state_of(model: Adapted) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.net.state_dict().items()}


def logits_of(model: Adapted) -> Tensor:
    with torch.no_grad():
        return model.eval()(PICTURES).logits


@pytest.mark.parametrize("make", [cnn, mlp])
def test_adapters_change_nothing_until_they_learn(make: Any) -> None:
    model = make()
    before = logits_of(model)
    add_adapters(model, Lora(), PICTURES, 0)
    assert torch.equal(logits_of(model), before)


@pytest.mark.parametrize("make", [cnn, mlp])
def test_only_adapters_and_the_classifier_learn(make: Any) -> None:
    model = make()
    head = classifier_of(model, PICTURES)
    found = add_adapters(model, Lora(rank=2), PICTURES, 0)
    learning = {name for name, one in model.net.named_parameters() if one.requires_grad}
    thin = {f"{path}.lora_{side}.lora.weight" for path in model.adapters for side in "AB"}
    assert model.adapters and learning == thin | {f"{head}.weight", f"{head}.bias"}
    assert found.trained == sum(one.numel() for one in model.parameters() if one.requires_grad)
    assert found.parameters == sum(one.numel() for one in make().parameters())
    before = frozen_checksum(model)
    learn(model)
    assert frozen_checksum(model) == before, "statistics of batch norm among them"
    assert not any(one.training for one in model.train().modules() if isinstance(one, nn.BatchNorm2d))


@pytest.mark.parametrize("make", [cnn, mlp])
def test_merged_weights_are_the_old_ones_and_the_product(make: Any) -> None:
    model = make()
    before, head = state_of(model), classifier_of(model, PICTURES)
    found = add_adapters(model, Lora(rank=3, alpha=5), PICTURES, 0)
    learn(model)
    wanted, unmerged, paths = logits_of(model), state_of(model), set(model.adapters)
    told = found.merge(PICTURES)
    after = state_of(model)
    assert list(after) == list(before) and model.adapters == {} and not hasattr(model.net, "peft_config")
    for name, value in before.items():
        path, _, kind = name.rpartition(".")
        if path in paths and kind == "weight":
            thin, wide = (unmerged[f"{path}.lora_{side}.lora.weight"].flatten(1) for side in "AB")
            product = (wide.double() @ thin.double()).reshape(value.shape) * 5 / 3
            torch.testing.assert_close(after[name].double(), value.double() + product, atol=1e-6, rtol=1e-5)
            assert not torch.equal(after[name], value), "it has learned something"
        elif path != head:
            assert torch.equal(after[name], value), name
    torch.testing.assert_close(logits_of(model), wanted, atol=1e-4, rtol=1e-4)
    assert (told["layers"], told["rank"], told["alpha"]) == (len(paths), 3, 5) and told["merging_error"] < 1e-4


def test_all_weights_have_their_places_again_and_can_learn_in_a_later_stage() -> None:
    model = mlp()
    layers = list(model.net.modules())
    add_adapters(model, Lora(), PICTURES, 0).merge(PICTURES)
    assert list(model.net.modules()) == layers, "the very same objects"
    assert model.train().training and all(one.training for one in model.modules())


def test_the_seed_draws_the_adapters_and_no_other_random_number() -> None:
    states = []
    for seed in (0, 0, 1):
        model = mlp()
        torch.manual_seed(3)
        add_adapters(model, Lora(), PICTURES, seed)
        states.append((state_of(model), torch.rand(1)))
    (first, drawn), (same, again), (other, _) = states
    assert all(torch.equal(first[name], same[name]) for name in first) and drawn == again
    assert any(not torch.equal(first[name], other[name]) for name in first)
    torch.manual_seed(3)
    assert torch.rand(1) == drawn


def test_patterns_choose_layers_by_their_paths() -> None:
    model = cnn()
    names = [name for name, one in model.net.named_modules() if isinstance(one, nn.Conv2d)]
    add_adapters(model, Lora(modules=(names[1],)), PICTURES, 0)
    assert list(model.adapters) == [names[1]]
    model = cnn()
    add_adapters(model, Lora(modules=(names[1], names[0])), PICTURES, 0)
    assert list(model.adapters) == names[:2]


def test_layers_to_compare_are_found_as_without_adapters() -> None:
    for make in (cnn, mlp, lambda: Adapted(ResNet((1, 8, 8), 5, depth=8, width=4), classes=5)):
        plain, with_adapters = make(), make()
        add_adapters(with_adapters, Lora(rank=2), PICTURES, 0)
        assert stages_of(with_adapters, PICTURES) == stages_of(plain, PICTURES)
        assert classifier_of(with_adapters, PICTURES) == classifier_of(plain, PICTURES)


def test_a_layer_that_is_listened_to_gives_what_its_adapter_adds_too() -> None:
    model = mlp()
    found = add_adapters(model, Lora(), PICTURES, 0)
    path = next(iter(model.adapters))
    learn(model)
    model.listen_to([path])
    given = model.eval()(PICTURES).features[path].detach()
    model.listen_to(())
    found.merge(PICTURES)
    model.listen_to([path])
    torch.testing.assert_close(model(PICTURES).features[path].detach(), given, atol=1e-5, rtol=1e-4)


def test_dropout_between_layers_that_stay_is_still_and_that_before_an_adapter_is_not() -> None:
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.Dropout(), nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 8), nn.Linear(8, 5)
    )  # fmt: skip
    model = Adapted(net, classes=5).train()
    add_adapters(model, Lora(modules=("5",)), PICTURES, 0)
    assert [name for name, one in net.named_modules() if type(one) is nn.Dropout and one.training] == ["4"]


def test_statistics_of_batch_norm_without_parameters_stay_too() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(144, 5))
    model = Adapted(net, classes=5).train()
    add_adapters(model, Lora(), PICTURES, 0)
    before = frozen_checksum(model)
    learn(model, 1)
    assert frozen_checksum(model) == before and torch.equal(net[1].running_mean, torch.zeros(4))


class Halved(nn.Linear):
    """Does more with its weights than a product, as standardised convolutions do."""

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, self.weight / self.weight.norm(), self.bias)


def test_layers_that_cannot_have_an_adapter_are_left_out_or_refused() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 2, dilation=2), nn.Flatten(),
        Halved(16, 6), nn.Linear(6, 5),
    )  # fmt: skip
    model = Adapted(net, classes=5)
    for path in "1245":
        with pytest.raises(ModelError, match=f"lora.modules: no linear layer or plain convolution .* called '{path}'"):
            add_adapters(model, Lora(modules=(path,)), PICTURES, 0)
    add_adapters(model, Lora(), PICTURES, 0)
    assert list(model.adapters) == ["0"]


def test_a_merged_model_that_answers_otherwise_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp()
    found = add_adapters(model, Lora(), PICTURES, 0)
    learn(model)
    monkeypatch.setattr(found.tuner, "merge_and_unload", lambda safe_merge: found.tuner.unload())
    with pytest.raises(Failure, match="Merging the adapters changed the logits by"):
        found.merge(PICTURES)


def test_mistakes_get_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"lora.modules: .* is called 'boody'; near it are body"):
        add_adapters(mlp(), Lora(modules=("boody",)), PICTURES, 0)
    alone = Adapted(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), classes=5)
    with pytest.raises(ModelError, match=r"is called '\*'; near it are none"):
        add_adapters(alone, Lora(), PICTURES, 0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"lora needs peft, which cannot be imported .*; .* 'limbeck\[peft\]'"):
        add_adapters(mlp(), Lora(), PICTURES, 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_queries_of_a_transformer(tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=8, patch_size=4,
        num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    net = Hf((1, 8, 8), 5, name=str(tmp_path))
    model = Adapted(net, classes=5)
    before = state_of(model)
    queries = [name for name, one in net.named_modules() if name.endswith((".query", ".q_proj"))]  # by its version
    pattern = f"*.{queries[0].rpartition('.')[2]}"
    found: Adapters = add_adapters(model, Lora(rank=2, modules=(pattern,)), PICTURES, 0)
    assert found.trained == 2 * 2 * (16 + 16) + 16 * 5 + 5
    learn(model)
    wanted = logits_of(model)
    found.merge(PICTURES)
    torch.testing.assert_close(logits_of(model), wanted, atol=1e-5, rtol=1e-4)
    changed = {name for name, value in state_of(model).items() if not torch.equal(value, before[name])}
    assert changed == {f"{name}.weight" for name in queries} | {"net.classifier.weight", "net.classifier.bias"}
