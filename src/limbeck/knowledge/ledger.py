"""What a run has asked its teacher, kept on disk so that a resumed run counts right.

An entry is noted before the file of answers it stands for is written, and counts when that file is there: what a kill
undid was asked, but helped nobody, and is asked and counted again.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from limbeck.files import write_text


@dataclass
class Ledger:
    """path: of the JSON file, None to keep it in memory; mode and sentence: what the advisor chose, None before.

    forwards: samples asked about, by the file of answers, or by teacher and view where there is no file; spot_checks:
    samples asked about again to check what was stored; seconds: spent on both; before: samples and requests that a
    metered teacher had been sent when the run began, None for other teachers.
    """

    path: Path | None = None
    mode: str | None = None
    sentence: str | None = None
    forwards: dict[str, int] = field(default_factory=dict)
    spot_checks: int = 0
    seconds: float = 0.0
    before: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._lock = threading.RLock()  # those who listen to helpers note what these were told

    @property
    def asked(self) -> int:
        """Samples that the teacher was asked about, spot checks apart."""
        return sum(self.forwards.values())

    def note(self, name: str, count: int) -> None:
        """Note that answers for so many samples are about to be kept under a name."""
        with self._lock:
            self.forwards[name] = count
            self.save()

    def save(self) -> None:
        """Write the file."""
        if self.path is None:
            return
        with self._lock:
            content = {name: value for name, value in asdict(self).items() if name != "path"}
            write_text(self.path, json.dumps(content))


def open_ledger(path: Path) -> Ledger:
    """Return the ledger of a run folder, a new one where there is none; entries whose file is missing are dropped."""
    if not path.is_file():
        return Ledger(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    ledger = Ledger(path, **found)
    ledger.before = None if ledger.before is None else (ledger.before[0], ledger.before[1])
    ledger.forwards = {
        name: count
        for name, count in ledger.forwards.items()
        if not name.endswith(".rows") or Path(name).is_file()
    }  # fmt: skip
    return ledger
