"""What the README says: its Python runs, its commands and links exist, its recipes parse."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.recipe.load import parse_recipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODELS = """\
import torch
class Big(torch.nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, width))
        self.head = torch.nn.Linear(width, 2)
    def forward(self, x):
        features = self.body(x)
        return self.head(features), features
class Small(Big):
    def __init__(self):
        super().__init__(4)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos/ and my_models.py, as the README's reader has."""
    (workplace / "my_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(workplace))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    random = np.random.default_rng(0)
    for number in range(12):
        for name in ("cat", "dog"):
            path = workplace / "photos" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (20 + number, 24, 3), dtype=np.uint8)).save(path)
    (workplace / "photos" / "cat" / "broken.jpg").write_bytes(b"no picture")
    return workplace


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_runs(own, number, capsys):
    code = blocks("python")[number]
    if re.search(r"^[^#]*\.\.\.", code, flags=re.MULTILINE):
        pytest.skip("this block leaves something out")
    code = re.sub(r"epochs=\d+, seeds=\d+", "epochs=1, seeds=1", code)

    exec(compile(code, f"README.md block {number}", "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("text", blocks("yaml"))
def test_recipes_parse(text):
    assert parse_recipe(text).objective


def test_commands_exist():
    from limbeck.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    named = set(re.findall(r"\blimbeck ([a-z]+)\b", "\n".join(re.findall(r"`[^`]+`|^    .*$", README, re.MULTILINE))))

    assert named
    assert named <= known
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^    |`)make ([a-z]+)\b", README, re.MULTILINE):
        assert f"\n{target}:" in f"\n{makefile}"


def test_links_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert not re.search(r"\b(TODO|TBD|ROWS|[A-Z]+_TABLE)\b", README)
