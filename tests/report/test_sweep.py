from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown
from limbeck.report.sweep import sweep_figure, sweep_lines

KEYS = ["objective.soft_labels.temperature", "student.model.mlp.hidden"]


def swept(report: dict[str, Any], first: list[Any], second: list[Any]) -> dict[str, Any]:
    """Return a report with a variant for every pair of values; the second one is chosen."""
    found = copy.deepcopy(report)
    pairs = [(one, other) for one in first for other in second]
    found["sweep"] = {"keys": KEYS, "chosen": "02", "chosen_by": "mean validation accuracy over the seeds"}
    metric = {"mean": 0.9, "values": [0.89, 0.91], "ci95": [0.88, 0.92], "higher_is_better": True}
    found["variants"] = [
        {
            "name": f"{place:02}",
            "settings": dict(zip(KEYS, pair, strict=True)),
            "title": f"temperature={pair[0]}, hidden={pair[1]}",
            "folder": f"variants/{place:02}",
            "chosen": place == 2,
            "validation_accuracy": 0.9,
            "architecture": "mlp",
            "metrics": {"accuracy": {**metric, "mean": 0.9 + place / 1000}},
            "controls": dict.fromkeys(("labels", "smoothing", "self_training"), metric),
            "verdict": report["verdict"],
        }
        for place, pair in enumerate(pairs, 1)
    ]
    return found


def test_every_variant_is_a_line_and_one_is_chosen(report: dict[str, Any]) -> None:
    found = sweep_lines(swept(report, [1, 4, 20], [[8], [8, 8]]))
    assert [line.title for line in found][:2] == ["temperature=1, hidden=[8]", "temperature=1, hidden=[8, 8]"]
    assert [line.chosen for line in found] == [False, True, False, False, False, False]
    assert found[0].value == "90.1 %"


@pytest.mark.parametrize("second", [["a"], [[8], [8, 8]], [None, True, 0.5], list(range(9))])
@pytest.mark.parametrize("first", [[1, 2], [0, -3, 1e9], ["<b>", "$x"]])
def test_drawings_hold_whatever_is_swept(report: dict[str, Any], first: list[Any], second: list[Any]) -> None:
    found = swept(report, first, second)
    for key in KEYS:
        root = ET.fromstring(sweep_figure(found, key))
        assert root.tag.endswith("svg")
        assert "<b>" not in "".join(root.itertext()).replace("<b>", "", 2)
    page = render_html(found)
    assert "temperature=" in page


def test_lines_are_named_beside_their_ends(report: dict[str, Any]) -> None:
    text = "".join(ET.fromstring(sweep_figure(swept(report, [1, 4], ["x", "y"]), KEYS[0])).itertext())
    assert "hidden=x" in text
    assert "hidden=y" in text


def test_a_report_without_a_sweep_has_no_such_section(report: dict[str, Any]) -> None:
    assert sweep_lines(report) == []
    assert 'id="sweep"' not in render_html(report)
    assert "## Sweep" not in render_markdown(report)


def test_markdown_has_a_row_for_each_variant(report: dict[str, Any]) -> None:
    text = render_markdown(swept(report, [1, 4], ["x", "y"]))
    assert text.count("| temperature=") == 4
    assert "(chosen)" in text


def test_variants_without_a_verdict_say_none(report: dict[str, Any]) -> None:
    found = swept(report, [1, 4], ["x"])
    for variant in found["variants"]:
        variant["verdict"] = None
    found["variants"][0]["metrics"]["accuracy"]["ci95"] = None
    assert "none" in render_html(found)
    assert "| none |" in render_markdown(found)
