"""The drawing of gradients: there where they were measured, with what was measured, and nowhere else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from limbeck.report.balance import balance_facts, balance_figure, balanced, gradient_lines
from limbeck.report.html import render_html


@pytest.fixture
def measured(lean: dict[str, Any]) -> dict[str, Any]:
    """A report whose student has three terms; the seeds differ by 1."""
    for seed, curve in enumerate(lean["curves"]["student"]):
        curve["gradients"] = [
            {
                "norms": {"soft_labels": 10.0 / epoch + seed, "cross_entropy": 1.0 + seed, "logit_matching": 0.0},
                "cosines": {"soft_labels, cross_entropy": 0.5, "soft_labels, logit_matching": -0.2},
                "weights": {"soft_labels": 0.01 * epoch, "cross_entropy": 2.0, "logit_matching": 1.0},
            }
            for epoch in curve["epochs"]
        ]
    return lean


def test_seeds_are_averaged_where_they_got(measured: dict[str, Any]) -> None:
    curves = measured["curves"]["student"]
    short = curves[1]
    short["epochs"], short["gradients"] = short["epochs"][:3], short["gradients"][:3]
    lines = gradient_lines(measured, "student", "norms")
    every = range(len(curves))
    assert lines["cross_entropy"][2] == 1 + sum(every) / len(curves)
    left = [seed for seed in every if seed != 1]
    assert lines["cross_entropy"][4] == 1 + sum(left) / len(left)
    assert balance_facts(measured, "student")[:2] == [
        ("soft_labels", "0.01 at first, 0.4 in the end"), ("cross_entropy", "2 at first, 2 in the end"),
    ]  # fmt: skip


def test_the_page_has_the_drawing_and_the_weights(measured: dict[str, Any]) -> None:
    assert balanced(json.loads(json.dumps(measured))) == ["student"]
    drawn, page = balance_figure(measured, "student"), render_html(measured)
    assert drawn == balance_figure(measured, "student") and drawn in page
    for word in ("soft_labels", "cross_entropy", "logit_matching", "Cosine", "norms in the end"):
        assert word in drawn
    assert "Gradients of the terms" in page and "0.01 at first, 0.4 in the end" in page
    assert not re.search(r'(?:src|href)="http', page)


def test_without_measurements_nothing_is_said(lean: dict[str, Any]) -> None:
    for absent in ({}, {"gradients": [None] * 40}):
        lean["curves"]["student"] = [{**curve, **absent} for curve in lean["curves"]["student"]]
        assert balanced(lean) == [] and "Gradients of the terms" not in render_html(lean)


def test_one_term_alone_is_drawn_too(lean: dict[str, Any]) -> None:
    curve = {"seed": 0, "epochs": [1], "loss": [1.0], "accuracy": [0.5]}
    told = {"norms": {"cross_entropy": 2.0}, "cosines": {}, "weights": {"cross_entropy": 1.0}}
    lean["curves"]["student"] = [{**curve, "gradients": [told]}]
    assert "a single term" in balance_figure(lean, "student")
