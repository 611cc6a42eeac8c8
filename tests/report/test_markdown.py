from __future__ import annotations

import copy
import re
from typing import Any

from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_verdict_table_and_recipe_are_there(report: dict[str, Any]) -> None:
    text = render_markdown(report)
    assert text.startswith("# digits\n\n**Helped.** " + report["verdict"]["sentence"])
    assert "- Gain: +7.1 points, 95 % interval 5.8 to 8.4 points" in text
    assert "hard teacher labels: unclear, +0.2 points, 95 % interval −0.3 to 0.7 points" in text
    assert "On the ONNX files themselves: helped, +7.1 points" in text
    assert "On the 8-bit ONNX files themselves: helped, +7.1 points" in text
    assert "1. Refused: ranges by smallest" in text
    assert "Verdict over 5 files of the student and 5 of the control" in text
    table = rows(text)
    assert table[0] == ["", *report["models"]]
    mean = report["models"]["student"]["metrics"]["accuracy"]["mean"]
    accuracy = next(row for row in table if row[0] == "Accuracy")
    assert accuracy[2].startswith(f"{100 * mean:.1f} % (")
    assert f"```yaml\n{report['recipe']}```" in text


def test_every_table_keeps_its_width(report: dict[str, Any]) -> None:
    report["models"]["labels"]["name"] = "a|b <script> `c` *d*\nnew line"
    report["stages"] = report["stages"] + [{**report["stages"][0], "verdict": None}]
    text = render_markdown(report)
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 5
    for block in blocks:
        assert len({len(row) for row in rows(block)}) == 1
    assert "<script" not in text


def test_no_verdict_and_nothing_exported(report: dict[str, Any]) -> None:
    report["verdict"] = report["export"] = None
    text = render_markdown(report)
    assert "**No verdict.**" in text
    assert "The file that ships" not in text


def test_a_recipe_with_fences_stays_inside_its_own(report: dict[str, Any]) -> None:
    report["recipe"] = "name: |\n  ```\n  text\n"
    assert "````yaml\n" + report["recipe"] + "````" in render_markdown(report)


def test_links_in_names_are_not_links(report: dict[str, Any]) -> None:
    report["data"]["notes"] = ["[a](javascript:alert)"]
    assert "](" not in render_markdown(report)


def test_same_report_same_text(report: dict[str, Any]) -> None:
    assert render_markdown(report) == render_markdown(report)


def test_layers_that_were_compared_are_listed(report: dict[str, Any]) -> None:
    report = copy.deepcopy(report)
    assert "Layers compared" not in render_markdown(report)
    pair = {"student": "a.1", "teacher": "b.2", "student_shape": [4, 8, 8], "teacher_shape": [16]}
    report["stages"][0]["layers"] = [{"term": "hint", **pair}]
    wanted = "a.1 (4 × 8 × 8) with the teacher's b.2 (16)"
    assert f"- hint: {wanted}" in render_markdown(report)
    assert "Layers compared" in render_html(report) and "a.1 (4 × 8 × 8)" in render_html(report)
