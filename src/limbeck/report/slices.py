"""Slices on the page: clean accuracy on parts of the test samples, and on which of them student and control differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import numbers
from limbeck.report.tables import Group, Row, accuracy_cell

Report = Mapping[str, Any]


def slice_group(section: Report) -> Group:
    """Return a row for each slice, all models side by side; section: the report's, on robustness."""
    found = section.get("slices") or {"slices": [], "models": {}}
    rows = [
        Row(one["name"], "", [accuracy_cell(found["models"][key][one["name"]]) for key in section["models"]],
            f"{numbers.count(one['samples'])} samples")
        for one in found["slices"]
    ]  # fmt: skip
    return Group("Clean accuracy on parts of the test samples", rows)


def slice_notes(section: Report | None) -> list[str]:
    """Return what is clear about slices, after a correction for as many questions; [] where nobody was compared."""
    verdicts = [] if section is None else (section.get("slices") or {"verdicts": []})["verdicts"]
    clear = [one for one in verdicts if one["outcome"] in ("helped", "hurt")]
    if verdicts and not clear:
        return [f"On none of {len(verdicts)} parts of the test samples is a difference to the control clear."]
    return [f"{one['slice'].capitalize()}. {one['sentence']}" for one in clear]
