from __future__ import annotations

import pytest

from limbeck.errors import RecipeError
from limbeck.recipe.choices import MODELS
from limbeck.recipe.load import parse_recipe

BASE = "student: {model: mlp}\nteacher: {model: mlp}\nobjective: [soft_labels]\n"


def mistakes(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("data: {views: 0}", "data.views (line 4): expected 1 or more, or 'fresh', got 0."),
        (
            "data: {views: frsh}",
            "data.views (line 4): expected a whole number, or 'fresh', got 'frsh'. Did you mean \"fresh\"?",
        ),
        ("data: {size: -3}", "data.size (line 4): expected 1 or more, or a list, got -3."),
        ("data: {size: [8, 0]}", "data.size.1 (line 4): expected 1 or more, got 0."),
        ("data: {size: {a: 1}}", "data.size (line 4): expected a whole number, or a list, got a section of keys."),
        ("data: digits", "data (line 4): expected a section of keys, got 'digits'."),
        ("data: {classes: a}", "data.classes (line 4): expected a list, got 'a'."),
        ("seeds: 1.5", "seeds (line 4): expected a whole number, got 1.5."),
        ("seeds: 101", "seeds (line 4): expected 100 or less, got 101."),
        ("margin: .nan", "margin (line 4): expected a finite number, got nan."),
        ("name: [a]", "name (line 4): expected text, got a list."),
        ("name: ''", "name (line 4): expected some text, got ''."),
        ("name: a/b", "name (line 4): expected text that matches ^[A-Za-z0-9][A-Za-z0-9._-]*$, got 'a/b'."),
        ("seed: 2024-01-01", "seed (line 4): expected a whole number, got 2024-01-01."),
        ("export: {onnx: maybe}", "export.onnx (line 4): expected true or false, got 'maybe'."),
        (
            "export: {onnx: false, int8: true}",
            "export (line 4): int8: true needs onnx: true, since the int8 file is made from the ONNX file, got false.",
        ),
        ("export: {int8: true, tolerance: 1.5}", "export.tolerance (line 4): expected 1 or less, got 1.5."),
        ("export: {int8: true, tolerance: -1}", "export.tolerance (line 4): expected 0 or more, got -1."),
        ("export: {in8: true}", 'export.in8 (line 4): unknown key. Did you mean "int8"?'),
        ("export:", "export (line 4): expected a section of keys, got nothing."),
        (
            "controls: [label]",
            "controls.0 (line 4): expected 'labels', 'smoothing', 'teacher_labels', 'self_training', 'source_only', "
            "'adversarial', 'trades', 'scratch', 'single', 'gaussian_noise', 'uniform_noise', 'matched_noise' or "
            "'proxy', got 'label'. Did you mean \"labels\"?",
        ),
        ("1: 2", "1: expected a key that is text, got 1."),
    ],
)
def test_one_sentence_for_one_place(line, says):
    assert mistakes(BASE + line) == [says]


@pytest.mark.parametrize(
    ("student", "says"),
    [
        ("3", "student (line 1): expected a section of keys, got 3."),
        ("{model: mpl}", 'student.model.mpl (line 1): unknown key. Did you mean "mlp"?'),
        ("{model: gpt}", "student.model.gpt (line 1): unknown key. Known here: {MODELS}."),
        (
            "{model: [mlp]}",
            "student.model (line 1): expected one of {MODELS}, got a list.",
        ),
        ("{model: {mlp: 3}}", "student.model.mlp (line 1): expected a section of keys, got 3."),
        ("{model: {mlp: {hidden: 3}}}", "student.model.mlp.hidden (line 1): expected a list, got 3."),
        (
            "{model: {mlp: {}, cnn: {}}}",
            "student.model (line 1): expected exactly one of {MODELS}.",
        ),
        (
            "{model: mlp, normalise: x}",
            "student.normalise (line 1): expected 'data' or 'none', or a section of keys, got 'x'.",
        ),
        ("{model: mlp, normalise: {mean: [1]}}", "student.normalise.std (line 1): missing, and it has no default."),
        (
            "{model: mlp, normalise: {mean: [1], std: [0]}}",
            "student.normalise.std.0 (line 1): expected more than 0, got 0.",
        ),
        (
            "{model: mlp, source: 'hf:x'}",
            "student (line 1): source expects 'file:WEIGHTS.safetensors', 'run:DIR' or 'teacher', got 'hf:x'.",
        ),
    ],
)
def test_student(student, says):
    says = says.replace("{MODELS}", ", ".join(sorted(MODELS)))

    assert mistakes(f"student: {student}\nobjective: [cross_entropy]") == [says]


def test_a_list_is_not_blamed_for_what_is_in_it():
    assert mistakes("student: {model: mlp}\nobjective: [cross_entropy: {weight: x}]") == [
        "objective.0.cross_entropy.weight (line 2): expected a number, or a section of keys, got 'x'."
    ]


def test_empty_objective():
    assert mistakes("student: {model: mlp}\nobjective: []") == [
        "objective (line 2): expected a list of 1 or more, got a list."
    ]
