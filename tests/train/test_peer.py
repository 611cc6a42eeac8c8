"""Two students that teach each other: both networks by hand, their checkpoint, and a peer's place in a run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run.stopping import Stopping, figures
from torch import nn
from torch.nn import functional

from limbeck.data.dataset import Data
from limbeck.errors import ObjectiveError, RecipeError, UserError
from limbeck.models.adapt import Adapted
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.recipe.model import own_classes
from limbeck.run import beside, jobs, pipeline, together
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.within import seed_of_peer
from limbeck.train import loop, ranks
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.peer import Peer
from limbeck.train.settings import Settings, build_optimizer
from limbeck.types import Batch, Knowledge, Outputs

RECIPE = """\
name: mutual
seeds: 2
data: {source: digits, classes: [3, 5, 8], labels_per_class: 30}
teacher: {mutual: {}}
student: {model: {mlp: {hidden: [6], dropout: 0.2}}, train: {steps: 24, batch_size: 64, lr: 0.01}}
objective: [soft_labels: {temperature: 1}, cross_entropy]
export: {onnx: false}
"""
STEPS = 7


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 2))


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


class Noting(Peer):
    """A peer that notes the batches that it learned from."""

    def __call__(self, batch: Batch) -> Knowledge:
        if torch.is_grad_enabled():
            self.seen = [*getattr(self, "seen", []), batch]
        return super().__call__(batch)


def by_hand(
    nets: list[nn.Module], batches: list[Batch], optimizers: list[torch.optim.Optimizer], rates: list[float]
) -> None:
    """Train two networks on each other's answers to each batch and on its labels, -1 = none (equations 5 and 6)."""
    for batch, rate in zip(batches, rates, strict=True):
        said = [one.train()(batch.inputs) for one in nets]
        for mine, optimizer, theirs in zip(said, optimizers, reversed(said), strict=True):
            other = functional.softmax(theirs.detach(), 1)
            divergence = (other * (other.log() - functional.log_softmax(mine, 1))).sum(1).mean()
            assert batch.labels is not None
            labelled = functional.cross_entropy(mine, batch.labels, ignore_index=-1)
            optimizer.zero_grad()
            (labelled + divergence).backward()  # type: ignore[no-untyped-call]
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_fit_trains_both_as_two_networks_by_hand(optimizer: str) -> None:
    torch.manual_seed(0)
    data = Data.open("digits", classes=["3", "5"])
    labels = data.visible_labels(60, 0)
    mine, theirs = net(), net()
    hands = [copy.deepcopy(mine), copy.deepcopy(theirs)]
    start = copy.deepcopy(theirs)
    student, peer = Adapted(mine, classes=2), Noting(Adapted(theirs, classes=2))
    objective = Objective([(1.0, SoftLabels(temperature=1.0)), (1.0, CrossEntropy())])
    lesson = Lesson(data.pool, data.train, torch.zeros(0, dtype=torch.int64), labels)
    settings = Settings(
        batch_size=32, optimizer=optimizer, lr=0.02, schedule="linear", weight_decay=0.1, momentum=0.9, precision="fp32"
    )  # type: ignore[arg-type]
    fit(student, objective, lesson, settings, Budget(STEPS, 3), teacher=peer)
    kinds = {
        "adamw": lambda one: torch.optim.AdamW(one.parameters(), weight_decay=0.1),
        "sgd": lambda one: torch.optim.SGD(one.parameters(), 0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    }
    rates = [0.02 * (1 - step / STEPS) for step in range(STEPS)]
    assert len(peer.seen) == STEPS
    assert any(bool((batch.labels < 0).any()) for batch in peer.seen if batch.labels is not None)
    by_hand(hands, peer.seen, [kinds[optimizer](one) for one in hands], rates)
    for found, wanted in ((mine, hands[0]), (theirs, hands[1])):
        for name, value in wanted.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], value, atol=1e-6, rtol=1e-5, msg=name)
    assert (theirs[2].weight - start[2].weight).abs().max() > 0.01  # type: ignore[index, union-attr, operator]


def test_without_gradients_it_answers_in_evaluation_mode_and_learns_nothing() -> None:
    peer, batch = Peer(Adapted(net(), classes=2)), Batch(torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1]))
    before = copy.deepcopy(peer.model.net)
    peer(batch)
    with torch.no_grad():
        said = peer(batch).logits
        statistics = peer.model.net[1].running_mean.clone()  # type: ignore[index]
        peer(batch)
    assert said is not None and not said.requires_grad
    peer.hear(Outputs(logits=torch.zeros(6, 2)))
    assert all(one.grad is None for one in peer.model.parameters())
    torch.testing.assert_close(peer.model.net[1].running_mean, statistics)  # type: ignore[index]
    assert not torch.equal(statistics, before[1].running_mean), "in training mode it does move"  # type: ignore[index]
    assert peer.asked == 18


def test_it_hears_an_answer_once() -> None:
    peer, batch = Peer(Adapted(net(), classes=2)), Batch(torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1]))
    logits = torch.zeros(6, 2, requires_grad=True)
    peer(batch)
    peer.hear(Outputs(logits=logits))
    first = [one.grad.clone() for one in peer.model.parameters() if one.grad is not None]
    peer.hear(Outputs(logits=logits))
    again = [one.grad for one in peer.model.parameters() if one.grad is not None]
    assert first and all(map(torch.equal, first, again))
    assert logits.grad is None, "the student learns by its own loss alone"


def test_the_optimizer_has_the_settings_for_both() -> None:
    settings = Settings(layer_decay=0.5, head_factor=4.0)
    first, second = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    groups = build_optimizer(settings, first, (), second).param_groups
    factors = {id(one): group["factor"] for group in groups for one in group["params"]}
    for one in (first, second):
        assert [factors[id(value)] for value in one.parameters()] == [0.5, 0.5, 4.0, 4.0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run; of each of its fits the student as it started, and the peer before and after."""
    fits: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        real = jobs.fit

        def noting(model: Adapted, *given: Any, teacher: Any, **named: Any) -> Any:
            fits[f"{named['name']} {named['seed']}"] = (copy.deepcopy(model), copy.deepcopy(teacher), teacher)
            return real(model, *given, teacher=teacher, **named)

        patched.setattr(jobs, "fit", noting)
        patched.setattr(pipeline, "render_html", lambda report: "page")
        return pipeline.run(plan_of(RECIPE), out=tmp_path_factory.mktemp("mutual") / "run"), fits


def test_each_student_has_a_peer_of_its_own_and_no_control_has_one(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, fits = finished
    assert {name for name, (_, teacher, _) in fits.items() if teacher is not None} == {"student 0", "student 1"}
    starts = [one.net.state_dict()["head.weight"] for name in ("student 0", "student 1") for one in fits[name][:1]]
    starts += [fits[name][1].model.net.state_dict()["head.weight"] for name in ("student 0", "student 1")]
    assert not any(torch.equal(one, other) for place, one in enumerate(starts) for other in starts[:place])
    assert all(before.current_fingerprint() != after.current_fingerprint() for _, before, after in [fits["student 0"]])
    report = figures(folder)
    assert set(report["models"]) == {"student", "labels", "smoothing", "self_training"}
    assert [stage["teacher"] for stage in report["stages"]] == ["peer"]
    assert report["verdict"]["gap_closed"] is None
    assert report["cost"]["teacher_forwards"] == 2 * 24 * 64, "each showing"
    assert {model["steps"] for model in report["models"].values()} == {24}
    assert {path.parent.parts[len(folder.parts)] for path in folder.rglob("*.safetensors")} == {"student", "controls"}


def test_the_report_says_how_good_the_peer_became(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, fits = finished
    plan, hits = plan_of(RECIPE), []
    for seed in (0, 1):
        peer, labels = fits[f"student {seed}"][2].model.eval(), plan.data.visible_labels(30, seed)
        rows = plan.data.validation[labels[plan.data.validation] >= 0]
        with torch.no_grad():
            top = peer(plan.data.pool.batch(rows).inputs).logits.argmax(1)
        hits.append(100 * float((top == labels[rows]).double().mean()))
        told = json.loads((folder / "student" / "seeds" / str(seed) / jobs.FIT).read_text("utf-8"))
        assert told["peer_accuracy"] == pytest.approx(hits[-1] / 100)
    wanted = f"gets {sum(hits) / 2:.1f} % of the validation samples right after its last step"
    notes = [note for note in figures(folder)["verdict"]["notes"] if "peer" in note]
    assert len(notes) == 1 and wanted in notes[0] and f"({hits[0]:.1f}, {hits[1]:.1f} by seed)" in notes[0]


@pytest.mark.parametrize("stop", [2, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    finished: tuple[Path, dict[str, Any]], stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan_of(RECIPE), out=tmp_path / "run", watcher=Stopping(stop))
    assert (tmp_path / "run" / "student" / "seeds" / "0" / jobs.CHECKPOINT).is_file()
    resumed = pipeline.run(plan_of(RECIPE), out=tmp_path / "run", resume=True)
    for path in finished[0].rglob("*.safetensors"):
        assert (resumed / path.relative_to(finished[0])).read_bytes() == path.read_bytes(), path
    assert figures(resumed)["models"] == figures(finished[0])["models"]
    assert figures(resumed)["verdict"] == figures(finished[0])["verdict"], "the peer's accuracy as well"


def test_the_peer_may_be_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> None:
    heard: list[Peer] = []
    real = jobs.fit

    def noting(*given: Any, **named: Any) -> Any:
        heard.extend([named["teacher"]] if named["teacher"] is not None else [])
        return real(*given, **named)

    monkeypatch.setattr(jobs, "fit", noting)
    stages = """
stages:
  - {name: first, from: scratch, objective: [soft_labels, cross_entropy]}
  - {name: second, from: scratch, teacher: first, objective: [soft_labels, cross_entropy]}
"""
    text = RECIPE.replace("objective: [soft_labels: {temperature: 1}, cross_entropy]", stages).replace(
        "seeds: 2", "seeds: 1"
    )
    text = text.replace("mutual: {}", "mutual: {model: {mlp: {hidden: [9, 4]}}}").replace("steps: 24", "steps: 6")
    report = figures(pipeline.run(plan_of(text), out=tmp_path / "run"))
    assert [type(one) is Peer for one in heard] == [True, False], "a stage with a teacher of its own hears that one"
    assert sum(value.numel() for value in heard[0].model.parameters()) == 64 * 9 + 9 + 9 * 4 + 4 + 4 * 3 + 3
    assert [stage["teacher"] for stage in report["stages"]] == ["peer", "first"]


def test_helpers_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> None:
    monkeypatch.setattr(beside, "WORTH_STEPS", 1)
    monkeypatch.setattr(beside.Helpers, "_start", lambda *given: pytest.fail("a live teacher uses all threads"))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pipeline.run(plan_of(RECIPE.replace("steps: 24", "steps: 4")), out=tmp_path / "run")
    finally:
        torch.set_num_threads(threads)


def test_check_finds_no_fault() -> None:
    assert not [finding for finding in preflight(plan_of(RECIPE)) if finding.level == "fault"]


def test_a_peers_seed_is_no_seed_of_the_run() -> None:
    found = {seed_of_peer(seed) for seed in range(200)}
    assert len(found) == 200 and min(found) > 10**6


def test_hard_labels_of_a_peer_are_no_control() -> None:
    made = plan_of(RECIPE + "controls: [labels, teacher_labels]\n")
    assert made.controls == ("labels",)
    assert made.notes == ("The control teacher_labels was left out: no term asks a finished model.",)


def test_a_class_of_the_users_own_is_asked_about() -> None:
    assert own_classes(parse_recipe(RECIPE.replace("{}", "{model: 'my.nets:Net'}"))) == ["my.nets:Net"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("mutual: {}", "mutual: {modl: mlp}"), 'teacher.mutual.modl .*: unknown key. Did you mean "model"?'),
        (("mutual: {}", "mutual: {}, model: mlp"), "model does not go with mutual"),
        (("mutual: {}", "mutual: {}, source: 'run:x'"), "source does not go with mutual"),
        (("mutual: {}", "mutual: {}, self: {}"), "mutual does not go with self"),
        (("mutual: {}", "mutual: {}, ensemble: [{model: mlp}, {model: mlp}]"), "mutual does not go with ensemble"),
        (("mutual: {}", "mutual: {}, per_seed: true"), "per_seed does not go with mutual"),
        (("mutual: {}", "mutual: {}, input: {scale: 255}"), "input does not go with mutual"),
        (("lr: 0.01", "lr: 0.01, accumulate: 2"), "train.accumulate is 2, but the peer .* set it to 1"),
        (("export:", "knowledge: {mode: stored}\nexport:"), "knowledge.mode is about kept answers.* leave it out"),
        (("export:", "knowledge: {top_k: 2}\nexport:"), "knowledge.top_k is about kept answers.* leave it out"),
        (("export:", "knowledge: {path: x}\nexport:"), "knowledge.path is about kept answers.* leave it out"),
        (("student: {", "student: {source: teacher, "), "student.source: teacher starts from layers of the teacher"),
    ],
)
def test_mistakes_get_a_sentence(change: tuple[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(RECIPE.replace(*change))


def test_labels_that_are_no_classes_are_refused() -> None:
    text = RECIPE.replace(
        "source: digits, classes: [3, 5, 8], labels_per_class: 30", "source: diabetes, task: regression"
    )
    text = text.replace("[soft_labels: {temperature: 1}, cross_entropy]", "[soft_regression, squared_error]")
    with pytest.raises(RecipeError, match="two classifiers teach each other, got task 'regression'"):
        parse_recipe(text)


def test_live_answers_may_be_wished_for() -> None:
    assert parse_recipe(RECIPE + "knowledge: {mode: live}\n").teacher is not None


def test_terms_on_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="hint needs features from the teacher, which gives labels and logits"):
        pipeline.run(plan_of(RECIPE.replace("[soft_labels: {temperature: 1}", "[hint: {}")), out=tmp_path / "run")


def test_trees_are_refused() -> None:
    with pytest.raises(UserError, match="two networks learn step by step, but forest.* is grown in one"):
        plan_of(RECIPE.replace("mutual: {}", "mutual: {model: forest}"))


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    with pytest.raises(UserError, match="trains the peer in one process, and 2 were started"):
        together.divide(plan_of(RECIPE))
