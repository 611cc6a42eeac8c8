"""`limbeck run --profile`: where the time of a run went, by phase and by operator, and a trace of a few steps.

It changes no figure of the run. On a GPU every phase is waited for, so that its time is its own: that run is slower.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, schedule

from limbeck.data.views import Views
from limbeck.files import reporting_disk_errors, write_text
from limbeck.train import ranks
from limbeck.train.loop import Lesson
from limbeck.train.phases import Phases, Unmeasured

PROFILE = "profile"
TABLE = "where-time-went"
TRACED = ("teacher", "student")
SKIPPED, WARMING, SHOWN = 10, 1, 8  # steps of a traced fit: at least a quarter of a short one is skipped
OPERATORS = 12
RUN = "run"  # what is no fit


@dataclass
class Profile:
    """Measures a run. seconds: by who it was done for ("teacher", "student", "controls", "run") and phase."""

    device: torch.device
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    operators: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    _open: list[float] = field(default_factory=list)  # seconds of inner phases, for each phase that is open

    @contextlib.contextmanager
    def measure(self, phase: str, group: str = RUN) -> Iterator[None]:
        """Add the time of what is done inside to a phase; what inner phases take is theirs."""
        begun = self._now()
        self._open.append(0.0)
        try:
            yield
        finally:
            spent = self._now() - begun
            inner = self._open.pop()
            self.seconds[group, phase] = self.seconds.get((group, phase), 0.0) + spent - inner
            if self._open:
                self._open[-1] += spent

    @contextlib.contextmanager
    def fit(self, name: str, steps: int, folder: Path) -> Iterator[Phases]:
        """Yield what measures a fit; name: of its model; steps: how many it has; folder: of the run.

        The first fits of teacher and student are traced into profile/teacher.json.gz and profile/student.json.gz.
        """
        group = name if name in TRACED else "controls"
        if name not in TRACED or name in self.operators or steps < 4:
            yield Measured(self, group)
            return
        path = folder / PROFILE / f"{name}.json.gz"
        skipped = min(SKIPPED, steps // 4)
        shown = min(SHOWN, steps - skipped - WARMING)
        plan = schedule(wait=0, skip_first=skipped, warmup=WARMING, active=shown, repeat=1)
        measured = Measured(self, group)
        with profile(activities=self._activities(), schedule=plan, acc_events=True) as measured.tracer:
            yield measured
        if measured.steps < skipped + WARMING + shown:
            return  # the fit was finished before
        with self.measure("profiler"):
            tracer = measured.tracer
            self.operators[name] = _by_operator(tracer)
            with reporting_disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                tracer.export_chrome_trace(str(path))

    def write(self, folder: Path) -> dict[str, Any]:
        """Write profile/where-time-went.json and .md into a run folder and return what is in them."""
        found = self.summary()
        write_text(folder / PROFILE / f"{TABLE}.json", json.dumps(found, indent=1))
        write_text(folder / PROFILE / f"{TABLE}.md", as_markdown(found))
        return found

    def summary(self) -> dict[str, Any]:
        """Return total seconds, phases (the longest first, each with its group, seconds and share) and operators."""
        total = self._now() - self.started
        phases = [
            {"group": group, "phase": phase, "seconds": round(spent, 3), "share": spent / total}
            for (group, phase), spent in sorted(self.seconds.items(), key=lambda one: -one[1])
        ]
        rest = total - sum(self.seconds.values())
        phases.append({"group": RUN, "phase": "everything else", "seconds": round(rest, 3), "share": rest / total})
        return {"seconds": round(total, 3), "phases": phases, "operators": self.operators}

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _activities(self) -> list[ProfilerActivity]:
        gpu = [ProfilerActivity.CUDA] if self.device.type == "cuda" else []
        return [ProfilerActivity.CPU, *gpu]


@dataclass
class Measured:
    """Measures the phases of one fit. tracer: what traces some of its steps, None where nothing does; steps: so far."""

    profile: Profile
    group: str
    tracer: Any = None
    steps: int = 0

    def __call__(self, phase: str) -> contextlib.AbstractContextManager[None]:
        """Return a context whose time is added to the phase."""
        return self.profile.measure(phase, self.group)

    def step(self) -> None:
        """Count the step and let the trace go on."""
        self.steps += 1
        if self.tracer is not None:
            with self.profile.measure("profiler"):
                self.tracer.step()


@contextlib.contextmanager
def phases_of(found: Profile | None, name: str, steps: int, folder: Path) -> Iterator[Phases]:
    """Yield what measures a fit, or what measures nothing where nobody asked or another rank does it."""
    if found is None or not ranks.is_first():
        yield Unmeasured()
        return
    with found.fit(name, steps, folder) as phases:
        yield phases


class TimedViews(Views):
    """Views whose making is measured."""

    def __init__(self, views: Views, phases: Phases) -> None:
        super().__init__(views.transforms, seed=views.seed, count=views.count, partners=views.partners)
        self._phases = phases

    def __call__(self, inputs: Tensor, keys: Tensor, view: Tensor) -> Tensor:
        """Make the views of inputs, see `Views`."""
        with self._phases("views"):
            return super().__call__(inputs, keys, view)


def timed(lesson: Lesson, phases: Phases) -> Lesson:
    """Return a lesson whose views are measured, the lesson itself where it has none or nobody asked."""
    if lesson.views is None or isinstance(phases, Unmeasured):
        return lesson
    return replace(lesson, views=TimedViews(lesson.views, phases))


def measuring(found: Profile | None, phase: str) -> contextlib.AbstractContextManager[None]:
    """Return a context whose time is added to a phase of the run, if anybody asked."""
    return contextlib.nullcontext() if found is None else found.measure(phase)


def as_markdown(found: dict[str, Any]) -> str:
    """Return the tables of a profile as Markdown."""
    lines = [f"# Where the time went: {found['seconds']:.1f} s", "", "| for | phase | seconds | share |"]
    lines.append("|---|---|---:|---:|")
    for one in found["phases"]:
        lines.append(f"| {one['group']} | {one['phase']} | {one['seconds']:.2f} | {one['share']:.1%} |")
    for name, operators in found["operators"].items():
        lines += ["", f"## Operators of the {name}'s steps", "", "| operator | calls | share |", "|---|---:|---:|"]
        lines += [f"| {one['operator']} | {one['calls']} | {one['share']:.1%} |" for one in operators]
    return "\n".join(lines) + "\n"


def _by_operator(tracer: Any) -> list[dict[str, Any]]:
    """Return the operators that took longest in the traced steps, themselves without what they call."""
    events = [event for event in tracer.key_averages() if not event.key.startswith("ProfilerStep")]
    spent = {event.key: event.self_cpu_time_total + event.self_device_time_total for event in events}
    total = sum(spent.values()) or 1.0
    longest = sorted(events, key=lambda event: -spent[event.key])[:OPERATORS]
    return [{"operator": one.key, "calls": one.count, "share": spent[one.key] / total} for one in longest]
