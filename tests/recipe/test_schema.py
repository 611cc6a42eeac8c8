"""What the JSON Schema of a recipe says about its keys."""

from __future__ import annotations

import pytest

from limbeck.recipe.model import Recipe
from limbeck.recipe.schema import meanings, section_of

ONE_LINE = """A thing.

    width: of a stage; depth: how
    many. Returns logits.
    """
A_LINE_EACH = """
    size: pixels, or
    [height, width].
    kind: grey; or colour.
    """


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("A thing.", {}),
        ("See http://x.y for more; or note: this.", {}),
        (ONE_LINE, {"width": "of a stage", "depth": "how many"}),
        (A_LINE_EACH, {"size": "pixels, or [height, width]", "kind": "grey; or colour"}),
    ],
)
def test_meanings(docstring, found):
    assert meanings(docstring) == found


def test_a_constructors_argument_is_described():
    class Made:
        """A thing.

        width: of a stage.
        """

        def __init__(self, width: int = 3) -> None:
            self.width = width

    properties = section_of(Made).model_json_schema()["properties"]

    assert properties["width"] == {"default": 3, "description": "of a stage", "title": "Width", "type": "integer"}


def test_keys_of_every_kind_are_described():
    schema = Recipe.model_json_schema()

    assert schema["properties"]["seeds"]["description"].startswith("how often")
    assert schema["$defs"]["StageSection"]["properties"]["from"]["description"].startswith("the earlier stage")
    teacher = schema["$defs"]["TeacherTrainSection"]["properties"]
    assert teacher["augment"]["description"].startswith("its own augmentation")
    assert teacher["epochs"]["description"] == "passes over the transfer set"
