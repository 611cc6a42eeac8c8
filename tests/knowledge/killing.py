"""A labelling that is killed with SIGKILL again and again, each time in a process of its own: python killing.py FOLDER.

Prints JSON: how the processes ended, what a full verification found, and whether every row is that of an unbroken
labelling.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

torch.set_num_threads(1)

import limbeck.knowledge.label as labelling  # noqa: E402
from limbeck.data.samples import Samples  # noqa: E402
from limbeck.data.views import Shift, Views  # noqa: E402
from limbeck.knowledge.form import Dense  # noqa: E402
from limbeck.knowledge.ledger import open_ledger  # noqa: E402
from limbeck.knowledge.manifest import manifest_for  # noqa: E402
from limbeck.knowledge.store import Store, open_store  # noqa: E402
from limbeck.knowledge.verify import verify_against  # noqa: E402
from limbeck.models import CNN  # noqa: E402
from limbeck.models.adapt import Adapted  # noqa: E402
from limbeck.teachers.module import ModuleTeacher  # noqa: E402

N, VIEWS, KILLS = 3000, 2, 6


def labeller() -> labelling.Labeller:
    torch.manual_seed(0)
    teacher = ModuleTeacher(Adapted(CNN((1, 16, 16), 10, width=8), classes=10))
    inputs = torch.randint(0, 256, (N, 1, 16, 16), dtype=torch.uint8)
    samples = Samples(inputs, torch.zeros(N, dtype=torch.int64), tuple(map(str, range(N))))
    return labelling.Labeller(teacher, samples, Views([Shift(1)], count=VIEWS), Dense(10))


def label(asking: labelling.Labeller, folder: Path) -> None:
    store = open_store(folder / "store", manifest_for(asking.teacher, asking.views, "cpu", asking.form))
    ledger = open_ledger(folder / "knowledge.json")
    for view in range(VIEWS):
        labelling.fill(asking, store, view, ledger)


def in_child(asking: labelling.Labeller, folder: Path, seconds: float | None) -> int:
    """Label in a forked process, killed after so many seconds; return how it ended (-9 when killed)."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        label(asking, folder)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path) -> None:
    labelling.SHARD_ROWS = 500
    asking, dice = labeller(), random.Random(4)
    unbroken, killed = folder / "unbroken", folder / "killed"
    for place in (unbroken, killed):
        place.mkdir()
    started = time.monotonic()
    in_child(asking, unbroken, None)
    duration = time.monotonic() - started
    ended = [in_child(asking, killed, dice.random() * duration / 3) for _ in range(KILLS)]
    ended.append(in_child(asking, killed, None))
    found = verify_against(Store(killed / "store"), asking, range(VIEWS))
    names = torch.cat([asking.names(torch.arange(N), view) for view in range(VIEWS)])
    stores = [Store(place / "store") for place in (unbroken, killed)]
    same = torch.equal(*(store.read(names)[0] for store in stores))
    counted = open_ledger(killed / "knowledge.json").asked
    print(json.dumps({"ended": ended, **asdict(found), "same": same, "counted": counted}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
