from __future__ import annotations

import json

from limbeck.recipe.choices import MODELS
from limbeck.recipe.model import Recipe


def test_check_says_what_was_measured(call, tiny):
    answer = call("check", tiny)

    assert answer.code == 0
    assert answer.err == ""
    assert max(map(len, answer.out.splitlines())) <= 80
    for name in ("splits", "classes", "capacity", "learning_rate", "time", "memory", "disk"):
        assert name in answer.out
    assert list(tiny.parent.iterdir()) == [tiny]


def test_a_fault_is_exit_code_two(call, tiny):
    weights = ("objective.soft_labels.weight=0", "objective.cross_entropy.weight=0")
    answer = call("check", tiny, "--json", *(f"--set={weight}" for weight in weights))

    findings = json.loads(answer.out)
    assert answer.code == 2
    assert findings[0]["level"] == "fault"
    assert {"level": "fault", "name": "objective", "sentence": "Every term of stage student has weight 0."} in findings


def test_a_mistake_in_the_recipe_is_a_sentence(call, tiny):
    answer = call("check", tiny, "--set", "seeds=0")

    assert (answer.code, answer.out) == (2, "")
    assert "seeds" in answer.err


def test_schema_describes_a_recipe(call):
    schema = json.loads(call("schema").out)

    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == {*Recipe.model_fields}
    assert schema["required"] == ["student"]


def test_schema_takes_a_bare_name_or_one_with_options():
    name, own, options = Recipe.model_json_schema()["$defs"]["Model"]["anyOf"]

    assert name == {"type": "string", "enum": sorted(MODELS)}
    assert (options["minProperties"], options["maxProperties"], options["additionalProperties"]) == (1, 1, False)
    assert options["properties"].keys() == MODELS.keys()
    assert (own["type"], [own["pattern"]]) == ("string", list(options["patternProperties"]))


def test_teacher_of_a_run_is_judged(call, tiny, finished_run):
    answer = call("check", tiny, "--json", "--set", f"teacher={{source: 'run:{finished_run}'}}")

    findings = {finding["name"]: finding for finding in json.loads(answer.out)}
    assert answer.code == 0
    assert findings["teacher_accuracy"]["level"] == "note"
