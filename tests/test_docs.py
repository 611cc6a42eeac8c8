"""What README and docs/ say: every block of code runs as it is shown, links lead somewhere, generated pages are fresh.

A page runs from top to bottom in a folder that holds what its reader has: photos/, new.jpg and my_models.py. A block
with a title is written to the file of that name. Every fit stops after a few optimizer steps; nothing else is changed.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import limbeck
from limbeck.recipe.load import parse_recipe
from limbeck.recipe.model import Recipe
from limbeck.train.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
GENERATED = ("commands.md", "recipe.md")
NOT_RUN = {"text": "output, or a command that installs"}
FENCE = re.compile(r'^```(\w*)(?: title="([^"]*)")?\n(.*?)^```', re.DOTALL | re.MULTILINE)
STEPS = 4

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
BASE = {"student": {"model": "mlp"}, "objective": ["soft_labels"], "teacher": {"model": "mlp"}}


class Block(NamedTuple):
    """A fenced block of a page: its language, the file it is shown as, its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
RUNNING = [page for page in PAGES if any(block.language not in NOT_RUN for block in blocks(page))]


@pytest.fixture
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader: pictures, one of them broken, a new one, and modules."""
    (workplace / "my_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(workplace))
    monkeypatch.setenv("LIMBECK_CACHE", str(workplace / "cache"))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    random = np.random.default_rng(0)
    for number in range(24):
        for name in ("cat", "dog"):
            path = workplace / "photos" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (12 + number % 3, 12, 3), dtype=np.uint8)).save(path)
    (workplace / "new.jpg").write_bytes((workplace / "photos" / "cat" / "0.jpg").read_bytes())
    return workplace


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop every fit after a few steps, time every model but briefly, and leave other tests their processors."""
    whole = Settings.total_steps
    monkeypatch.setattr("limbeck.evaluate.cost.TIMED_RUNS", 3)
    monkeypatch.setattr(Settings, "total_steps", lambda self, samples: min(STEPS, whole(self, samples)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("own", "short", "quick_page")
@pytest.mark.filterwarnings("default::UserWarning")
@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_page_runs(page, call):
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title:
            Path(block.title).write_text(block.text)
        if block.language == "python":
            exec(compile(block.text, name_of(page), "exec"), names)
        elif block.language == "bash":
            for line in block.text.splitlines():
                follow(line, call)
        elif block.language == "yaml":
            assert parse_recipe(whole(block.text))
        else:
            assert block.language in NOT_RUN, f"{name_of(page)}: a block of {block.language or 'no language'}"


def follow(line: str, call: Any) -> None:
    """Carry out one line of a terminal: a limbeck command; of make, only that there is such a target."""
    words = shlex.split(line, comments=True)
    target = words.index(">") if ">" in words else len(words)
    if words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert words[:1] == ["limbeck"], f"{line}: expected limbeck or make; use ```text for what is not to be run"
    code, out, err = call(*words[1:target])
    assert code == 0 or (code == 2 and words[1] == "check" and "Error" not in err), f"{line}\n{out}{err}"
    if words[1:target] != words[1:]:
        Path(words[-1]).write_text(out)


def whole(text: str) -> str:
    """Return a recipe; one that shows some sections alone gets the rest."""
    return yaml.safe_dump({**BASE, **yaml.safe_load(text)}) if "student:" not in text else text


@pytest.fixture(autouse=True)
def little_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let `limbeck demo` train one seed."""
    text = (ROOT / "recipes" / "demo.yaml").read_text().replace("seeds: 5", "seeds: 1")
    (tmp_path / "demo.yaml").write_text(text)
    monkeypatch.setattr("limbeck.recipe.shipped.shipped", lambda name: tmp_path / name)


@every_page
def test_links_and_anchors_exist(page):
    for link in re.findall(r"(?<!`)\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert not link.startswith("http"), f"{link}: the documentation is read offline"
        assert target.exists(), link
        if anchor:
            assert anchor in set(anchors(target)), link


def anchors(page: Path) -> Iterator[str]:
    """Yield the anchors of a page's headings, as GitHub and MkDocs both make them."""
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        yield re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())


@every_page
def test_nothing_is_left_to_do(page):
    assert not re.search(r"\b(TODO|TBD|FIXME)\b", page.read_text(encoding="utf-8"))


@every_page
def test_commands_named_in_a_sentence_exist(page):
    from limbeck.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    named = re.findall(r"`limbeck ([a-z]+)\b", FENCE.sub("", page.read_text(encoding="utf-8")))

    assert set(named) <= known


def test_generated_pages_are_fresh(tmp_path):
    subprocess.run([sys.executable, DOCS / "pages.py", tmp_path], check=True)

    for name in GENERATED:
        fresh = (tmp_path / name).read_text(encoding="utf-8") == reference(name)
        assert fresh, f"docs/reference/{name} is not what the code says any more; write it again with: make pages"


def test_help_does_not_depend_on_the_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)

    subprocess.run([sys.executable, DOCS / "pages.py", tmp_path, "commands.md"], check=True)

    assert (tmp_path / "commands.md").read_text(encoding="utf-8") == reference("commands.md")


def reference(name: str) -> str:
    return (DOCS / "reference" / name).read_text(encoding="utf-8")


def test_every_public_name_has_its_place_in_the_reference():
    shown = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    direct = set(re.findall(r"^::: limbeck\.(\w+)$", shown, re.MULTILINE))

    assert set(limbeck.__all__) <= direct | set(limbeck.objectives.__all__)


def test_every_key_of_a_recipe_says_what_it_is():
    schema = Recipe.model_json_schema()
    for name, kind in (("Recipe", schema), *schema["$defs"].items()):
        silent = [key for key, value in kind.get("properties", {}).items() if not value.get("description")]
        assert not silent, f"{name}: say what {', '.join(silent)} is in its docstring, as 'key: what it is.'"


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The built site."""
    for package in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(package, reason="the extra docs is not installed: pip install '.[docs]'")
    place = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


def test_site_needs_no_network(site):
    pages = list(site.rglob("*.html"))
    fetched = re.compile(r'(?:src|srcset)="https?:|<link[^>]*href="https?:|url\(["\']?https?:|@import')

    assert len(pages) > 30
    for path in (*pages, *site.rglob("*.css")):
        found = fetched.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path}: {found}"


def test_site_has_formulas_results_and_reference(site):
    formulas = (site / "mathematics.html").read_text(encoding="utf-8")

    assert formulas.count("<math") > 50
    assert "arithmatex" not in formulas
    assert (site / "benchmarks" / "results" / "2026-11-21-demo.html").is_file()
    assert (site / "recipes" / "demo.yaml").is_file()
    assert 'id="limbeck.distill"' in (site / "reference" / "python.html").read_text(encoding="utf-8")
    terms = (site / "reference" / "objectives.html").read_text(encoding="utf-8")
    assert all(f'id="limbeck.objectives.{name}"' in terms for name in limbeck.objectives.__all__)
    assert not [path for path in site.rglob("*.html") if "--8&lt;--" in path.read_text(encoding="utf-8")]
