from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.recipe.load import load_recipe
from limbeck.run.plan import plan_from_recipe

HEADER = "id,age,born,city,outcome"


def write(path: Path, header: str = HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{row},{row * 7 % 11}.5,2020-01-{row + 1},{'Rome' if row % 3 else 'Oslo'},{row % 2}" for row in range(20)]
    path.write_text("\n".join([header, *lines]) + "\n")


def test_init_writes_a_recipe_for_a_table(call, workplace):
    write(workplace / "my patients.csv")

    answer = call("init", "my patients.csv", "--label", "outcome")

    assert (answer.code, answer.out) == (0, "my-patients.yaml\n")
    recipe = load_recipe(Path("my-patients.yaml"))
    assert (recipe.name, recipe.data.source, recipe.data.label) == ("my-patients", "csv:my patients.csv", "outcome")
    text = Path("my-patients.yaml").read_text()
    assert "  # 1 of numbers: age\n  # 1 of categories: city\n" in text
    assert '  # The column "id" was left out: it counts the rows, as an index does.\n' in text
    assert max(map(len, text.splitlines())) <= 120
    assert plan_from_recipe(recipe).data.shape == (3,)
    assert call("init", "my patients.csv", "--label", "outcome").code == 2
    assert call("init", "my patients.csv", "--label", "outcome", "--force").code == 0


def test_a_folder_with_a_test_file(call, workplace):
    write(workplace / "t" / "train.csv", HEADER.replace("outcome", "Class"))
    write(workplace / "t" / "test.csv", HEADER.replace("outcome", "Class"))

    assert call("init", "t").code == 0

    assert "  test:" not in Path("t.yaml").read_text()
    assert len(plan_from_recipe(load_recipe(Path("t.yaml"))).data.test) == 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("t.csv",),
            "no column is called label, target, class or y; name it by --label or data.label, one of id, age, born",
        ),
        (
            ("t.csv", "--label", "outcom"),
            'there is no column "outcom"; there are id, age, born, city, outcome. Did you',
        ),
        (("t.csv", "--label", "age"), 'the class column "age" holds 11 different numbers'),
        (
            ("photos", "--label", "y"),
            "--label is for tables, but photos is neither a CSV file nor a folder with train.csv",
        ),
        (("gone.csv",), "There is no file gone.csv"),
    ],
)
def test_tables_without_a_recipe(call, workplace, arguments, says):
    write(workplace / "t.csv")
    (workplace / "photos").mkdir()

    answer = call("init", *arguments)

    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert not list(workplace.glob("*.yaml"))
