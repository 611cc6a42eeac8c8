from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("report_sample", Path(__file__).with_name("sample.py"))
sample = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sample)


@pytest.fixture
def report() -> dict[str, Any]:
    """A fresh sample report that a test may change."""
    return sample.sample_report()


@pytest.fixture
def lean(report: dict[str, Any]) -> dict[str, Any]:
    """A sample report with the student's drawings only, for tests that make a page of their own."""
    for part in ("curves", "reliability", "confusion"):
        report[part] = {"student": report[part]["student"]}
    return report


@pytest.fixture(scope="session")
def page_text() -> str:
    """The page of the unchanged sample report."""
    from limbeck.report.html import render_html

    return render_html(sample.sample_report())


@pytest.fixture
def make_report() -> Any:
    """The maker of sample reports, for other classes and seeds."""
    return sample.sample_report
