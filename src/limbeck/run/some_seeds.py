"""A process that trains some seeds of a run into its folder: `python -m limbeck.run.some_seeds FOLDER THREADS SEED...`.

It is started by `limbeck.run.beside`, tells on stdout what its fits do, a line of JSON each, and ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from limbeck.knowledge.ledger import Ledger
from limbeck.recipe.load import load_recipe
from limbeck.run.fits import open_workshop
from limbeck.run.folder import RECIPE
from limbeck.run.generated import generated
from limbeck.run.plan import plan_from_recipe
from limbeck.run.speakers import assembled, speaking, train_further, train_teachers
from limbeck.run.sweep import train_seeds
from limbeck.run.watch import Silent
from limbeck.types import Record


class Teller(Silent):
    """A watcher that passes on what it hears of fits, and what students that teach others were asked by then."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.known = ledger, dict(ledger.forwards)

    def record(self, record: Record) -> None:
        """Pass on the figures of an epoch."""
        tell(record=asdict(record))

    def done(self, model: str, seed: int, steps: int) -> None:
        """Pass on that a fit is finished."""
        new = {name: count for name, count in self.ledger.forwards.items() if self.known.get(name) != count}
        tell(done=[model, seed, steps], forwards=new)


def main(arguments: Sequence[str]) -> None:
    """Train the seeds."""
    folder, threads, seeds = Path(arguments[0]), int(arguments[1]), [int(seed) for seed in arguments[2:]]
    threading.Thread(target=end_with_stdin, daemon=True).start()
    torch.set_num_threads(threads)
    plan = plan_from_recipe(load_recipe(folder / RECIPE))
    workshop = open_workshop(plan, folder, Silent(), torch.device("cpu"))
    checks = workshop.ledger.spot_checks
    workshop = replace(workshop, ledger=replace(workshop.ledger, path=None))
    workshop = assembled(workshop)
    trained = train_teachers(workshop)
    workshop = replace(generated(workshop, trained), further=train_further(workshop))
    teachers = speaking(workshop, trained)
    tell(spot_checks=workshop.ledger.spot_checks - checks)
    workshop = replace(workshop, watcher=Teller(workshop.ledger), teachers=trained)
    train_seeds(workshop, teachers, seeds, {})


def end_with_stdin() -> None:
    """End at once when the process that started this one is gone; checkpoints are whole at any moment."""
    sys.stdin.read()
    os._exit(1)


def tell(**what: Any) -> None:
    """Write a line."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
