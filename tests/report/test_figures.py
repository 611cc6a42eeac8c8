from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import pytest

from limbeck.report import drawing
from limbeck.report.confusion import confusion_figure
from limbeck.report.curves import curve_figure
from limbeck.report.figures import accuracy_figure, size_figure
from limbeck.report.reliability import reliability_figure

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ["<script>alert(1)</script>", "$x_1$ & co", "日本語", "line\nbreak\x00", "\udcff", "#010101"]


def draw_all(report: dict[str, Any]) -> list[str]:
    return [
        accuracy_figure(report),
        size_figure(report),
        *(curve_figure(report, key) for key in ("teacher", "student")),
        reliability_figure(report, "student"),
        *(confusion_figure(report, key) for key in ("teacher", "student")),
    ]


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]


def test_every_figure_has_a_title_and_no_colour_of_its_own(report: dict[str, Any]) -> None:
    for svg in draw_all(report):
        root = ET.fromstring(svg)
        title = root[0]
        assert (title.tag, root.attrib["role"]) == (f"{SVG}title", "img")
        assert title.text
        assert root.attrib["aria-labelledby"] == title.attrib["id"]
        assert "<style" not in svg
        colours = set(re.findall(r"(?:fill|stroke): (#\w+)", svg))
        assert colours <= {"#000000"}, "a colour that does not follow the page"


def test_ids_are_unique_over_a_page_and_all_references_resolve(report: dict[str, Any]) -> None:
    page = "".join(draw_all(report))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([\w-]+)', page)) <= set(ids)


def test_the_same_report_gives_the_same_drawing_whatever_the_user_set(report: dict[str, Any]) -> None:
    first = draw_all(report)
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert draw_all(report) == first
        assert mpl.rcParams["font.size"] == 30


def test_the_figure_shows_every_mean_and_marks_the_control(report: dict[str, Any]) -> None:
    report["models"]["student"]["metrics"]["accuracy"]["mean"] = 0.9321
    svg = accuracy_figure(report)
    assert "93.2 %" in words(svg)
    assert [w for w in words(svg) if w in report["models"]] == list(report["models"])
    assert "stroke-dasharray" in svg
    report["verdict"] = None
    assert "stroke-dasharray" not in accuracy_figure(report)


def test_a_control_of_a_stage_is_found_by_its_name(report: dict[str, Any]) -> None:
    report["models"]["soft/self_training"] = report["models"].pop("self_training")
    assert "stroke-dasharray" in accuracy_figure(report)


def test_models_of_several_stages_have_labels_of_their_own(report: dict[str, Any]) -> None:
    models = report["models"]
    for key in ("hard/labels", "hard-finetuned/student", "a stage of a very long name/teacher_labels"):
        models[key] = models["labels"]
    shown = words(accuracy_figure(report))
    assert {"labels", "hard/labels", "hard-finetuned/student", "a stage …/teacher_labels"} <= set(shown)
    assert shown.count("labels") == 1
    assert "hard/labels 8" in accuracy_figure(report)


@pytest.mark.parametrize("gap", [None, math.nan])
def test_one_seed_without_intervals_or_values_draws(make_report: Any, gap: float | None) -> None:
    report = make_report(seeds=1)
    for model in report["models"].values():
        model["metrics"]["accuracy"]["ci95"] = None
    report["models"]["labels"]["metrics"]["accuracy"]["mean"] = gap
    report["models"]["smoothing"]["metrics"]["accuracy"] = None
    report["curves"]["student"] = [{"seed": 0, "epochs": [1], "loss": [gap], "accuracy": [gap]}]
    report["reliability"]["student"] = [{"low": 0, "high": 1, "confidence": gap, "accuracy": gap, "count": 0}]
    drawn = draw_all(report)
    assert not [svg for svg in drawn if re.search(r"\bnan\b", svg, re.IGNORECASE)]
    assert words(drawn[3]).count("not measured") == 2
    assert "labels" not in words(drawn[0])


def test_size_figure_names_what_it_shows_and_survives_nothing(report: dict[str, Any]) -> None:
    assert {"teacher", "student", "controls", "ONNX file", "8-bit file"} <= set(words(size_figure(report)))
    report["export"] = None
    assert "ONNX file" not in words(size_figure(report))
    report["models"] = {}
    assert ET.fromstring(size_figure(report)).tag == f"{SVG}svg"


def test_curve_draws_each_seed_and_their_mean(report: dict[str, Any]) -> None:
    def lines(svg: str) -> int:
        return len(re.findall(r"stroke: var\(--accent", svg))

    five = lines(curve_figure(report, "student"))
    report["curves"]["student"] = report["curves"]["student"][:1]
    assert (five, lines(curve_figure(report, "student"))) == (12, 2)


def test_seeds_that_stop_at_different_epochs_share_the_mean_of_what_they_have(report: dict[str, Any]) -> None:
    from limbeck.report.curves import _mean

    assert _mean([{1: 1.0, 2: 3.0}, {1: 2.0}]) == {1: 1.5}
    short = {"seed": 0, "epochs": [1, 2], "loss": [1.0, 0.5], "accuracy": [None, 0.5]}
    report["curves"]["student"][0] = short
    assert ET.fromstring(curve_figure(report, "student")).tag == f"{SVG}svg"


def bins_of(*counts: int) -> list[dict[str, Any]]:
    return [{"low": n / 9, "high": (n + 1) / 9, "confidence": n / 9, "accuracy": n % 2, "count": count}
            for n, count in enumerate(counts)]  # fmt: skip


def test_bins_of_few_answers_are_faint_and_not_joined(report: dict[str, Any]) -> None:
    def joined(*counts: int) -> int:
        report["reliability"]["student"] = bins_of(*counts)
        svg = reliability_figure(report, "student")
        strokes = re.findall(r'<path d="([^"]+)"[^>]*style="fill: none; stroke: var\(--accent[^"]*"', svg)
        assert ("opacity: 0.45" in svg) == any(count < 5 for count in counts)
        return max((path.count("L") for path in strokes if "C" not in path), default=0)

    assert joined(5, 6, 7, 8) == 3
    assert joined(5, 1, 4, 8) == 1
    assert joined(1, 2, 4, 8) == 0


def test_confusion_writes_counts_up_to_twenty_classes_only(make_report: Any) -> None:
    report = make_report([f"c{i}" for i in range(20)])
    report["confusion"]["student"][3][4] = 12_345
    assert "12,345" in words(confusion_figure(report, "student"))
    report = make_report([f"a class with a long name {i}" for i in range(100)])
    written = words(confusion_figure(report, "student"))
    assert len(written) <= 42
    assert max(map(len, written)) <= 11


def test_hostile_class_names_stay_text(make_report: Any) -> None:
    report = make_report(HOSTILE)
    svg = confusion_figure(report, "student")
    assert "<script" not in svg
    assert {"$x_1$ & co", "日本語", "line break", "#010101"} <= set(words(svg))


def test_plain_text_is_one_short_printable_line() -> None:
    assert drawing.plain("  two\n words\x07 ") == "two words"
    assert drawing.plain("x" * 40, 10) == "x" * 9 + "…"


def test_epochs_are_whole_numbers(report: dict[str, Any]) -> None:
    report["curves"]["student"] = [{"seed": 0, "epochs": [1], "loss": [0.5], "accuracy": [0.5]}]
    svg = curve_figure(report, "student")
    assert "1" in words(svg)
    assert not {"0.6", "0.8", "1.2", "1.4"} & set(words(svg))
