"""A teacher known by its answers alone goes through the preflight too."""

from __future__ import annotations

from pathlib import Path

import limbeck
from limbeck.models import MLP


def test_a_bundle_as_teacher_gives_no_false_fault(finished_run: Path) -> None:
    data = limbeck.Data.open("digits")
    file = finished_run / "export" / "student.onnx"
    found = limbeck.check(f"onnx:{file}", lambda: MLP((1, 8, 8), 10, hidden=[8]), data, seeds=1)
    assert [finding for finding in found if finding.level == "fault"] == []
    assert "learning_rate" in {finding.name for finding in found}


def test_a_term_that_the_answers_cannot_serve_is_a_fault(finished_run: Path, tmp_path: Path) -> None:
    rows = ["id,label", *(f"{name},0" for name in limbeck.Data.open("digits").pool.ids)]
    (tmp_path / "answers.csv").write_text("\n".join(rows))
    found = limbeck.check(
        f"labels:{tmp_path / 'answers.csv'}",
        lambda: MLP((1, 8, 8), 10, hidden=[8]),
        limbeck.Data.open("digits"),
        seeds=1,
    )
    assert any(finding.level == "fault" and "teacher_labels" in finding.sentence for finding in found)
