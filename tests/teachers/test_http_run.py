"""Whole runs with a teacher behind an address: no stored answer is asked for again, and no budget is passed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import limbeck
from limbeck.errors import BudgetError, ObjectiveError, RecipeError, TeacherError, UserError
from limbeck.knowledge.store import Store
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run.label import label, verify_with
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.watch import Silent
from limbeck.types import Batch

RECIPE = """\
name: far
seeds: 1
data: {{source: digits, classes: [3, 8, 9], validation: 0.2}}
teacher: {{source: '{url}', http: {{batch_size: 64, backoff: 0.0, read: 10, whole: 20}}}}
student: {{model: {{mlp: {{hidden: [8]}}}}, train: {{steps: 20, lr: 0.01}}}}
objective: [soft_labels: {{weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels]
export: {{onnx: false}}
"""
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("quick_page")

Make = Callable[..., Plan]


def nearest(samples: np.ndarray) -> np.ndarray:
    """Logits [n, 3] of samples by their distance to the mean of each class: a model of some use."""
    known = load_digits()
    means = np.stack([known.data[known.target == digit].mean(0) / 16 for digit in (3, 8, 9)])
    return -((samples.reshape(len(samples), 1, 64) - means) ** 2).sum(2)


@pytest.fixture
def far(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make the plan of the recipe with changes, its answers in a cache of its own."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    server.answer = nearest

    def make(*overrides: str, url: str = "") -> Plan:
        return plan_from_recipe(parse_recipe(RECIPE.format(url=url or server.v2), overrides))

    return make


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def once(counted: Counter[bytes]) -> bool:
    return set(counted.values()) == {1}


def stored(place: Path) -> int:
    return sum(len(Store(one.parent)) for one in (place / "cache" / "knowledge").glob("*/manifest.json"))


FAULTS = ["status 503", "", "status 429 0", "shape", "", "nan", "truncated", "", "hang up", "", "html", "sum", "rows"]


def test_a_run_through_all_faults_ends_right(server: Any, far: Make, tmp_path: Path) -> None:
    server.faults = list(FAULTS)
    plan = far("teacher.http.budget=3000")
    data, found = plan.data, report_of(run(plan, out=tmp_path / "run"))
    wanted = len(data.train) + len(data.test)
    assert once(server.answered) and len(server.answered) == wanted == stored(tmp_path)
    cost = found["cost"]
    assert cost["teacher_queries"] == {
        "samples": sum(server.attempts), "requests": len(server.attempts) + 1, "ever": sum(server.attempts),
        "budget": 3000,
    }  # fmt: skip
    assert sum(server.attempts) > wanted and cost["teacher_spot_checks"] == 0
    assert cost["teacher_forwards"] == len(data.train) - 4, "without the four that a run begins with, and the tests"
    assert cost["knowledge"].startswith("The teacher's answers: stored, since every question counts; 4 of")
    assert found["models"]["teacher"]["metrics"]["accuracy"]["mean"] > 0.85
    assert "Sent to the teacher's server" in (tmp_path / "run" / "report.md").read_text()
    assert f"{sum(server.attempts):,} samples in {len(server.attempts) + 1:,} requests" in (
        tmp_path / "run" / "report.md"
    ).read_text().replace("\u202f", ",")


def test_samples_that_evolve_by_its_answers_are_asked_about_by_no_later_run_again(
    server: Any, far: Make, tmp_path: Path
) -> None:
    made = "data.generated={preset: evolution, pool: 90, queries: 900}"
    settings = (made, "controls=[gaussian_noise]", "objective=[soft_labels]", "data.validation=0.1")
    first = report_of(run(far(*settings), out=tmp_path / "first"))
    assert first["generated"]["questions"] == 900
    asked = server.answered.copy()
    twice = [sample for sample, count in asked.items() if count > 1]
    assert max(asked.values()) == 2 and len(twice) <= 90, "the finished pool alone, as the student's own"
    run(far(*settings), out=tmp_path / "second")
    assert server.answered == asked


def test_the_student_learns_what_the_server_says(server: Any, far: Make, tmp_path: Path) -> None:
    plan = far()
    teacher = plan.black_box.open(plan.data.pool, plan.data.train)
    rows = plan.data.train[[5, 1, 5, 9]]
    said = teacher(plan.data.pool.batch(rows)).logits
    wanted = torch.from_numpy(nearest(plan.data.pool.batch(rows).inputs.double().numpy())).log_softmax(1)
    torch.testing.assert_close(said.exp(), wanted.exp().float(), rtol=5e-3, atol=1e-3)
    assert server.attempts == [3], "equal samples are asked about once"
    with pytest.raises(ObjectiveError, match="logit_matching needs logits"):
        run(far("objective=[logit_matching]"), out=tmp_path / "no")


def test_later_runs_ask_nothing(server: Any, far: Make, tmp_path: Path) -> None:
    first = report_of(run(far(), out=tmp_path / "1"))
    asked = len(server.attempts)
    again = report_of(run(far("student.train.steps=10", "seeds=2", "teacher.http.retries=1"), out=tmp_path / "2"))
    swapped = "teacher.classes={names: [a, b, c], map: {a: 3, b: 8, c: 9}}"
    named = report_of(run(far(swapped, "teacher.http.batch_size=7"), out=tmp_path / "3"))
    assert again["cost"]["teacher_queries"]["samples"] == again["cost"]["teacher_forwards"] == 0
    assert len(server.attempts) > asked, "names are part of what a teacher is"
    asked = len(server.attempts)
    other = "teacher.classes={names: [a, b, c], map: {a: 3, b: 8}}"
    found = report_of(run(far(other, "controls=[]"), out=tmp_path / "4"))
    assert len(server.attempts) == asked, "another map of the same answers asks nothing"
    assert "lie on classes that stand for none of yours" in str(found["data"]["notes"])
    assert first["models"]["student"]["checksum"] == named["models"]["student"]["checksum"]
    run(far("teacher.http.label=June"), out=tmp_path / "5")
    assert len(server.attempts) > asked


def test_views_are_asked_about_once_each(server: Any, far: Make, tmp_path: Path) -> None:
    shifted = ("data.augment=[shift]", "data.views=2", "student.train.epochs=3", "student.train.steps=null")
    plan = far(*shifted)
    run(plan, out=tmp_path / "run")
    assert once(server.answered) or server.answered.most_common(1)[0][1] <= 2, "a shift by nothing is a view too"
    assert sum(server.attempts) == 2 * len(plan.data.train) + len(plan.data.test) == stored(tmp_path)
    run(far(*shifted, "seed=0"), out=tmp_path / "again")
    assert sum(server.attempts) == 2 * len(plan.data.train) + len(plan.data.test)
    with pytest.raises(UserError, match=r"fresh shows the teacher another picture at every step.*data.views a number"):
        far("data.augment=[shift]")


def test_a_budget_that_cannot_be_enough_is_not_begun(server: Any, far: Make, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"\d+ answers of .* are not known yet, but .* 96 samples are left.*Nothing"):
        run(far("teacher.http.budget=100"), out=tmp_path / "run")
    assert sum(server.attempts) == 4


def test_a_budget_that_faults_use_up_can_be_raised(server: Any, far: Make, tmp_path: Path) -> None:
    train = len(far().data.train)
    server.faults = ["", "", "nan", "status 500", "nan"]
    with pytest.raises(BudgetError, match="What was answered is kept; raise the budget"):
        run(far(f"teacher.http.budget={train + 100}"), out=tmp_path / "run")
    assert sum(server.attempts) <= train + 100
    known = stored(tmp_path)
    assert known == len(server.answered) > 64
    enough = sum(server.attempts) + train - known + 50
    found = report_of(run(far(f"teacher.http.budget={enough}"), out=tmp_path / "run2"))
    assert once(server.answered) and sum(server.attempts) == enough - 50
    assert found["cost"]["teacher_queries"]["ever"] == sum(server.attempts)
    assert "teacher" not in found["models"], "the rest was not enough for the test samples"
    assert "Nothing is known of the teacher's own quality" in str(found["data"]["notes"])


def test_an_outage_keeps_what_was_answered(server: Any, far: Make, tmp_path: Path) -> None:
    server.faults = [""] * 3 + ["status 502"] * 6
    with pytest.raises(TeacherError, match="gave no right answer in 6 attempts; the last one: status 502"):
        run(far(), out=tmp_path / "run")
    assert stored(tmp_path) == len(server.answered) == 4 + 2 * 64
    run(far(), out=tmp_path / "run", resume=True)
    assert once(server.answered)


def test_a_run_that_is_killed_goes_on(server: Any, far: Make, tmp_path: Path) -> None:
    recipe = tmp_path / "far.yaml"
    recipe.write_text(RECIPE.format(url=server.v2))
    plan = far()
    command = [sys.executable, "-m", "limbeck", "run", str(recipe), "--out", str(tmp_path / "run")]
    kept: list[int] = []
    child: list[subprocess.Popen[bytes]] = []
    killed = threading.Event()

    def kill_at_the_fifth(number: int) -> None:
        time.sleep(0.4 if 2 <= number <= 4 else 0.0)
        if number == 5:
            os.kill(child[0].pid, signal.SIGKILL)
            child[0].wait()
            kept.append(stored(tmp_path))
            killed.set()

    server.on_request = kill_at_the_fifth
    limbeck_kept = {**os.environ, "PYTHONPATH": str(Path(limbeck.__file__).parents[1])}
    child.append(subprocess.Popen(command, env=limbeck_kept, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert child[0].wait() == -signal.SIGKILL and killed.wait(30)
    before = sum(server.attempts)
    assert 4 + 64 <= kept[0] <= len(server.answered), "answers are written as they come"
    found = report_of(run(plan, out=tmp_path / "run", resume=True))
    wanted = len(plan.data.train) + len(plan.data.test)
    assert sum(server.attempts) - before == wanted - kept[0], "what was stored is not asked for again"
    assert found["cost"]["teacher_queries"]["ever"] == sum(server.attempts), "a kill makes no question uncounted"
    assert len(server.answered) == wanted == stored(tmp_path)


def test_check_sends_nothing(server: Any, far: Make) -> None:
    plan = far("teacher.http.budget=5000")
    findings = {one.name: one for one in preflight(plan)}
    told = findings["questions"]
    train, test = len(plan.data.train), len(plan.data.test)
    requests = -(-train // 64) + -(-test // 64)
    assert told.level == "note" and f"{train} training views and {test} test samples" in told.sentence
    assert f"in {requests} requests or a few more, of 5,000 samples left" in told.sentence
    assert not server.attempts and not server.paths
    assert {one.level for one in findings.values()} == {"note"}
    poor = {one.name: one for one in preflight(far("teacher.http.budget=100"))}
    assert poor["questions"].level == "fault" and "100 samples are left" in poor["questions"].sentence
    short = {one.name: one for one in preflight(far(f"teacher.http.budget={train + 1}"))}
    assert "would not be judged" in short["questions"].sentence
    assert {one.level for one in preflight(far("teacher.http.says=labels", "objective=[teacher_labels]"))} == {"note"}


def test_label_fills_the_store(server: Any, far: Make, tmp_path: Path) -> None:
    plan = far()
    found = label(plan, CPU, Silent())
    assert (found[0].rows, found[0].spot_checks) == (len(plan.data.train), 0)
    again = label(far(), CPU, Silent())
    assert again[0].forwards == 0 and once(server.answered)
    with pytest.raises(UserError, match="no answer is asked for again"):
        verify_with(plan, CPU, Silent())
    run(far("teacher.http.test=false"), out=tmp_path / "run")
    assert len(server.answered) == len(plan.data.train)
    notes = report_of(tmp_path / "run")["data"]["notes"]
    assert "teacher.http.test is false" in notes[-1]


@pytest.mark.parametrize("says", ["labels", "logits"])
def test_other_things_to_say(server: Any, far: Make, tmp_path: Path, says: str) -> None:
    server.says = says
    term = {"labels": "teacher_labels", "logits": "logit_matching"}[says]
    plan = far(f"teacher.http.says={says}", f"objective=[{term}]", url=server.plain)
    found = report_of(run(plan, out=tmp_path / "run"))
    assert once(server.answered) and found["models"]["teacher"]["metrics"]["accuracy"]["mean"] > 0.85
    assert (found["models"]["teacher"]["metrics"]["nll"] is None) == (says == "labels")
    teacher = plan.black_box.open(plan.data.pool, plan.data.train)
    batch: Batch = plan.data.pool.batch(plan.data.train)
    said, wanted = teacher(batch), nearest(batch.inputs.double().numpy()).argmax(1)
    assert (said.labels if said.logits is None else said.logits.argmax(1)).tolist() == wanted.tolist()


def test_a_secret_is_written_nowhere(
    server: Any, far: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "s3cr3t-of-mine"
    monkeypatch.setenv("FAR_TOKEN", secret)
    run(far("teacher.http.headers={Authorization: 'Bearer $FAR_TOKEN'}"), out=tmp_path / "run")
    assert {one["Authorization"] for one in server.headers} == {f"Bearer {secret}"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10 and not [path for path in written if secret.encode() in path.read_bytes()]
    assert "FAR_TOKEN" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert secret not in "".join(capfd.readouterr())
    with pytest.raises(RecipeError) as error:
        far(f"teacher.http.headers={{Authorization: 'Bearer {secret}'}}")
    assert "expects the name of an environment variable" in str(error.value) and secret not in str(error.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("knowledge.mode=live", "knowledge.mode live would ask again what was answered"),
        ("knowledge.mode=memory", "knowledge.mode memory would ask again"),
        ("teacher.normalise=data", "teacher.normalise expects none"),
        ("teacher.classes={map: {a: '3'}}", "also expects teacher.classes.names"),
    ],
)
def test_wishes_that_do_not_fit(far: Make, tmp_path: Path, override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run(far(override), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("teacher.train.epochs=3", "train does not go with a teacher from http:"),
        ("teacher.http.batch=3", "unknown key. Did you mean"),
        ("teacher.http.budget=0", "teacher.http.budget"),
        ("teacher.http.headers={Host: $A}", "those of the transfer itself are set"),
        ("teacher.source=onnx:x", "http does not go with a teacher from onnx:"),
        ("teacher.source=ftp://x", "'https://HOST/PATH', 'timm:NAME', 'torchvision:NAME' or 'hf:DIR', got 'ftp://x'"),
    ],
)
def test_keys_that_do_not_fit(far: Make, override: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        far(override)
    assert sentence in str(error.value)


def test_answers_need_a_place(server: Any, far: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    with pytest.raises(UserError, match="give knowledge.path a folder for its answers"):
        far()
    place = tmp_path / "answers"
    run(far(f"knowledge.path={place}"), out=tmp_path / "run")
    asked = len(server.attempts)
    run(far(f"knowledge.path={place}"), out=tmp_path / "again")
    assert len(server.attempts) == asked and len(Store(place)) == len(server.answered)


def test_from_python(server: Any, far: Make, tmp_path: Path) -> None:
    plan = far()
    result = limbeck.distill(
        server.v2, lambda: limbeck.models.MLP((1, 8, 8), 3, hidden=(4,)), plan.data, train=limbeck.Settings(steps=5),
        seeds=1, controls=(), export=False, progress=False, out=tmp_path / "run",
    )  # fmt: skip
    assert once(server.answered) and result.report["models"]["teacher"]["metrics"]["accuracy"]["mean"] > 0.85
