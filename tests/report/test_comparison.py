from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from limbeck.report.comparison import differences, doubts, gain_figure, render_comparison


@pytest.fixture
def pair(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"runs/one": report, "runs/two": copy.deepcopy(report)}


def test_runs_are_side_by_side_with_their_own_verdicts(pair: dict[str, dict[str, Any]]) -> None:
    pair["runs/two"]["verdict"].update(outcome="hurt", gain=-0.031, ci95=[-0.05, -0.01], p_value=0.004)
    page = render_comparison(pair)
    assert page.index("runs/one") < page.index("runs/two")
    assert "Helped" in page
    assert "Hurt" in page
    assert "−3.1 points" in page
    assert "different" not in page
    assert "<script" not in page
    assert "http://www.w3.org" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda report: report["data"].update(source="idx:other"), "data"),
        (lambda report: report["data"].update(split_seed=1), "test samples"),
        (lambda report: report["data"].update(labelled=7), "labels for the student"),
        (lambda report: report.update(seeds=[5]), "seeds"),
    ],
)
def test_what_cannot_be_compared_is_said(pair: dict[str, dict[str, Any]], change: Any, what: str) -> None:
    assert list(differences(pair)) == []
    change(pair["runs/two"])
    assert list(differences(pair)) == [f"The runs have different {what}: runs/one; runs/two."]
    assert f"different {what}" in render_comparison(pair)


def test_a_claim_that_may_be_chance_among_many_runs_is_marked(report: dict[str, Any]) -> None:
    report["verdict"].update(outcome="helped", p_value=0.03)
    one = {"runs/one": report, "runs/two": {**report, "verdict": None}}
    many = {f"runs/{number}": report for number in range(3)}
    assert "may be chance" not in render_comparison(one)
    assert render_comparison(many).count("may be chance among these runs (p = 0.090") == 3
    assert list(doubts(one)) == []
    assert [text.partition(" may")[0] for text in doubts(many)] == [f"runs/{number}: helped" for number in range(3)]


def test_runs_without_verdict_or_export_are_shown(pair: dict[str, dict[str, Any]]) -> None:
    pair["runs/two"].update(verdict=None, export=None)
    page = render_comparison(pair)
    assert "no controls" in page
    assert "".join(ET.fromstring(gain_figure(pair)).itertext()).count("runs/") == 1


def test_names_cannot_break_the_page(report: dict[str, Any]) -> None:
    page = render_comparison({"<script>": report, "a&b $x$": report})
    assert "<script>" not in page
