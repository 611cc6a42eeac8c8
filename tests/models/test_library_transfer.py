"""ResNet-50 of timm, torchvision and transformers: loaded, given a new head, frozen, distilled for an epoch, exported.

The weights are made here, from random numbers, and nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

from limbeck.errors import ModelError
from limbeck.export.run_onnx import Session
from limbeck.models.adapt import Adapted
from limbeck.models.library import Hf, Timm, Torchvision
from limbeck.objectives.base import Context
from limbeck.objectives.l2_sp import L2Sp
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report
from limbeck.types import Batch, Knowledge, Outputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
RECIPE = """\
name: library
seeds: 1
data: {{source: "npz:{data}", validation: 0.2}}
teacher: {{model: {{mlp: {{hidden: [16]}}}}, train: {{steps: 20, lr: 0.01}}}}
student: {{model: {{{kind}: {{{options}}}}}}}
stages:
  - {{name: probe, from: scratch, freeze: [backbone], objective: [soft_labels, cross_entropy],
     train: {{epochs: 1, batch_size: 16, precision: fp32}}}}
  - {{name: tune, objective: [soft_labels, cross_entropy], train: {{steps: 1, batch_size: 8, precision: fp32}}}}
controls: []
evaluate: []
knowledge: {{mode: memory}}
export: {{onnx: {onnx}}}
"""
HEADS = {"timm": "fc", "torchvision": "fc", "hf": "classifier.1"}
KINDS = tuple(HEADS)


def needs(kind: str) -> ModuleType:
    """Skip where a library is not installed, or does not fit the torch that is."""
    name = "transformers" if kind == "hf" else kind
    try:
        return __import__(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def made(kind: str, place: Path) -> str:
    """Write the weights of a ResNet-50 for 7 classes; return a recipe's options for it."""
    library = needs(kind)
    torch.manual_seed(0)
    if kind == "timm":
        net = library.create_model("resnet50", num_classes=7)
    elif kind == "torchvision":
        net = library.models.resnet50(weights=None, num_classes=7)
    else:
        transformers = library
        transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=7)).save_pretrained(place / "hf")
        return f"name: '{place / 'hf'}', size: 32"
    save_file(net.state_dict(), place / "w.safetensors")
    return f"name: resnet50, size: 32, weights: '{place / 'w.safetensors'}'"


def planned(kind: str, place: Path, *, onnx: bool) -> Plan:
    text = RECIPE.format(kind=kind, options=made(kind, place), onnx=str(onnx).lower(), data=few_digits(place))
    return plan_from_recipe(parse_recipe(text))


def few_digits(place: Path) -> Path:
    """Write 60 digits that train and 20 that test."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels[:80] * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    path = place / "few.npz"
    np.savez(path, x_train=pixels[:60], y_train=labels[:60], x_test=pixels[60:], y_test=labels[60:80])
    return path


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_adapts_distils_and_is_exported(kind: str, tmp_path: Path) -> None:
    plan = planned(kind, tmp_path, onnx=True)
    start = plan.model(plan.student, 0)
    weights = load_file(tmp_path / ("hf/model.safetensors" if kind == "hf" else "w.safetensors"))
    head = HEADS[kind]
    assert set(start.fresh) == {f"net.{head}.weight", f"net.{head}.bias"}
    state = start.net.state_dict()
    kept = [name for name in weights if not name.startswith(f"{head}.")]
    assert len(kept) > 200 and all(torch.equal(state[f"net.{name}"], weights[name]) for name in kept)
    folder = run(plan, out=tmp_path / "run")
    report = read_report(folder)
    frozen = report["stages"][0]["frozen"]
    assert (frozen["patterns"], frozen["features"], frozen["tensors"]) == (["backbone"], "memory", len(kept))
    assert report["models"]["student"]["steps"] == 3 + 1
    again = load_model(folder / "student")
    probed = load_model(folder / "stages/probe/student").net.state_dict()
    assert all(torch.equal(probed[f"net.{name}"], weights[name]) for name in kept), "frozen means frozen"
    assert not torch.equal(probed[f"net.{head}.weight"], state[f"net.{head}.weight"])
    inputs = plan.data.pool.batch(torch.arange(5)).inputs
    with torch.no_grad():
        wanted = again(inputs).logits
    pixels = plan.data.pool.inputs[:5].numpy()
    found, _ = Session(folder / "export/student.onnx").logits_and_probabilities(pixels)
    torch.testing.assert_close(torch.as_tensor(found), wanted, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_l2_sp_pulls_a_new_head_to_zero_and_the_rest_to_its_start(kind: str, tmp_path: Path) -> None:
    plan = planned(kind, tmp_path, onnx=False)
    model = plan.model(plan.student, 0)
    term = L2Sp(alpha=2.0, beta=2.0)
    term.prepare(Outputs(torch.zeros(1, 10)), Knowledge(), Context(model, 10))
    batch = Batch(torch.zeros(1, 1, 8, 8))
    head = [one for name, one in model.net.named_parameters() if name in model.fresh]
    wanted = sum(float(one.detach().square().sum()) for one in head)
    assert wanted > 0
    assert float(term(Outputs(torch.zeros(1, 10)), Knowledge(), batch)) == pytest.approx(wanted, rel=1e-5)
    first = next(one for name, one in model.net.named_parameters() if name not in model.fresh)
    with torch.no_grad():
        first.view(-1)[0] += 1.0
    moved = float(term(Outputs(torch.zeros(1, 10)), Knowledge(), batch))
    assert moved == pytest.approx(wanted + 1.0, rel=1e-4)


def test_a_head_that_fits_is_not_new(tmp_path: Path) -> None:
    needs("timm")
    torch.manual_seed(0)
    net = Timm((1, 8, 8), 10, name="test_resnet", size=32)
    assert net.fresh == ()
    save_file(net.net.state_dict(), tmp_path / "w.safetensors")
    again = Timm((1, 8, 8), 10, name="test_resnet", size=32, weights=str(tmp_path / "w.safetensors"))
    other = Timm((1, 8, 8), 4, name="test_resnet", size=32, weights=str(tmp_path / "w.safetensors"))
    assert again.fresh == ()
    assert len(other.fresh) == 2 and all(name.startswith("net.fc.") for name in other.fresh)


def test_pretrained_weights_of_timm_with_another_head(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = needs("timm")
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **options: real(name, **options))
    assert set(Timm((1, 8, 8), 10, name="resnet18", pretrained=True).fresh) == {"net.fc.weight", "net.fc.bias"}
    assert Timm((1, 8, 8), 1000, name="resnet18", pretrained=True).fresh == ()


def test_networks_that_normalise_again_do_so_as_their_weights_want() -> None:
    needs("torchvision")
    assert Torchvision((3, 32, 32), 10, name="googlenet").net.transform_input is True


def unreachable(*given: Any, **options: Any) -> Any:
    raise OSError("We couldn't connect to the hub.")


@pytest.mark.parametrize("kind", KINDS)
def test_offline_the_sentence_says_how_to_fetch_weights_once_and_that_works(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = needs(kind)
    monkeypatch.chdir(tmp_path)
    make = without_network(kind, library, monkeypatch)
    with pytest.raises(ModelError) as error:
        make()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    told = str(error.value)
    assert "We couldn't connect to the hub. Without a network: where there is one, run once: python" in told
    found = re.search(r'python -c "(.*)"; bring that here and say (\{.*\}); or leave out pretrained\.$', told)
    assert found, told
    fetch(kind, library, found[1], tmp_path, monkeypatch)
    text = RECIPE.format(kind="KIND", options="", onnx="false", data=few_digits(tmp_path)).replace(
        "{KIND: {}}", found[2]
    )
    start = plan_from_recipe(parse_recipe(text))
    assert isinstance(start.model(start.student, 0), Adapted)


def without_network(kind: str, library: ModuleType, offline: pytest.MonkeyPatch) -> Callable[[], object]:
    """Cut the network; return what makes a model with pretrained weights."""
    if kind == "timm":
        offline.setattr(library, "create_model", unreachable)
        return lambda: Timm((1, 8, 8), 10, name="test_resnet", pretrained=True)
    if kind == "torchvision":
        offline.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
        return lambda: Torchvision((1, 8, 8), 10, name="squeezenet1_1", pretrained=True)
    offline.setattr(library.AutoConfig, "from_pretrained", unreachable)
    return lambda: Hf((1, 8, 8), 10, name="someone/tiny", pretrained=True)


def fetch(kind: str, library: ModuleType, command: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command of the sentence where the network gives random weights."""
    if kind == "timm":
        real = library.create_model
        monkeypatch.setattr(library, "create_model", lambda name, pretrained=False, **given: real(name, **given))
    elif kind == "torchvision":
        models, own = library.models, library.models.get_model
        monkeypatch.setattr(models, "get_model", lambda name, weights=None, **given: own(name, weights=None, **given))
    else:
        config = library.ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16,
            patch_size=4, num_labels=4,
        )  # fmt: skip
        classifier = library.AutoModelForImageClassification
        processor = library.AutoImageProcessor
        net = library.ViTForImageClassification(config)
        with monkeypatch.context() as reached:
            reached.setattr(classifier, "from_pretrained", lambda name: net)
            reached.setattr(processor, "from_pretrained", lambda name: _Processor())
            exec(command, {})
        return
    exec(command, {})
    monkeypatch.undo()
    monkeypatch.chdir(place)


class _Processor:
    def save_pretrained(self, folder: str) -> None:
        text = '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 16, "width": 16}}'
        (Path(folder) / "preprocessor_config.json").write_text(text)
