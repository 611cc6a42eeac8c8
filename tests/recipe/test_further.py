"""Several tasks in a recipe: what is read, and a sentence for each mistake."""

from __future__ import annotations

import pytest

from limbeck.errors import RecipeError
from limbeck.recipe.load import dump_recipe, parse_recipe

RECIPE = """\
data: {source: digits}
tasks:
  parity:
    classes: {even: [0, 2, 4, 6, 8], odd: [1, 3, 5, 7, 9]}
    teacher: {model: mlp, train: {steps: 5}}
  size: {classes: {small: [0, 1], large: [8, 9]}}
teacher: {model: mlp}
student: {model: mlp}
objective:
  - soft_labels
  - soft_labels: {task: parity, weight: 0.5}
  - cross_entropy: {task: size}
balance: uncertainty
"""


def test_names_of_classes_are_text_and_terms_name_their_task() -> None:
    recipe = parse_recipe(RECIPE)
    assert recipe.tasks is not None and recipe.objective is not None
    assert recipe.tasks["size"].classes == {"small": ("0", "1"), "large": ("8", "9")}
    assert [term.options["task"] for term in recipe.objective] == [None, "parity", "size"]
    assert dump_recipe(parse_recipe(dump_recipe(recipe))) == dump_recipe(recipe)


def test_a_term_on_labels_needs_no_teacher_of_its_task() -> None:
    parse_recipe(RECIPE, ["tasks.parity.teacher=null", "objective=[cross_entropy, cross_entropy: {task: size}, "
                          "cross_entropy: {task: parity}]", "teacher=null"])  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("tasks=null", "soft_labels is about the task 'parity', but there is no `tasks` section"),
        (
            "objective=[soft_labels, soft_labels: {task: party}, cross_entropy: {task: size}]",
            "soft_labels: there is no task 'party'. Did you mean \"parity\"? There are parity, size.",
        ),
        (
            "objective=[soft_labels, soft_labels: {task: parity}]",
            "tasks.size: no term is about it; give one `task: size`",
        ),
        (
            "objective=[soft_labels: {task: parity}, cross_entropy: {task: size}]",
            "no term is about the main task, the classes of the data",
        ),
        (
            "objective=[soft_labels, soft_labels: {task: parity}, hint: {task: size}]",
            "hint is about what all tasks share",
        ),
        ("tasks.size.classes={small: [0, 1]}", "expected a list of 2 or more"),
        ("tasks.size.classes={small: [0, 1], large: [1]}", "'1' is named twice; a sample has one class in each task"),
        ("tasks.size.classes={small: 0, large: [1]}", "tasks.size.classes.small"),
        ("tasks.size.teacher={model: mlp}", "tasks.size.teacher: no term about this task asks a teacher; leave it out"),
        (
            "tasks.parity.teacher=null",
            "soft_labels of the task parity needs a teacher, but tasks.parity has no teacher section",
        ),
        (
            "tasks.parity.teacher={source: 'onnx:a.onnx'}",
            "is trained here or comes from run: or file:, got one from onnx:",
        ),
        ("tasks.parity.teacher={ensemble: []}", "unknown key"),
        ("tasks.parity.teacher={train: {steps: 5}}", "expected model (to train it here) or source"),
        ("tasks.main={classes: {a: [0], b: [1]}}", "tasks: expected names of a-z, 0-9 and _"),
        ("tasks.Size={classes: {a: [0], b: [1]}}", "other than main and source, got 'Size'"),
        ("teacher={self: {}}", "each task has a teacher that is there before the student"),
        ("teacher={mutual: {}}", "each task has a teacher that is there before the student"),
        ("knowledge.path=answers", "knowledge.path names one folder, but each teacher has one of its own"),
        (
            "objective=[shared_classifier, soft_labels: {task: parity}, cross_entropy: {task: size}]",
            "shared_classifier puts another classifier where the heads of the tasks are",
        ),
        ("data.generated={}", "generated samples have labels of no task"),
    ],
)
def test_a_mistake_gets_a_sentence(setting: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RECIPE, [setting])
    assert told in str(caught.value)


def test_tasks_name_a_class_and_stages_know_no_other_teachers() -> None:
    with pytest.raises(RecipeError, match="each of several tasks names a class, got data.task 'regression'"):
        parse_recipe(
            "data: {source: diabetes, task: regression}\nstudent: {model: mlp}\nobjective: [squared_error]\n"
            "tasks: {size: {classes: {a: [x], b: [y]}}}"
        )
    stages = "stages=[{name: a, objective: [cross_entropy]}, {name: b, teacher: a, objective: [soft_labels]}]"
    with pytest.raises(RecipeError, match="know the main task alone; got one in stage b"):
        parse_recipe(RECIPE, ["objective=null", "balance=none", stages])
    with pytest.raises(RecipeError, match="balance: uncertainty weighs tasks against each other"):
        parse_recipe("student: {model: mlp}\nobjective: [cross_entropy]\nbalance: uncertainty")
