"""Runs that are killed with SIGKILL and resumed, each in a process of its own: python killing.py JOBS RECIPE.

JOBS is a JSON file with a list of {"folder": ..., "kills": [...]}. A kill is {"share": s}, a moment in 0..1 of an
unbroken run's duration, or {"at": step, "name": file, "count": n}: the n-th time that a file of that name is
"writing" (its content is in the partial file), "before" its rename or "after" it. The first job has no kill; it
is the reference whose duration the shares are of. The result is printed as JSON: for each job how its processes
ended.

Slow parts that are no matter of interruption (tracing the graph, drawing the page) are done once or left out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

import pyarrow.parquet  # noqa: E402

import limbeck.run.pipeline  # noqa: E402
import limbeck.train.loop  # noqa: E402
from limbeck.export.trace import trace_graph  # noqa: E402
from limbeck.recipe.load import load_recipe  # noqa: E402
from limbeck.run.plan import Plan, plan_from_recipe  # noqa: E402

WORKERS = 2


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(kill: dict[str, Any]) -> None:
    """Make this process kill itself at a moment that is named by a file."""
    left = [kill["count"]]

    def is_now(path: str, moment: str) -> bool:
        if kill["at"] != moment or not path.endswith(kill["name"]):
            return False
        left[0] -= 1
        return left[0] == 0

    replace, fsync, write_table = os.replace, os.fsync, pyarrow.parquet.write_table

    def replacing(source: Any, target: Any) -> None:
        if is_now(str(target), "before"):
            die()
        replace(source, target)
        if is_now(str(target), "after"):
            die()

    def syncing(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if is_now(str(path.with_name(path.name.removeprefix(".").removesuffix(".partial"))), "writing"):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()
        fsync(descriptor)

    def writing(table: Any, where: Any, *others: Any) -> None:
        write_table(table, where, *others)
        if is_now(str(where).removesuffix(".partial"), "writing"):
            os.truncate(where, 100)
            die()

    os.replace, os.fsync, pyarrow.parquet.write_table = replacing, syncing, writing


def in_child(work: Callable[[], None], seconds: float | None = None) -> int:
    """Run work in a forked process, killed after so many seconds; return how it ended (-9 when killed)."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # a forked process needs a thread pool of its own before any other thread asks for it
        try:
            work()
        except BaseException:  # noqa: BLE001  a forked process must never return into its parent's code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def carry_out(job: dict[str, Any], plan: Plan, duration: float) -> list[int]:
    folder = Path(job["folder"])
    ended = []
    for number, kill in enumerate(job["kills"]):

        def work(kill: dict[str, Any] = kill, resume: bool = number > 0) -> None:
            if "at" in kill:
                arm(kill)
            limbeck.run.pipeline.run(plan, out=folder, resume=resume)

        ended.append(in_child(work, kill["share"] * duration if "share" in kill else None))
    resume = bool(job["kills"])
    return [*ended, in_child(lambda: limbeck.run.pipeline.run(plan, out=folder, resume=resume) and None)]


def prepare(recipe: Path) -> Plan:
    """Load what all children share, and take the place of what is slow and the same each time."""
    plan = plan_from_recipe(load_recipe(recipe))
    traced = trace_graph(plan.model(plan.student, 0).eval(), shape=plan.data.shape, kind="image")
    limbeck.run.pipeline.trace_graph = lambda model, *, shape, kind, ending: traced
    limbeck.run.pipeline.render_html = json.dumps
    limbeck.train.loop.CHECKPOINT_SECONDS = 0.0
    assert plan.data.fingerprint
    return plan


def main(jobs: list[dict[str, Any]], recipe: Path) -> None:
    plan = prepare(recipe)
    started = time.monotonic()
    ended = {0: carry_out(jobs[0], plan, 0.0)}
    duration = time.monotonic() - started
    pipes = []
    for worker in range(WORKERS):
        reading, writing = os.pipe()
        if os.fork() == 0:
            mine = {n: carry_out(jobs[n], plan, duration) for n in range(1 + worker, len(jobs), WORKERS)}
            os.write(writing, json.dumps(mine).encode())
            os._exit(0)
        os.close(writing)
        pipes.append(reading)
    for reading in pipes:
        with os.fdopen(reading) as pipe:
            ended |= {int(number): result for number, result in json.loads(pipe.read()).items()}
    print(json.dumps([ended[number] for number in range(len(jobs))]))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
