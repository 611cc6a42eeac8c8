from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import ExportError
from limbeck.export import remedies
from limbeck.export.gate import compare, exam_of, judge
from limbeck.export.quantise import Layer, Setting
from limbeck.export.remedies import (
    Int8Request,
    is_worth_it,
    left_in_float,
    quantise_within,
    signal_to_noise,
    suffering,
)
from limbeck.export.run_onnx import Session


def request_for(planted: Any, counts: tuple[int, ...], tolerance: float = 0.01) -> Int8Request:
    inputs, labels = planted.samples(counts, seed=1)
    return Int8Request(planted.samples((64, 64, 64, 64))[0], exam_of(inputs, labels, planted.classes, tolerance))


def test_a_good_file_passes_at_once(planted: Any) -> None:
    source, target = planted.write(), planted.folder / "int8.onnx"
    request = request_for(planted, (100, 100, 100, 100))
    search = quantise_within(source, target, request)
    assert search.passed and len(search.attempts) == 1
    assert search.attempts[0].did == "ranges by smallest and largest value of 256 training samples"
    assert search.sentence.startswith("Attempt 1 passed: ranges by smallest")
    assert compare(source, target, request.exam).passed


def test_a_class_that_breaks_in_int8_is_caught_and_the_right_remedy_found(planted: Any) -> None:
    """One weight of a unit that is always 0 takes the whole range of the class's weights."""
    source, target = planted.write(dead=2000.0), planted.folder / "int8.onnx"
    request = request_for(planted, (700, 700, 12, 700))
    search = quantise_within(source, target, request)
    refused = [attempt.judgement for attempt in search.attempts[:3]]
    assert all(judged is not None and judged.loss < 0.01 and not judged.passed for judged in refused)
    assert {judged.lost_class for judged in refused if judged} == {"cat"}
    assert [attempt.setting for attempt in search.attempts] == [
        Setting("min-max"), Setting("percentile"), Setting("entropy"), search.attempts[-1].setting,
    ]  # fmt: skip
    assert search.attempts[-1].setting.in_float == ("last",)
    assert search.passed and compare(source, target, request.exam).passed


def test_where_nothing_passes_the_search_says_so_and_leaves_the_closest(
    planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = planted.write(dead=2000.0), planted.folder / "int8.onnx"
    request = request_for(planted, (100, 100, 100, 100))
    monkeypatch.setattr(remedies, "judge", lambda *given: replace(judge(*given), passed=False))
    search = quantise_within(source, target, request)
    assert not search.passed
    assert [attempt.setting.in_float for attempt in search.attempts] == [(), (), (), ("last",)]
    assert search.sentence.startswith("No int8 file ships: none of 4 attempts passed. The closest: ranges by ")
    assert "in float: last" in search.sentence
    assert compare(source, target, request.exam).agreement == 1


def test_test_samples_play_no_part_and_labels_only_that_of_the_exam(planted: Any) -> None:
    source = planted.write()
    inputs, labels = planted.samples((30, 30, 30, 30))
    wrong = Int8Request(inputs, exam_of(inputs, (labels + 1) % 4, planted.classes, 0.01))
    right = Int8Request(inputs, exam_of(inputs, labels, planted.classes, 0.01))
    for name, request in (("a", wrong), ("b", right)):
        quantise_within(source, planted.folder / name, request)
    assert (planted.folder / "a").read_bytes() == (planted.folder / "b").read_bytes()


def test_every_attempt_is_on_record_as_json(planted: Any) -> None:
    search = quantise_within(planted.write(dead=2000.0), planted.folder / "x", request_for(planted, (99, 99, 99, 99)))
    record = json.loads(json.dumps(search.to_json(), allow_nan=False))
    assert record["passed"] and record["tolerance"] == 0.01 and record["sentence"] == search.sentence
    assert [one["passed"] for one in record["attempts"]] == [False, False, False, True]
    for one in record["attempts"]:
        assert {"did", "calibration", "in_float", "bytes", "loss", "lost_class", "agreement", "sentence"} <= set(one)


def test_a_file_that_cannot_be_made_is_an_attempt_and_no_crash(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ExportError("float.onnx cannot be quantised: out of luck.")

    monkeypatch.setattr(remedies, "quantise", fail)
    search = quantise_within(planted.write(), planted.folder / "int8.onnx", request_for(planted, (9, 9, 9, 9)))
    assert not search.passed and len(search.attempts) == 3
    assert "out of luck" in search.sentence
    assert json.loads(json.dumps(search.to_json()))["attempts"][0]["passed"] is False
    assert not (planted.folder / "int8.onnx").exists()


def test_a_graph_without_layers_ships_no_int8_file(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "layers_of", lambda source: [])
    search = quantise_within(planted.write(), planted.folder / "int8.onnx", request_for(planted, (9, 9, 9, 9)))
    assert (search.passed, search.attempts) == (False, ())
    assert "no convolution or matrix product" in search.sentence


def layers(*weights: int) -> list[Layer]:
    return [Layer(f"n{place}", f"layer {place}", count) for place, count in enumerate(weights)]


def test_the_last_layer_the_first_both_then_the_most_sensitive() -> None:
    made = layers(10, 100, 100, 100, 100, 10)
    sets = [[one.node for one in kept] for kept in left_in_float(made, lambda: ["n3", "n0", "n1", "n2", "n5", "n4"])]
    assert sets == [["n5"], ["n0"], ["n0", "n5"], ["n0", "n5", "n3"]]  # with n1 too, too little would be int8
    many = layers(*[10] * 12)
    order = [f"n{place}" for place in range(12)]
    assert [len(kept) for kept in left_in_float(many, lambda: order)] == [1, 1, 2, 3, 4, 6]
    assert list(left_in_float(layers(10), list)) == []


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=15), st.randoms())
def test_half_of_the_weights_always_become_int8(weights: list[int], random: Any) -> None:
    made = layers(*weights)
    order = [layer.node for layer in made]
    random.shuffle(order)
    for kept in left_in_float(made, lambda: order):
        assert len(set(kept)) == len(kept)
        assert 2 * sum(layer.weights for layer in kept) <= sum(weights)
        assert is_worth_it(made, kept)


def test_the_layer_that_breaks_is_measured_as_the_worst(planted: Any) -> None:
    source, request = planted.write(dead=2000.0), request_for(planted, (50, 50, 50, 50))
    before = Session(source).logits_and_probabilities(request.exam.inputs)[0]
    assert suffering(source, request, before, "min-max") == ["last", "first"]


def test_signal_to_noise_in_decibels() -> None:
    before = np.full((4, 2), 10, np.float32)
    assert signal_to_noise(before, before + 1) == pytest.approx(20)
    assert signal_to_noise(before, before + 0.1) == pytest.approx(40, abs=0.01)
    assert signal_to_noise(before, before) > 200
    assert signal_to_noise(before, before * np.nan) == -np.inf


def test_the_place_of_the_target_stays_clean(planted: Any) -> None:
    quantise_within(planted.write(), planted.folder / "int8.onnx", request_for(planted, (9, 9, 9, 9)))
    assert {path.name for path in Path(planted.folder).iterdir()} == {"float.onnx", "int8.onnx"}
