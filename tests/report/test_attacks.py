from __future__ import annotations

from typing import Any

import pytest
from tests.report.test_robustness import entry, robust  # noqa: F401  a fixture

from limbeck.report.attacks import attack_facts, attack_table, attack_verdicts, attack_warnings, radius, radius_figure
from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown


def figures(epsilon: float, mean: float, white: bool) -> dict[str, Any]:
    accuracy = {"pgd": entry(mean) if white else None, "square": entry(mean + 0.05)}
    return {"epsilon": epsilon, "accuracy": accuracy, "worst": entry(mean - 0.01), "worst_class": entry(0.1)}


def under_attack(clean: float, *, white: bool = True, warnings: list[str] | None = None) -> dict[str, Any]:
    each = [figures(8 / 255, clean - 0.3, white), figures(0.1, clean - 0.5, white)]
    return {"source": None, "clean": entry(clean), "figures": each, "warnings": warnings or []}


@pytest.fixture
def attacked(robust: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    """A sample report with attacks."""
    verdict = {**robust["robustness"]["verdict"], "sentence": "Distillation hurt <here>.", "outcome": "hurt"}
    robust["robustness"]["attacks"] = {
        "settings": {"names": ["pgd", "square"], "epsilons": [8 / 255, 0.1], "norm": "linf", "steps": 20,
                     "queries": 200, "samples": {"pgd": 2000, "square": 1000}, "common": 1000, "complete": True},
        "models": {
            "teacher": under_attack(0.98), "student": under_attack(0.95, warnings=["gradients <mislead>"]),
            "labels": under_attack(0.93), "student.onnx": under_attack(0.95, white=False),
        },
        "verdicts": [{**verdict, "epsilon": 8 / 255, "attack": "worst"}],
    }  # fmt: skip
    return robust


def test_the_page_shows_curve_table_verdicts_and_warnings(attacked):
    part = render_html(attacked).partition('id="robustness"')[2].partition("</section>")[0]
    assert "Accuracy under the worst attack against the radius" in part
    assert "The worst of them within 8/255. Distillation hurt &lt;here&gt;." in part
    assert "student: gradients &lt;mislead&gt;" in part
    assert "Accuracy within 8/255 (linf)" in part
    assert "65.0 %" in part


def test_markdown_says_the_same(attacked):
    text = render_markdown(attacked)
    assert "## Under attack" in text
    assert "65.0 % (63.0 to 68.0)" in text
    assert "The worst of them within 8/255. Distillation hurt &lt;here>." in text


def test_a_row_for_each_attack_and_one_for_the_worst_at_each_radius(attacked):
    table = attack_table(attacked)
    assert table is not None
    assert [group.title for group in table.groups] == ["Accuracy within 8/255 (linf)", "Accuracy within 0.1 (linf)"]
    assert [row.label for row in table.groups[0].rows] == ["PGD", "Square", "The worst of them", "Its worst class"]
    assert [cell.text for cell in table.groups[1].rows[0].cells] == ["48.0 %", "45.0 %", "43.0 %", "–"]
    assert table.groups[0].rows[1].better == "1,000 samples"


def test_the_curve_begins_at_clean_and_leaves_files_out(attacked):
    drawing = radius_figure(attacked)
    assert "labels" in drawing
    assert "8/255" in drawing
    assert "ONNX" not in drawing


def test_what_did_not_end_is_left_out_and_said(attacked):
    attacks = attacked["robustness"]["attacks"]
    attacks["settings"]["complete"] = False
    for one in attacks["models"].values():
        one["figures"] = one["figures"][:1]
    table = attack_table(attacked)
    assert table is not None
    assert len(table.groups) == 1
    assert "--attacks" in dict(attack_facts(attacked))["Not complete"]
    for one in attacks["models"].values():
        one["figures"] = []
    assert attack_table(attacked) is None
    assert "Under attack" not in render_html(attacked)


def test_facts_name_budgets_and_sources(attacked):
    models = attacked["robustness"]["attacks"]["models"]
    models["student"]["source"] = models["labels"]["source"] = "teacher"
    models["student.onnx"]["source"] = "student"
    assert dict(attack_facts(attacked)) == {
        "Steps of a climb": "20", "Questions of Square": "200",
        "Transfer is made on": "student (for ONNX); teacher (for student, labels)",
    }  # fmt: skip


def test_reports_without_attacks_have_no_such_part(robust):  # noqa: F811
    assert attack_table(robust) is None  # an earlier report, without the key
    robust["robustness"]["attacks"] = None
    assert attack_facts(robust) == attack_verdicts(robust) == attack_warnings(robust) == []
    assert "Under attack" not in render_html(robust)
    assert "Under attack" not in render_markdown(robust)


@pytest.mark.parametrize(("epsilon", "norm", "text"), [
    (8 / 255, "linf", "8/255"), (0.3, "linf", "0.3"), (0.2, "linf", "0.2"), (1.0, "linf", "1"),
    (8 / 255, "l2", "0.0313725"), (0.5, "l2", "0.5"), (2 / 255, "linf", "2/255"),
])  # fmt: skip
def test_radii_are_written_as_people_do(epsilon, norm, text):
    assert radius(epsilon, norm) == text
