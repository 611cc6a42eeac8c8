from __future__ import annotations

import json

import pytest

import limbeck
from limbeck.errors import FolderError


def test_finished_run(finished_run):
    result = limbeck.load(str(finished_run))

    assert result.report == json.loads((finished_run / "report.json").read_text())
    assert result.verdict == result.report["verdict"]
    assert repr(result) == f"Result({finished_run}: {result.verdict['sentence']})"
    assert result.student is result.student


def test_notebook_shows_the_verdict(finished_run):
    from html import unescape

    html = limbeck.load(finished_run)._repr_html_()

    assert limbeck.load(finished_run).verdict["sentence"] in unescape(html)
    assert "http" not in html.replace("http://www.w3.org", "")


def test_run_without_controls():
    result = limbeck.Result(finished := __import__("pathlib").Path("x"), {"verdict": None})

    assert repr(result) == f"Result({finished}: no verdict: there were no controls)"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "has no report.json: expected the folder of a finished run, such as runs/digits"),
        ("{", "is not readable"),
        ("[]", "has schema None; this version of Limbeck reads schema 1"),
        ('{"schema": 2}', "has schema 2; this version of Limbeck reads schema 1"),
    ],
)
def test_no_finished_run(tmp_path, content, says):
    if content is not None:
        (tmp_path / "report.json").write_text(content)

    with pytest.raises(FolderError, match=says):
        limbeck.load(tmp_path)
