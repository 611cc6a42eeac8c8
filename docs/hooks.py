"""What the documentation site needs beyond MkDocs: results as pages, formulas as MathML, nothing from the network."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
RESULTS = "benchmarks/results"
BESIDE = (f"{RESULTS}/*.md", "recipes/*.yaml", "examples/*.py")  # part of the site, but outside docs/
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder where the navigation names the folder, newest first."""
    for section in config.nav or []:
        for title, items in section.items():
            if isinstance(items, list):
                section[title] = [page for item in items for page in _pages(item)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the results, recipes and examples, so that links to them work in the site as they do in the clone."""
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead to the site's copies: one folder less to climb."""
    climb = "../" * (page.file.src_uri.count("/") + 1)
    return re.sub(rf"\]\({re.escape(climb)}(?=benchmarks/|recipes/|examples/)", f"]({climb[3:]}", markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn every formula into MathML, which browsers draw by themselves."""
    return FORMULA.sub(_mathml, content)


def _mathml(found: re.Match[str]) -> str:
    display = "block" if found[1] == "div" else "inline"
    return str(convert(html.unescape(found[2]), display=display))


def _pages(item: Any) -> Iterator[Any]:
    if not isinstance(item, str) or not item.endswith("/"):
        yield item
        return
    folder = ROOT / RESULTS if item == "results/" else ROOT / "docs" / item
    inside = f"{RESULTS}/" if item == "results/" else item
    yield from (inside + path.name for path in sorted(folder.glob("*.md"), key=_newest_first))


def _newest_first(path: Path) -> tuple[int, str]:
    """Order dated names by day, the last first, then by name."""
    return -int(path.name[:10].replace("-", "")), path.name
