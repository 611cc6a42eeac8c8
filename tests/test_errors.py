from __future__ import annotations

import inspect

import pytest

from limbeck import errors
from limbeck.errors import Failure, LimbeckError, RecipeError, UserError, did_you_mean

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_a_users_mistake_ends_with_2_and_a_failure_with_1() -> None:
    codes = {kind.__name__: kind.exit_code for kind in KINDS}
    assert codes == {
        "LimbeckError": 1,
        "UserError": 2,
        "RecipeError": 2,
        "DataError": 2,
        "ModelError": 2,
        "ObjectiveError": 2,
        "FolderError": 2,
        "Failure": 1,
        "DiskError": 1,
        "TrainingError": 1,
        "LostError": 1,
        "TeacherError": 1,
        "BudgetError": 1,
        "ExportError": 1,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_in_the_tree_of_the_docstring(kind: type[LimbeckError]) -> None:
    assert issubclass(kind, LimbeckError)
    assert kind in (LimbeckError, UserError, Failure) or issubclass(kind, (UserError, Failure))
    assert errors.__doc__ is not None and f" {kind.__name__}" in errors.__doc__.replace("\n", " ")


def test_a_recipe_error_lists_every_mistake() -> None:
    error = RecipeError(["first", "second"], "demo.yaml")
    assert str(error) == "demo.yaml: 2 mistakes\n  first\n  second"
    assert error.mistakes == ["first", "second"] and error.source == "demo.yaml"
    assert str(RecipeError(["only"])) == "recipe: 1 mistake\n  only"


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("eposch", ' Did you mean "epochs"?'), ("batchsize", ' Did you mean "batch_size"?'), ("zzz", ""), ("", "")],
)
def test_did_you_mean(word: str, wanted: str) -> None:
    assert did_you_mean(word, ["epochs", "batch_size", "lr"]) == wanted
    assert did_you_mean(word, []) == ""
