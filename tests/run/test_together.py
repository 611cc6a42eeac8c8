"""A whole run by two processes on this machine, and what keeps a plan from being divided."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import limbeck
from limbeck.errors import UserError
from limbeck.recipe.load import parse_recipe
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.together import divide
from limbeck.train import ranks

RECIPE = """\
name: pair
seeds: 1
data: {source: digits, labels_per_class: 20}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 3, lr: 0.05, optimizer: sgd, batch_size: 65}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 2, lr: 0.05, optimizer: sgd, batch_size: 65}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels]
export: {onnx: false}
"""


def records(run: Path) -> list[tuple[str, dict[str, float]]]:
    """Return the figures of every epoch, with the model's name."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = ("seed", "epoch", "epochs", "step", "loss", "accuracy", "lr")
    return [(one["model"], {name: one[name] for name in kept} | one["parts"]) for one in found]


def torchrun(*words: str, cache: str = "off") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "limbeck"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIMBECK_CACHE": cache}
    return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_two_processes_give_the_run_of_one(workplace: Path) -> None:
    (workplace / "pair.yaml").write_text(RECIPE)
    done = torchrun("run", "pair.yaml", "--out", "two", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["two/report.html"], "the first one alone speaks"
    assert done.stderr.count("Training the teacher") == 1
    one = limbeck.run_recipe("pair.yaml", out="one", device="cpu", progress=False)
    two = limbeck.load("two")
    assert len(records(one.folder)) == 7
    for (name, mine), (other, theirs) in zip(records(one.folder), records(two.folder), strict=True):
        assert other == name and theirs == pytest.approx(mine, rel=1e-5)
    assert one.verdict is not None and two.verdict is not None
    assert two.verdict["sentence"] == one.verdict["sentence"]
    assert two.verdict["gain"] == pytest.approx(one.verdict["gain"])
    notes = set(two.report["data"]["notes"]) - set(one.report["data"]["notes"])
    assert notes == {"Trained by 2 processes, each with a slice of every batch."}


def test_two_processes_share_the_labelling(workplace: Path) -> None:
    (workplace / "pair.yaml").write_text(RECIPE)
    done = torchrun("run", "pair.yaml", "--out", "two", "--device", "cpu", cache=str(workplace / "cache"))
    assert done.returncode == 0, done.stderr
    cost = limbeck.load("two").report["cost"]
    assert cost["teacher_forwards"] == 1438
    counted = json.loads((workplace / "two" / "knowledge.json").read_text())["forwards"]
    assert sorted(counted.values()) == [1438 - 3 * 256, 3 * 256]  # of six chunks, each process asked about three
    (store,) = (path.parent for path in (workplace / "cache" / "knowledge").glob("*/manifest.json"))
    assert len(list(store.glob("*.rows"))) == 2
    again = torchrun("label", "pair.yaml", "--device", "cpu", "--json", cache=str(workplace / "cache"))
    assert [json.loads(line)["forwards"] for line in again.stdout.splitlines()] == [0], again.stderr


def plan(*changes: tuple[str, str]) -> Plan:
    text = RECIPE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return plan_from_recipe(parse_recipe(text))


def test_one_process_takes_the_plan_as_it_is() -> None:
    mine = plan()
    assert divide(mine) is mine


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 4)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("old", "new", "who"),
    [
        ("epochs: 2, lr: 0.05, optimizer: sgd, batch_size: 65", "epochs: 2, batch_size: 3", "stage student"),
        ("epochs: 3, lr: 0.05, optimizer: sgd, batch_size: 65", "epochs: 3, batch_size: 3", "the teacher"),
    ],
)
def test_a_batch_smaller_than_the_number_of_processes(old: str, new: str, who: str) -> None:
    with pytest.raises(UserError, match=f"The batch_size of {who} is 3, and 4 processes expect 4 or more"):
        divide(plan((old, new)))


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("variable", "name"), [("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")]
)
def test_a_launch_that_divides_models(monkeypatch: pytest.MonkeyPatch, variable: str, name: str) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match=f"divides batches, not models: .* got {name}"):
        divide(plan())


@pytest.mark.usefixtures("four")
def test_batch_norm_is_noted_in_every_variant() -> None:
    swept = ("controls:", "sweep: {objective.soft_labels.temperature: [1, 2]}\ncontrols:")
    cnn = ("student: {model: {mlp: {hidden: [8]}}", "student: {model: {cnn: {width: 4}}")
    divided = divide(plan(cnn, swept))
    note = "Batch norm took its statistics from each process's slice of a batch, not from all of it."
    assert note in divided.notes
    assert len(divided.variants) == 2 and all(note in variant.plan.notes for variant in divided.variants)
    assert note not in divide(plan()).notes
