from __future__ import annotations

import pytest

import limbeck.models
import limbeck.objectives
from limbeck.errors import UserError
from limbeck.models.library import LIBRARIES
from limbeck.recipe.listing import architectures, terms
from limbeck.recipe.shipped import shipped


def test_every_term_is_listed_with_its_options():
    listed = {row["name"]: row for row in terms()}

    assert len(listed) == len(limbeck.objectives.__all__)
    assert listed["soft_labels"]["options"].startswith("temperature (")
    assert all(row["summary"].endswith(".") or row["summary"] for row in listed.values())


def test_every_architecture_is_listed_with_its_options():
    listed = {row["name"]: row for row in architectures()}

    assert listed.keys() == {name.lower() for name in limbeck.models.__all__} | LIBRARIES.keys()
    assert listed["timm"]["options"] == "name, size (None), pretrained (False), weights (None)"
    assert listed["linear"]["options"] == ""
    assert "hidden ((64,))" in listed["mlp"]["options"]


def test_shipped_recipe_is_found():
    assert shipped("demo.yaml").is_file()


def test_shipped_recipe_that_is_not_there():
    with pytest.raises(UserError, match=r"There is no shipped recipe 'dmo.yaml'. Did you mean \"demo.yaml\"\?"):
        shipped("dmo.yaml")
