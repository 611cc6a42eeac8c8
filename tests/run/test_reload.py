from __future__ import annotations

import json
import shutil

import pytest
import torch
from torch import nn

from limbeck.errors import ModelError
from limbeck.run.reload import load_model


def test_models_of_a_run_come_back(finished_run):
    report = json.loads((finished_run / "report.json").read_text())
    for name, folder in {"teacher": "teacher", "student": "student", "labels": "controls/labels"}.items():
        model = load_model(finished_run / folder)

        assert not model.training
        assert model(torch.zeros(3, 1, 8, 8)).logits.shape == (3, 10)
        assert sum(p.numel() for p in model.parameters()) == report["models"][name]["parameters"]


def test_changed_weights_are_refused(finished_run, tmp_path):
    shutil.copytree(finished_run / "student", tmp_path / "student")
    shutil.copy(finished_run / "controls" / "labels" / "model.safetensors", tmp_path / "student")

    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(tmp_path / "student")


@pytest.mark.parametrize(
    ("architecture", "says"),
    [(None, r"student=Mine\(\.\.\.\)\)"), ({"no_such_net": {}}, "names the architecture 'no_such_net'")],
)
def test_architecture_that_is_not_of_the_zoo(finished_run, tmp_path, architecture, says):
    shutil.copytree(finished_run / "student", tmp_path / "student")
    card = json.loads((tmp_path / "student" / "model.json").read_text())
    (tmp_path / "student" / "model.json").write_text(
        json.dumps({**card, "architecture": architecture, "title": "mine:Mine(width=4)"})
    )

    with pytest.raises(ModelError, match=says):
        load_model(tmp_path / "student")


def test_net_of_ones_own(finished_run):
    same = load_model(finished_run / "student")

    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
            self.head = nn.Linear(8, 10)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.head(self.body(x))}

    loaded = load_model(finished_run / "student", Mine())

    inputs = torch.rand(5, 1, 8, 8)
    assert torch.equal(loaded(inputs).logits, same(inputs).logits)
    with pytest.raises(ModelError, match="belong to another architecture"):
        load_model(finished_run / "student", nn.Linear(2, 2))
