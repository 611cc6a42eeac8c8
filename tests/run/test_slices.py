from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import limbeck
from limbeck.data.preprocess import Categories, Preprocessing
from limbeck.data.samples import Samples
from limbeck.data.source import ReadOptions
from limbeck.data.table import Columns, Table
from limbeck.report.slices import slice_notes
from limbeck.run.evaluation import data_of
from limbeck.run.exam import Exam, Request
from limbeck.run.pipeline import write_pages
from limbeck.run.reload import load_model
from limbeck.run.result import read_report
from limbeck.run.robust import Context
from limbeck.run.robustness import measure
from limbeck.run.slices import FEWEST, describe_slices, slices_of
from limbeck.run.subjects import Subject

NOTHING = Request(corruptions=(), samples=2000)


def pictures(pixels: torch.Tensor) -> Samples:
    count = len(pixels)
    return Samples(pixels, torch.zeros(count, dtype=torch.int64), tuple(f"s{row}" for row in range(count)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_pictures_are_sliced_by_brightness_and_contrast(seed: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(20, 200, (120, 1, 1, 1), generator=generator)
    spread = torch.randint(1, 50, (120, 1, 1, 1), generator=generator)
    noise = torch.rand(120, channels, 6, 6, generator=generator)
    samples = pictures((levels + spread * noise).to(torch.uint8))
    found = {one.name: one.rows for one in slices_of(samples, None)}
    flat = samples.inputs.flatten(1).numpy().astype(np.float64)
    assert list(found) == ["darkest quarter", "brightest quarter", "least contrast quarter", "most contrast quarter"]
    for values, low, high in ((flat.mean(1), "darkest", "brightest"), (flat.std(1), "least contrast", "most contrast")):
        below, above = found[f"{low} quarter"], found[f"{high} quarter"]
        rounding = 1e-9  # of two libraries' sums, where pictures are alike
        assert values[below].max() <= values[~below].min() + rounding
        assert values[above].min() >= values[~above].max() - rounding
        assert 30 <= below.sum() < 60 and 30 <= above.sum() < 60  # a quarter, and what is as dark as its last


def test_slices_without_a_difference_or_too_few_samples_are_none() -> None:
    assert slices_of(pictures(torch.full((120, 1, 6, 6), 7, dtype=torch.uint8)), None) == []
    assert slices_of(pictures(torch.randint(255, (FEWEST, 1, 6, 6)).to(torch.uint8)), None) == []
    assert slices_of(pictures(torch.rand(120, 64)), None) == []  # vectors, whose numbers have no name


@pytest.fixture(scope="module")
def measured(finished_run, tmp_path_factory):
    place = shutil.copytree(finished_run, tmp_path_factory.mktemp("sliced") / "run")
    measure(place, NOTHING, None, lambda _: None)
    return place


def section(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "robustness.json").read_text())
    return found


def test_accuracies_are_those_of_the_samples_of_a_slice(measured) -> None:
    found, test = section(measured)["slices"], data_of(measured)[0].test
    chosen, model = slices_of(test, None), load_model(measured / "student")
    with torch.no_grad():
        said = model(test.batch(torch.arange(len(test))).inputs).logits.argmax(1)
    right = (said == test.labels).double().numpy()
    assert found["slices"] == [{"name": one.name, "samples": int(one.rows.sum())} for one in chosen]
    assert len(chosen) == 4
    for one in chosen:
        of_seeds = found["models"]["student"][one.name]["values"]  # of which the student that was kept is one
        assert min(abs(value - right[one.rows].mean()) for value in of_seeds) < 1e-9


def test_verdicts_are_against_the_runs_control(measured) -> None:
    found = section(measured)
    verdicts = found["slices"]["verdicts"]
    assert [one["slice"] for one in verdicts] == [one["name"] for one in found["slices"]["slices"]]
    for one in verdicts:
        student, control = (
            found["slices"]["models"][key][one["slice"]]["mean"] for key in ("student", found["against"])
        )
        assert one["gain"] == pytest.approx(student - control)


def test_verdicts_are_corrected_together() -> None:
    """Twenty differences by chance and one that is real, of which only that stays."""
    draw = np.random.default_rng(3)
    texts = np.array([f"k{row % 21}" for row in range(2100)])
    table = Table(Columns((), ("kind",)), np.zeros((2100, 0), dtype=np.float32), texts[:, None].astype(object))
    samples = replace(pictures(torch.zeros(2100, 2)), raw=table)
    control = (draw.random((12, 2100)) < 0.7).astype(float)
    student = (draw.random((12, 2100)) < np.where(texts == "k7", 0.98, 0.7)).astype(float)
    subjects = [
        Subject(key, role, key, key, tuple(range(12)), key, (), ())
        for key, role in (("student", "student"), ("labels", "control"))
    ]
    exam = Exam(NOTHING, tuple(subjects), samples, Preprocessing("y", (), (Categories("kind", ()),)), None, ())
    found = describe_slices(exam, {"student": student, "labels": control}, Context(("a",), "labels", 0.005, {}, {}))
    assert [one["slice"] for one in found["verdicts"] if one["outcome"] in ("helped", "hurt")] == ["kind is k7"]
    assert slice_notes({"slices": found})[0].startswith("Kind is k7. Distillation helped")
    nobody = describe_slices(exam, {"student": control, "labels": control}, Context(("a",), "labels", 0.005, {}, {}))
    assert slice_notes({"slices": nobody}) == [
        "On none of 21 parts of the test samples is a difference to the control clear."
    ]


def test_the_pages_show_them(measured) -> None:
    write_pages(measured, read_report(measured))
    for name in ("report.md", "report.html"):
        page = (measured / name).read_text()
        assert "darkest quarter" in page and "parts of the test samples" in page


def test_a_table_is_sliced_by_its_columns(tmp_path) -> None:
    numbers = np.random.default_rng(0)
    age, city = numbers.normal(40, 9, 400), numbers.choice(["bern", "chur", "rare"], 400, p=[0.6, 0.38, 0.02])
    lines = [f"{a:.2f},{c},{'old' if a > 42 else 'young'}" for a, c in zip(age, city, strict=True)]
    (tmp_path / "people.csv").write_text("age,city,kind\n" + "\n".join(lines))
    data = limbeck.Data.open(f"csv:{tmp_path}/people.csv", test=0.5, options=ReadOptions(label="kind"))
    found = slices_of(data.test, data.preprocessing)
    assert [one.name for one in found] == ["city is bern", "city is chur", "age lowest quarter", "age highest quarter"]
    assert data.test.raw is not None
    column = data.test.raw.columns.categories.index("city")
    assert np.array_equal(found[0].rows, data.test.raw.categories[:, column] == "bern")
    assert 48 <= found[2].rows.sum() <= 52
