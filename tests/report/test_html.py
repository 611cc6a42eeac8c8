from __future__ import annotations

import copy
import math
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from limbeck.report.facts import verdict_facts
from limbeck.report.html import render_html, render_summary
from limbeck.report.tables import cost_table

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page, fails on tags that do not balance, and keeps what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.heard: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open and self.open[-1] != "style":
            self.heard.append((self.open[-1], " ".join(data.split())))

    def text(self) -> str:
        return " ".join(words for _, words in self.heard)


def test_the_page_is_balanced_and_loads_nothing(page_text: str) -> None:
    page = Page(page_text)
    for tag, attrs in page.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        for source in (attrs.get("src"), attrs.get("href")):
            assert source is None or source.startswith(("data:", "#"))
    css = re.search(r"<style>(.*?)</style>", page_text, re.DOTALL)
    assert "url(" not in css[1]
    assert "@import" not in css[1]


def test_the_verdict_comes_first_and_the_sections_keep_their_order(report: dict[str, Any], page_text: str) -> None:
    page = Page(page_text)
    headings = [words for tag, words in page.heard if tag in {"h1", "h2"}]
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]
    assert headings == [
        "Accuracy with intervals", "Teacher, student and controls", "The file that ships",
        "Size against accuracy", "Size and speed before and after", "Measured on devices", "Training", "Reliability",
        "Confusion", "Where teacher and student disagree", "Cost", "Environment", "Data", "Recipe",
    ]  # fmt: skip
    text = page.text()
    assert text.index("Helped") < text.index("+7.1 points") < text.index("5.8 to 8.4 points")
    assert report["verdict"]["sentence"] in text
    assert report["verdict"]["notes"][0] in text
    assert report["verdict"]["over_teacher_labels"]["sentence"] in text


def test_an_outcome_shows_in_word_shape_and_colour(lean: dict[str, Any]) -> None:
    shapes = set()
    for outcome in ("helped", "hurt", "equal", "unclear"):
        lean["verdict"]["outcome"] = outcome
        headline = re.search(r'class="outcome (\w+)">(.*?)</p>', render_summary(lean), re.DOTALL)
        assert headline[1] == outcome
        assert f"<span>{outcome.capitalize()}</span>" in headline[2]
        shapes.add(re.search(r'<path d="([^"]+)', headline[2])[1])
    assert len(shapes) == 4


def test_figures_and_tables_can_be_read_aloud(page_text: str) -> None:
    page = Page(page_text)
    drawings = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert len(drawings) == 2 + 6 + 3 + 2
    assert {attrs["aria-labelledby"] for attrs in drawings} <= ids
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")


def test_every_value_of_the_models_table_is_there(report: dict[str, Any], page_text: str) -> None:
    text = Page(page_text).text()
    for model in report["models"].values():
        assert f"{100 * model['metrics']['accuracy']['mean']:.1f} %" in text
        assert f"{model['metrics']['nll']['mean']:.3f}" in text
    for words in ("1,640", "2,410", "9.6 kB", "605.2 kB", "1,204,000", "0.021 ms", "95 % under 0.031"):
        assert words in text
    assert "1.2 × 10⁻⁶" in text
    assert "51,720" in text


def test_the_best_beside_the_teacher_is_marked_once(lean: dict[str, Any]) -> None:
    for place, model in enumerate(lean["models"].values()):
        model["metrics"] = {"accuracy": {**model["metrics"]["accuracy"], "mean": 0.99 - place / 50}}
    html = render_html(lean)
    assert re.findall(r'class="\w+ best">([\d.]+ %)', html) == ["97.0 %"]


def test_the_teacher_is_never_the_best_not_even_on_a_tie(lean: dict[str, Any]) -> None:
    for key, model in lean["models"].items():
        mean = 0.9 if key in {"teacher", "student"} else 0.8
        model["metrics"] = {"accuracy": {**model["metrics"]["accuracy"], "mean": mean}}
    for html in (render_html(lean), render_summary(lean)):
        assert re.findall(r'class="(\w+) best">([\d.]+ %)', html) == [("student", "90.0 %")]


def test_soft_over_hard_is_said_once_on_the_page_and_in_the_summary(lean: dict[str, Any]) -> None:
    for html in (render_html(lean), render_summary(lean)):
        text = Page(html).text()
        assert text.count(lean["verdict"]["over_teacher_labels"]["sentence"]) == 1
        assert "Soft knowledge over hard teacher labels Unclear" in text
        assert "+0.2 points" not in text
    lean["verdict"]["over_teacher_labels"] = None
    assert "Soft knowledge over" not in render_summary(lean)


def test_the_control_is_named_and_explained(page_text: str) -> None:
    text = Page(page_text).text()
    assert "Measured against self_training (student trained on its own pseudo-labels)" in text
    assert "without the teacher's soft knowledge; only teacher_labels may ask the teacher" in text


@pytest.mark.parametrize("outcome", ["hurt", "equal", "unclear"])
def test_a_gap_is_closed_only_where_distillation_helped(report: dict[str, Any], outcome: str) -> None:
    label = "Gap to the teacher closed"
    assert (label, "83.0 %") in verdict_facts(report, report["verdict"])
    report["verdict"]["outcome"] = outcome
    assert label not in dict(verdict_facts(report, report["verdict"]))


def test_the_verdict_on_files_says_how_many_files(lean: dict[str, Any], page_text: str) -> None:
    assert "Verdict over 5 files of the student and 5 of the control, one a seed;" in Page(page_text).text()
    lean["export"]["verdict"]["seeds"] = 1
    assert "Verdict over one file of the student and one of the control." in Page(render_html(lean)).text()


def test_hostile_names_are_text(make_report: Any) -> None:
    attack = "<script>alert(1)</script>\"'&"
    report = make_report([attack, "b", "c"])
    report["curves"] = {}
    report["name"] = report["recipe"] = report["verdict"]["sentence"] = attack
    report["environment"]["processor"] = report["models"]["labels"]["name"] = attack
    report["models"]["labels"]["title"] = report["disagreements"][0]["id"] = attack
    report["data"]["notes"] = report["verdict"]["notes"] = [attack]
    for html in (render_html(report), render_summary(report)):
        assert "<script" not in html.lower()
        assert attack in Page(html).text()
    report["name"] = "\udcff.png"
    assert render_html(report).encode("utf-8")


def test_without_controls_the_page_says_that_there_is_no_verdict(lean: dict[str, Any]) -> None:
    lean["verdict"] = lean["export"] = lean["stages"][0]["verdict"] = None
    for text in (Page(render_html(lean)).text(), Page(render_summary(lean)).text()):
        assert "No verdict" in text
        assert "controls: []" in text
        assert "Helped" not in text


def test_several_stages_are_listed(lean: dict[str, Any]) -> None:
    fine = {"name": "fine-tune", "model": "labels", "controls": {}, "verdict": None}
    lean["stages"].append(fine)
    text = Page(render_html(lean)).text()
    assert "Each stage starts from an earlier model" in text
    assert "fine-tune 89." in text


def test_models_of_several_stages_are_told_apart(lean: dict[str, Any]) -> None:
    lean["models"]["hard/labels"] = {**lean["models"]["labels"], "title": "labels only, stage hard"}
    lean["curves"]["hard/labels"] = lean["curves"]["student"]
    page = Page(render_html(lean))
    assert ("h3", "hard/labels") in page.heard
    assert ("title", "Training of hard/labels: loss and validation accuracy, 5 seeds") in page.heard
    heads = [attrs["title"] for tag, attrs in page.tags if tag == "span" and attrs.get("class") == "name"]
    assert {"labels", "hard/labels"} < set(heads)


def nothing_known(report: dict[str, Any]) -> None:
    """Set everything that may be unknown to None."""
    for key in ("gap_closed", "p_value", "ci95", "over_teacher_labels"):
        report["verdict"][key] = None
    for model in report["models"].values():
        model.update(dict.fromkeys(("steps", "macs", "validation_accuracy", "best_seed", "temperature")))
        model["latency_ms"] = []
        for metric in model["metrics"].values():
            metric["ci95"] = None
    report["cost"] = {"teacher_forwards": None, "teacher_spot_checks": None, "seconds": {"total": None},
                      "peak_memory_mib": None}  # fmt: skip
    report["environment"] = dict.fromkeys(report["environment"])
    report["data"].update(augment=[], notes=[], shape=None, validation_labelled=None)
    report["export"] = None
    report["disagreements"][0].update(png=None, label=None)


def test_unknown_values_leave_no_trace(lean: dict[str, Any]) -> None:
    nothing_known(lean)
    text = Page(render_html(lean)).text()
    assert not re.search(r"\b(None|nan|null)\b", text)
    assert "Nothing was exported." in text
    for label in ("Optimizer steps", "Multiply-adds", "Peak memory", "p-value"):
        assert f" {label} " not in text


def test_numbers_that_are_not_finite_are_never_printed(lean: dict[str, Any]) -> None:
    lean["verdict"].update(gain=math.nan, p_value=math.nan, ci95=[math.nan, math.inf])
    for metric in lean["models"]["student"]["metrics"].values():
        metric.update(mean=math.nan, values=[math.nan], ci95=[math.nan, math.nan])
    lean["curves"]["student"][0]["loss"][3] = math.inf
    assert not re.search(r"\b(nan|inf)\b", render_html(lean), re.IGNORECASE)


def test_only_a_student_and_no_pictures(report: dict[str, Any]) -> None:
    report["models"] = {"student": report["models"]["student"]}
    for part in ("curves", "reliability", "confusion", "disagreements"):
        report[part] = type(report[part])()
    text = Page(render_html(report)).text()
    assert "Where teacher and student disagree" not in text
    assert "Training Faint" not in text


def test_a_hundred_long_classes(make_report: Any) -> None:
    report = make_report([f"a class whose name does not end soon {i}" for i in range(100)], seeds=1)
    text = Page(render_html(report)).text()
    assert "and 88 more" in text
    assert "1 seed " in text


def test_the_page_depends_on_the_report_alone(lean: dict[str, Any]) -> None:
    before = copy.deepcopy(lean)
    assert render_html(lean) == render_html(copy.deepcopy(lean))
    assert render_summary(lean) == render_summary(lean)
    assert lean == before


def test_a_page_is_made_in_good_time(report: dict[str, Any]) -> None:
    start = time.process_time()
    render_html(report)
    assert time.process_time() - start < 3


def test_rendering_needs_no_torch() -> None:
    code = "import sys, limbeck.report.html, limbeck.report.markdown; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_summary_holds_verdict_figure_and_metrics_only(report: dict[str, Any]) -> None:
    page = Page(render_summary(report))
    assert {"Helped", "+7.1 points", "97.4 %"} <= {words for _, words in page.heard}
    assert "Optimizer steps" not in page.text()
    assert not [tag for tag, _ in page.tags if tag in {"html", "body", "script"}]
    rules = re.findall(r"^([^{}\n]+)\{", render_summary(report).split("</style>")[0], re.MULTILINE)
    assert rules
    assert all(part.strip().startswith(".limbeck-summary") for rule in rules for part in rule.split(","))


def channel(part: str) -> float:
    value = int(part, 16) / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour: str) -> float:
    red, green, blue = (channel(colour[place : place + 2]) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_can_be_told_from_its_ground(page_text: str) -> None:
    themes = re.findall(r":root \{(.*?)\}", page_text, re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colours = {name: luminance(colour) for name, colour in re.findall(r"--([\w-]+): (#\w{6})", theme)}
        for name in ("ink", "muted", "accent", "helped", "hurt", "equal", "unclear"):
            for ground in ("page", "panel"):
                low, high = sorted((colours[name], colours[ground]))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_the_int8_file_says_what_was_tried_and_how_it_was_judged(report: dict[str, Any], page_text: str) -> None:
    text = Page(page_text).text()
    assert "The int8 file. Attempt 2 passed." in text
    assert "1. Refused: ranges by smallest and largest value of 256 training samples. Too much was lost." in text
    assert "2. Passed: ranges by 99.99 % of the values. Little was lost." in text
    assert "8-bit ONNX: +7.1 points" in text
    assert "1 of 5 int8 files of labels lost more." in text
    report["export"]["int8"]["gate"]["attempts"].pop()
    assert "1. Refused" not in Page(render_html(report)).text()


def test_an_int8_file_that_was_refused_leaves_its_reason_alone(lean: dict[str, Any]) -> None:
    refused = dict.fromkeys(lean["export"]["int8"]) | {"gate": lean["export"]["int8"]["gate"], "tolerance": 0.01}
    refused["gate"].update(passed=False, sentence="No int8 file ships: none of 2 attempts passed.")
    lean["export"].update(int8=refused, measured=[])
    text = Page(render_html(lean)).text()
    assert "No int8 file ships: none of 2 attempts passed." in text
    assert "8-bit ONNX" not in text
    assert "Measured on devices" not in text


def test_before_and_after_counts_from_the_teacher(report: dict[str, Any]) -> None:
    table = cost_table(report)
    assert [column.name for column in table.columns] == ["teacher", "student", "ONNX", "8-bit ONNX"]
    sizes = [row for group in table.groups for row in group.rows if row.label == "Size"]
    assert [cell.text for cell in sizes[0].cells] == ["605.2 kB", "9.6 kB", "12.3 kB", "5.1 kB"]
    assert [cell.text for cell in sizes[1].cells] == ["1.0", "0.016", "0.020", "0.0085"]
    report["models"]["teacher"].update(bytes=None, latency_ms=[])
    assert [group.title for group in cost_table(report).groups] == ["Cost of use"]
    report["export"]["int8"]["latency_ms"] = [{"threads": 2, "p50": 0.5, "p95": 0.7}]
    rows = {row.label: [cell.text for cell in row.cells] for row in cost_table(report).groups[0].rows}
    assert rows["Latency, 1 thread"][-1] == "–"
    assert rows["Latency, 2 threads"][-1] == "0.50 ms"


def test_each_device_has_a_group_of_its_own(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report["export"]["measured"][0])
    other["device"]["processor"] = "<b>A phone</b>"
    del other["files"]["student.int8.onnx"]
    report["export"]["measured"].append(other)
    html = render_html(report)
    text = Page(html).text()
    assert "A board, aarch64, Linux, 4 cores, ONNX Runtime 1.30.0, 2026-11-20" in text
    assert "Samples a second in batches of 64, 2 threads 86,420 86,420" in text
    assert "Samples a second in batches of 64, 2 threads 86,420 –" in text
    assert "<b>A phone" not in html
