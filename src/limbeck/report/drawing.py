"""Matplotlib figures as SVG text that follows the page's colours and fonts.

Marks are drawn in placeholder colours, which become CSS variables here: one drawing then serves light and
dark pages. Lengths are inches at 72 units to the inch; the page scales a drawing to its column.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK, MUTED, RULE, ACCENT, CONTROL, ON_ACCENT = (f"#0{i}0{i}0{i}" for i in range(1, 7))
ROLE_COLOURS = {"teacher": INK, "member": MUTED, "student": ACCENT, "control": CONTROL, "stage": MUTED}
FONT_SIZE = 10.0

_VARIABLES = {
    INK: "var(--ink, #1d232b)",
    MUTED: "var(--muted, #5a6472)",
    RULE: "var(--rule, #d9dee4)",
    ACCENT: "var(--accent, #1660a8)",
    CONTROL: "var(--control, #77818e)",
    ON_ACCENT: "var(--on-accent, #ffffff)",
}
_NAMESPACE = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"(font(?:-family)?:[^;]*?)'DejaVu Sans'[^;]*")


@contextmanager
def themed() -> Iterator[None]:
    """Draw with the library's own defaults, whatever the user's matplotlib settings say."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "font.size": FONT_SIZE, "text.color": INK})
        yield


def canvas(width: float, height: float) -> Any:
    """Return an empty transparent figure of that size in inches."""
    figure = Figure(figsize=(width, height))
    figure.patch.set_alpha(0)
    return figure


def axes(figure: Any, left: float, bottom: float, right: float, top: float) -> Any:
    """Return axes inside margins given in inches, with hairline ticks and only the lower left frame."""
    width, height = figure.get_size_inches()
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    ax = figure.add_axes(box)
    ax.patch.set_alpha(0)
    for side, spine in ax.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set(color=RULE, linewidth=1)
    ax.tick_params(color=RULE, labelcolor=MUTED, labelsize=FONT_SIZE - 0.5, length=3, width=1)
    ax.set_axisbelow(True)
    return ax


def plain(text: object, longest: int = 16) -> str:
    """Return text fit for a drawing: one line, printable, at most `longest` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def to_svg(figure: Any, name: str, title: str) -> str:
    """Return a figure as an SVG element; `name` keeps its ids unique on a page, `title` is read aloud."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=metadata, transparent=True)
    root = ET.fromstring(buffer.getvalue())  # noqa: S314  written by savefig just above
    _without_style(root)
    _rename(root, name)
    svg = ET.Element("svg", _root_attributes(root, name))
    ET.SubElement(svg, "title", {"id": f"{name}-title"}).text = plain(title, 400)
    svg.extend(list(root))
    return ET.tostring(svg, encoding="unicode")


def _root_attributes(root: ET.Element, name: str) -> dict[str, str]:
    return {
        "xmlns": _NAMESPACE,
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "stroke-linejoin": "round",
    }


def _without_style(root: ET.Element) -> None:
    """Drop the sheet and the metadata that matplotlib adds; a sheet would apply to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in {"style", "metadata"}:
                parent.remove(child)


def _rename(root: ET.Element, name: str) -> None:
    """Make tags plain, ids unique on the page, colours variables, fonts the page's."""
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', ET.tostring(root, encoding="unicode")))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = element.attrib
        if _HREF in attributes:
            attributes["href"] = attributes.pop(_HREF).replace("#", f"#{name}-")
        if "clip-path" in attributes:
            attributes["clip-path"] = attributes["clip-path"].replace("#", f"#{name}-")
        if attributes.get("id") in used:
            attributes["id"] = f"{name}-{attributes['id']}"
        else:
            attributes.pop("id", None)
        if "style" in attributes:
            attributes["style"] = _style(attributes["style"])


def _style(style: str) -> str:
    for placeholder, variable in _VARIABLES.items():
        style = style.replace(placeholder, variable)
    return _FONT.sub(r"\1var(--sans, sans-serif)", style)
