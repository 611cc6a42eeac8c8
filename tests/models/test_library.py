"""Models of timm, torchvision and transformers: fed their own way, trained here, students and teachers of digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limbeck.errors import ModelError, RecipeError, UserError
from limbeck.models.library import Front, Hf, Timm, Torchvision
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
GREY = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TINY = {"timm": {"name": "test_resnet", "size": 32}, "torchvision": {"name": "squeezenet1_1", "size": 32}}
BASE = """\
name: library
seeds: 1
data: {{source: digits}}
teacher: {teacher}
student: {{model: {{mlp: {{hidden: [8]}}}}, train: {{steps: 30, lr: 0.01}}}}
objective: [soft_labels: {{weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels]
export: {{onnx: false}}
"""


def needs(library: str) -> Any:
    """Skip where a library is not installed, or does not fit the torch that is."""
    try:
        return __import__(library)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{library} cannot be imported: {error}")


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    """A tiny vision transformer as save_pretrained writes it, with its preprocessing."""
    transformers = needs("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4,
        num_labels=4, id2label={0: "0", 1: "1", 2: "2", 3: "cat"},
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit", safe_serialization=True)
    (tmp_path / "vit" / "preprocessor_config.json").write_text(
        '{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": {"height": 16, "width": 16}}'
    )
    return tmp_path / "vit"


def test_the_front_is_what_the_configuration_says() -> None:
    front = Front((16, 16), [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    found = front(GREY)
    large = nn.functional.interpolate(GREY, (16, 16), mode="bilinear")
    assert found.shape == (3, 3, 16, 16) and not front.state_dict()
    torch.testing.assert_close(found[:, 1:2], (large - 0.2) / 0.5)
    small = nn.functional.interpolate(GREY, (4, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(Front((4, 4), [0.0] * 3, [1.0] * 3)(GREY)[:, :1], small)


def test_timm(tmp_path: Path) -> None:
    timm = needs("timm")
    torch.manual_seed(0)
    model = Timm((1, 8, 8), 10, name="test_resnet", size=32).eval()
    own = timm.data.resolve_model_data_config(model.net)
    assert model(GREY).shape == (3, 10) and model.front.size == (32, 32)
    assert model.front.mean.flatten().tolist() == pytest.approx(own["mean"])
    assert Timm((3, 8, 8), 10, name="test_vit", size=32).eval()(GREY.expand(-1, 3, -1, -1)).shape == (3, 10)
    save_file(model.net.state_dict(), tmp_path / "w.safetensors")
    same = Timm((1, 8, 8), 10, name="test_resnet", size=32, weights=str(tmp_path / "w.safetensors")).eval()
    assert torch.equal(same(GREY), model(GREY))
    other = Timm((1, 8, 8), 7, name="test_resnet", size=32, weights=str(tmp_path / "w.safetensors"))
    assert other.eval()(GREY).shape == (3, 7)
    first = next(iter(model.net.state_dict()))
    assert torch.equal(other.net.state_dict()[first], model.net.state_dict()[first])
    assert same.left == {} and [one.shape[0] for one in other.left.values()] == [10, 10]
    assert all(torch.equal(one, model.state_dict()[name]) for name, one in other.left.items())
    with pytest.raises(ModelError, match="belong to another architecture"):
        Timm((1, 8, 8), 10, name="test_vit", weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(ModelError, match=r"timm knows no model 'resnet19'\. Did you mean"):
        Timm((1, 8, 8), 10, name="resnet19")
    with pytest.raises(ModelError, match=r"takes pictures with 1 or 3 channels, got samples \[64\]"):
        Timm((64,), 10, name="test_resnet")
    with pytest.raises(ModelError, match="is not a readable safetensors file"):
        Timm((1, 8, 8), 10, name="test_resnet", weights=str(tmp_path / "none.safetensors"))


def test_torchvision() -> None:
    needs("torchvision")
    model = Torchvision((1, 8, 8), 10, name="squeezenet1_1", size=32).eval()
    assert model(GREY).shape == (3, 10)
    assert model.front.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert Torchvision((1, 8, 8), 10, name="mobilenet_v3_small").front.size == (224, 224)
    with pytest.raises(ModelError, match=r"torchvision knows no model 'mobilnet_v3_small'\. Did you mean \"mobilenet"):
        Torchvision((1, 8, 8), 10, name="mobilnet_v3_small")


def test_transformers(vit: Path) -> None:
    model = Hf((1, 8, 8), None, name=str(vit)).eval()
    assert model.own_names == ("0", "1", "2", "cat") and model.front.size == (16, 16)
    assert model.front.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    direct = needs("transformers").ViTForImageClassification.from_pretrained(vit).eval()
    torch.testing.assert_close(model(GREY), direct(pixel_values=model.front(GREY)).logits)
    fresh = Hf((1, 8, 8), 10, name=str(vit)).eval()
    assert fresh(GREY).shape == (3, 10) and fresh.own_names is None
    name = "vit.embeddings.cls_token"
    assert torch.equal(fresh.net.state_dict()[name], model.net.state_dict()[name])
    (vit / "model.safetensors").unlink()
    assert Hf((1, 8, 8), 10, name=str(vit)).eval()(GREY).shape == (3, 10)
    needs("transformers").BertConfig().save_pretrained(vit)
    with pytest.raises(ModelError, match="is a bert model, which is no image classifier; text is not read as data"):
        Hf((1, 8, 8), 10, name=str(vit))


def test_without_a_network_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = needs("timm")

    def unreachable(*given: Any, **options: Any) -> Any:
        raise OSError("Connection refused by hub")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        ModelError, match="be read or downloaded: Connection refused by hub. Without a network: where there is"
    ):
        Timm((1, 8, 8), 10, name="test_resnet", pretrained=True)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ModelError, match=r"timm cannot be imported .*pip install 'limbeck\[vision\]'"):
        Timm((1, 8, 8), 10, name="resnet18")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'limbeck\[text\]'"):
        Hf((1, 8, 8), 10, name="x")


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("kind", ["timm", "torchvision", "hf"])
def test_trained_here_it_teaches_a_student_beside_its_control(tmp_path: Path, kind: str, vit: Path) -> None:
    needs({"hf": "transformers"}.get(kind, kind))
    options = TINY.get(kind, {"name": str(vit)})
    told = ", ".join(f"{key}: {value}" for key, value in options.items())
    teacher = f"{{model: {{{kind}: {{{told}}}}}, train: {{steps: 60, lr: 0.003}}}}"
    made = plan_from_recipe(parse_recipe(BASE.format(teacher=teacher)))
    assert made.teacher.model.normalise is None, "the model brings its own"
    found = read_report(run(made, out=tmp_path / "run"))
    assert found["models"]["teacher"]["metrics"]["accuracy"]["mean"] > 0.2, "better than chance after a few steps"
    assert found["models"]["teacher"]["architecture"].startswith(f"{kind}(name=")
    assert found["verdict"]["against"] == "labels"
    again = load_model(tmp_path / "run" / "teacher")
    inputs = made.data.pool.batch(torch.arange(5)).inputs
    assert again(inputs).logits.shape == (5, 10)
    reused = plan_from_recipe(parse_recipe(BASE.format(teacher=f"{{source: 'run:{tmp_path}/run'}}")))
    torch.testing.assert_close(reused.model(reused.teacher.model, 0).eval()(inputs).logits, again(inputs).logits)


@pytest.mark.usefixtures("quick_page")
def test_a_library_makes_students_too(tmp_path: Path) -> None:
    needs("timm")
    text = BASE.format(teacher="{model: {mlp: {hidden: [16]}}, train: {epochs: 2}}")
    text = text.replace("{mlp: {hidden: [8]}}", "{timm: {name: test_resnet, size: 32}}").replace(
        "steps: 30", "steps: 4"
    )
    found = run(plan_from_recipe(parse_recipe(text, ["export.onnx=true"])), out=tmp_path / "run")
    assert (found / "export" / "student.onnx").is_file()


def test_a_ready_teacher_keeps_its_own_head(tmp_path: Path, vit: Path) -> None:
    ready = f"{{source: 'hf:{vit}', ready: true, classes: {{map: {{'0': '0', '1': '1'}}}}}}"
    made = plan_from_recipe(parse_recipe(BASE.format(teacher=ready), ["data.classes=[1, 0]"]))
    batch = made.data.pool.batch(torch.arange(4))
    said = made.black_box.open(made.data.pool, made.data.train)(batch).logits
    own = Hf((1, 8, 8), None, name=str(vit)).eval()(batch.inputs)
    torch.testing.assert_close(said, own[:, [1, 0]], rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match='knows the class "2", which this data does not have'):
        plan_from_recipe(
            parse_recipe(BASE.format(teacher=f"{{source: 'hf:{vit}', ready: true}}"), ["data.classes=[0, 1]"])
        )


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ("{source: 'timm:test_resnet', classes: {names: [a, b]}}", "classes does not go with a teacher from model:"),
        ("{model: mlp, ready: true}", "ready goes with a model of a library (timm, torchvision, hf), got another"),
        (
            "{source: 'timm:test_resnet', ready: true, train: {epochs: 2}}",
            "train does not go with ready: true",
        ),
        ("{source: 'tim:resnet18'}", "'timm:NAME', 'torchvision:NAME' or 'hf:DIR', got 'tim:resnet18'"),
        ("{model: timm}", "teacher.model.timm.name"),
    ],
)
def test_keys_that_do_not_fit(teacher: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_recipe(BASE.format(teacher=teacher))
    assert sentence in str(error.value)


def test_a_ready_teacher_without_weights_knows_nothing() -> None:
    with pytest.raises(UserError, match=r"timm:test_resnet knows nothing yet; give pretrained: true or weights"):
        plan_from_recipe(parse_recipe(BASE.format(teacher="{source: 'timm:test_resnet', ready: true}")))
    normalised = "{source: 'timm:test_resnet', normalise: {mean: [0.5], std: [0.5]}}"
    with pytest.raises(UserError, match="normalise does not go with a model of timm, which brings its own"):
        plan_from_recipe(parse_recipe(BASE.format(teacher=normalised)))
