from __future__ import annotations

from typing import Any

import pytest

from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown
from limbeck.report.robustness import robust_facts, robust_table, section_of, severity_figure


def entry(mean: float) -> dict[str, Any]:
    return {"mean": mean, "values": [mean], "ci95": [mean - 0.02, mean + 0.03], "higher_is_better": True}


def model(role: str, name: str, clean: float) -> dict[str, Any]:
    return {
        "role": role, "name": name, "title": name, "seeds": [0], "clean": entry(clean),
        "coverage": [[0.4, 1.0], [0.8, clean + 0.01], [1.0, clean]],
        "over_fitting": None if role == "file" else entry(0.013),
        "foreign": {"noise": {"msp": {"auroc": entry(0.9), "fpr95": entry(0.2)},
                              "energy": {"auroc": entry(0.8), "fpr95": entry(0.4)}}},
        "corrupted": entry(clean - 0.2), "worst_class": entry(0.3), "mce": entry(1.234),
        "by_severity": [entry(clean - 0.1), entry(clean - 0.3)],
        "by_corruption": {"jpeg": [0.8, 0.6], "gaussian_blur": [0.9, 0.75]},
    }  # fmt: skip


@pytest.fixture
def robust(lean: dict[str, Any]) -> dict[str, Any]:
    """A sample report with robustness measured."""
    models = {
        "teacher": model("teacher", "teacher", 0.98),
        "student": model("student", "student", 0.95),
        "labels": model("control", "labels", 0.93),
        "student.onnx": model("file", "ONNX", 0.95),
    }
    answers = {key: {"class": "3" if key == "student" else "<8>", "probability": 0.61} for key in models}
    example = {"corruption": "gaussian_blur", "severity": 3, "id": "test 1", "label": "3", "png": "AAAA"}
    verdict = {**lean["verdict"], "outcome": "helped", "sentence": "Distillation helped when <corrupted>."}
    section = {
        "schema": 1,
        "settings": {"seed": 0, "samples": 1234, "severities": [1, 5], "corruptions": 2, "complete": True,
                     "foreign": ["noise"]},
        "corruptions": {"jpeg": {"family": "digital", "unit": "quality", "strengths": [50, 5]},
                        "gaussian_blur": {"family": "blur", "unit": "share", "strengths": [0.1, 0.2]}},
        "models": models, "against": "labels", "verdict": verdict, "examples": [{**example, "answers": answers}],
    }  # fmt: skip
    return {**lean, "robustness": section}


def test_the_page_shows_verdict_curves_figures_and_pictures(robust):
    page = render_html(robust)
    part = page[page.index('id="robustness"') :].partition("</section>")[0]
    assert "Distillation helped when &lt;corrupted&gt;." in part
    assert "Mean accuracy over corruptions against severity" in part
    assert "Accuracy by corruption: blur" in part
    assert "82.5 %" in part  # the mean over severities
    assert "1.23" in part
    assert "+1.3 points" in part
    assert 'src="data:image/png;base64,AAAA"' in part
    assert "&lt;8&gt;" in part
    assert "8-bit" not in part
    assert "gaussian blur 3" in part


def test_markdown_says_the_same(robust):
    text = render_markdown(robust)
    assert "## Robustness" in text
    assert "75.0 % (73.0 to 78.0)" in text
    assert "Distillation helped when &lt;corrupted>." in text
    assert "- Corruptions: 2, at severity 1, 5" in text


def test_the_table_names_files_by_their_format_and_rows_by_family(robust):
    table = robust_table(robust)
    assert table is not None
    assert [column.name for column in table.columns] == ["teacher", "student", "labels", "ONNX"]
    assert [group.title for group in table.groups] == [
        "Clean and corrupted", "Accuracy by corruption: digital", "Accuracy by corruption: blur",
        "Told from samples of another kind: noise",
    ]  # fmt: skip
    assert [cell.text for cell in table.groups[0].rows[0].cells] == ["98.0 %", "95.0 %", "93.0 %", "95.0 %"]


def test_what_is_not_complete_says_so(robust):
    robust["robustness"]["settings"] |= {"complete": False, "corruptions": 18}
    facts = dict(robust_facts(robust))
    assert facts["Corruptions"] == "2 of 18, at severity 1, 5"
    assert "--robust" in facts["Not complete"]


def test_a_budget_that_ended_at_once_leaves_what_is_clean(robust):
    nothing = {"corrupted": None, "worst_class": None, "mce": None, "by_severity": [], "by_corruption": {}}
    section = robust["robustness"]
    section |= {"corruptions": {}, "verdict": None, "examples": []}
    section["models"] = {key: {**one, **nothing} for key, one in section["models"].items()}
    page = render_html(robust)
    assert "There is no verdict on robustness" in page
    assert "against severity" not in page.partition('id="robustness"')[2].partition("</section>")[0]


def test_the_drawing_leaves_files_out(robust):
    drawing = severity_figure(robust)
    assert "labels" in drawing
    assert "ONNX" not in drawing


def test_reports_without_it_have_no_section(lean):
    assert section_of(lean) is None
    assert robust_table(lean) is None
    assert 'id="robustness"' not in render_html(lean)
    assert "Robustness" not in render_markdown({**lean, "robustness": None})
