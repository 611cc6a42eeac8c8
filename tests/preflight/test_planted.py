"""Every fault of the benchmark once, and ten clean cases; the benchmark has ten seeds and a hundred."""

from __future__ import annotations

import importlib
import random

import numpy as np
import pytest
import torch

from limbeck.preflight.checks import preflight
from limbeck.preflight.finding import has_fault
from limbeck.recipe.load import parse_recipe
from limbeck.run.plan import plan_from_recipe

planted = importlib.import_module("planted")


def alarms(findings):
    return {finding.name for finding in findings if finding.level != "note"}


@pytest.mark.parametrize("number", range(len(planted.FAULTS)), ids=lambda n: planted.FAULTS[n].plant.__name__)
def test_fault_is_found_and_named(number):
    fault = planted.FAULTS[number]
    found = fault.plant(planted.sound(number % 2, fault.kind)).check()

    assert alarms(found) & set(fault.names)


@pytest.mark.parametrize("seed", [10 * n + kind for n in range(1, 6) for kind in (0, 1)])
def test_no_alarm_in_a_clean_run(seed):
    found = planted.sound(seed).check()

    assert alarms(found) == set()
    assert not has_fault(found)
    names = {finding.name for finding in found}
    assert {"splits", "classes", "capacity", "teacher_accuracy", "learning_rate", "time", "memory", "disk"} <= names


def test_what_was_noted_on_reading_is_passed_on(tmp_path):
    lines = ["size,name,label"] + [f"{row % 7},who{row},{'ab'[row % 2]}" for row in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = f"data: {{source: 'csv:{tmp_path}/t.csv'}}\nstudent: {{model: linear}}\nobjective: [cross_entropy]\n"
    found = preflight(plan_from_recipe(parse_recipe(recipe)))
    told = [finding.sentence for finding in found if finding.name == "reading"]
    assert any('"name"' in text for text in told), told


def test_what_is_checked_stays_as_it_is():
    case = planted.sound(0)
    before = {name: value.clone() for name, value in case.teacher.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)

    case.teacher.train()
    case.check()

    assert torch.equal(torch.rand(3), expected)
    assert case.teacher.training
    assert all(torch.equal(value, before[name]) for name, value in case.teacher.state_dict().items())


def test_labels_of_test_samples_are_not_read():
    case = planted.sound(10)
    shuffled = planted.replace(case, test_y=np.random.default_rng(0).permutation(case.test_y))

    assert [f for f in case.check() if f.name not in ("time", "memory", "disk")] == [
        f for f in shuffled.check() if f.name not in ("time", "memory", "disk")
    ]


def test_permutation_is_told():
    found = {f.name: f.sentence for f in planted.labels_off_by_one(planted.sound(0)).check()}

    assert "labels are off by one" in found["class_order"]


def test_normalisation_that_would_be_right_is_told():
    found = {f.name: f.sentence for f in planted.imagenets_normalisation(planted.sound(0)).check()}

    assert "set teacher.normalise (in Python teacher_normalise) to data" in found["normalisation"]


def test_worst_comes_first():
    levels = [finding.level for finding in planted.dead_layer(planted.labels_noisy(planted.sound(0))).check()]

    assert levels == sorted(levels, key=("fault", "warning", "note").index)
    assert {"fault", "warning", "note"} == set(levels)


def test_state_of_other_generators_is_left_alone():
    random.seed(3)
    np.random.seed(3)
    expected = random.Random(3).random(), np.random.RandomState(3).rand()

    planted.sound(11).check()

    assert (random.random(), np.random.rand()) == expected
