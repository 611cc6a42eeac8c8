"""The section on generated samples: facts, gauges, pictures; a report without any has none of it."""

from __future__ import annotations

from typing import Any

from tests.report.sample import sample_report

from limbeck.report.generated import MOST_ROWS, gauges_figure, generated_facts, pictured_classes
from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown

PNG = "iVBORw0KGgo="


def gauge(number: int, **changed: Any) -> dict[str, Any]:
    usual = {"classes": 10, "balance": 0.98, "entropy": 0.3, "diversity": 0.85, "statistics_gap": 2.0, "agreement": 0.4}
    return {"round": number, "seconds": 1.0 + number, **usual, **changed}


def with_generated(**changed: Any) -> dict[str, Any]:
    nearest = {"least": 0.5, "1_percent": 0.7, "median": 1.25}
    made = {
        "preset": "fast_meta", "samples": 3000, "real": "none", "rounds": 60, "seconds": 12.3,
        "gauges": [gauge(0), gauge(5, agreement=0.6)],
        "pictures": {str(number): {"generated": [PNG, None], "real": [PNG]} for number in range(25)},
        "nearest": {"generated": nearest, "test": nearest, "nearer_than_1_percent_of_test": 0.03},
    }  # fmt: skip
    return {**sample_report(), "generated": {**made, **changed}}


def test_facts_say_what_was_made_and_how_near_it_is() -> None:
    facts = dict(generated_facts(with_generated()))
    assert facts["Samples"] == "3,000, by fast_meta"
    assert facts["Real samples"] == "none; real samples test alone"
    assert facts["Made in"] == "12 s, 60 rounds"
    assert facts["Balance of classes"] == "0.98 of 1, 10 classes there"
    assert facts["Student beside"].startswith("agrees on 60")
    assert facts["Nearest real sample"] == "median distance 1.25, least 0.5"
    assert facts["Nearer than 99 % of test samples"].startswith("3")


def test_what_was_not_measured_is_not_told() -> None:
    facts = dict(generated_facts(with_generated(gauges=[], seconds=None, pictures=None, preset="proxy")))
    assert "Made in" not in facts and "Diversity" not in facts
    assert "Student beside" not in dict(generated_facts(with_generated(gauges=[gauge(0, agreement=None)])))
    assert pictured_classes(with_generated(pictures=None)) == []


def test_pages_have_the_section_only_where_samples_were_generated() -> None:
    report = with_generated()
    page = render_html(report)
    assert page.count(f'src="data:image/png;base64,{PNG}"') == 2 * MOST_ROWS
    assert 'aria-label="Generated samples"' in page and "Gauges of generated samples" in page
    assert "## Generated samples" in render_markdown(report)
    for without in (sample_report(), {**sample_report(), "generated": None}):
        assert "Generated samples" not in render_html(without) + render_markdown(without)


def test_gauges_that_nobody_measured_are_left_out_of_the_drawing() -> None:
    full = gauges_figure(with_generated())
    assert "student beside agrees" in full and "gap to batch norms" in full
    lone = gauges_figure(with_generated(gauges=[gauge(n, agreement=None, statistics_gap=None) for n in range(3)]))
    assert "student beside agrees" not in lone and "gap to batch norms" not in lone and "diversity" in lone
