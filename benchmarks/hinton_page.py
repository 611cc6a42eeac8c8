"""The page of Hinton's experiment, as Markdown. S: seeds, N: test digits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import limbeck
from limbeck.evaluate.intervals import rate
from limbeck.evaluate.verdict import judge
from limbeck.run.surroundings import environment

RESULTS = Path(__file__).parent / "results"
NOTES = Path(__file__).parent / "notes" / "hinton-mnist.md"
Rights = NDArray[np.float64]
PUBLISHED = {"teacher": 67, "student alone": 146, "student, T = 20": 74}
PUBLISHED_PARTS = {
    "no threes": "206 errors, 133 of them threes",
    "no threes, bias": "109 errors, 14 of them threes (98.6 % of threes right)",
    "only 7 and 8": "47.3 % wrong",
    "only 7 and 8, bias": "13.2 % wrong",
}


@dataclass(frozen=True)
class Measured:
    """Which test digits are right, [S, N] each; labels [N]; seeds of the main part and of the sweep."""

    main: Mapping[str, Rights]
    partial: Mapping[str, Rights]
    sweep: Mapping[tuple[int, float], Rights]
    labels: NDArray[np.int64]
    seeds: Sequence[int]
    sweep_seeds: Sequence[int]


def write_page(found: Measured, settings: Mapping[str, Any], selection: Mapping[str, Any] | None, date: str) -> Path:
    """Write the dated page and return its path."""
    path = RESULTS / f"{date}-hinton-mnist.md"
    where = environment(torch.device("cpu"))
    lines = [
        f"# Hinton's MNIST experiment, {date}", "",
        f"{'`python benchmarks/hinton_mnist.py select`, then ' if selection else ''}"
        "`python benchmarks/hinton_mnist.py measure`.", "",
        f"- Data: MNIST, all 60,000 training digits; 10,000 test digits, which nothing was chosen by. Seeds "
        f"{_listed(found.seeds)}; the sweep of temperatures {_listed(found.sweep_seeds)}.",
        f"- Hardware: {where['processor']}, {where['threads']} thread(s); bfloat16 products with float32 sums where "
        f"the processor has them.",
        f"- Versions: limbeck {limbeck.__version__}, python {where['python']}, torch {where['torch']}, "
        f"numpy {where['numpy']}.", "",
        *_main(found), *_partial(found), *_sweep(found), *_selection(selection), *_settings(settings),
        "## Notes", "", NOTES.read_text(encoding="utf-8"),
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _main(found: Measured) -> Iterator[str]:
    yield from ("## Teacher and students", "", "Errors of 10,000; the paper reports one net each.", "")
    yield from ("| | errors, by seed | mean | 95 % | published |", "|---|---|---:|---:|---:|")
    for name, right in found.main.items():
        cells = [_by_seed(right), f"{_errors(right).mean():.1f}", _interval(right), str(PUBLISHED.get(name, ""))]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    student = found.main["student, T = 20"]
    for control in ("student alone", "student alone, smoothing 0.1"):
        verdict = judge(student, {control: found.main[control]}, validation={control: 1.0},
                        teacher=found.main["teacher"])  # fmt: skip
        yield from (f"Against {control}: {verdict.sentence}", "")


def _partial(found: Measured) -> Iterator[str]:
    yield from (
        "## Digits left out of the transfer set", "",
        "The student sees pictures of some digits only, and the teacher's soft labels for them (T = 20). The bias is "
        "the logarithm of an even share over the teacher's mean mass on the transfer set at temperature 2, for every "
        "class: no test digit and no true label goes into it; that temperature was chosen on the held-out digits.", "",
        "| transfer set | errors, by seed | mean | errors on digits never seen | of those right | published |",
        "|---|---|---:|---:|---:|---|",
    )  # fmt: skip
    for name, right in found.partial.items():
        unseen = found.labels == 3 if name.startswith("no threes") else (found.labels != 7) & (found.labels != 8)
        wrong = (1 - right[:, unseen]).sum(1)
        yield (
            f"| {name} | {_by_seed(right)} | {_errors(right).mean():.1f} | {wrong.mean():.1f} | "
            f"{100 * right[:, unseen].mean():.2f} % | {PUBLISHED_PARTS[name]} |"
        )
    yield ""


def _sweep(found: Measured) -> Iterator[str]:
    units = list(dict.fromkeys(count for count, _ in found.sweep))
    heats = list(dict.fromkeys(heat for _, heat in found.sweep))
    yield from (
        "## Temperature", "",
        f"Two hidden layers of so many units, trained on soft labels alone; mean errors of 10,000 over "
        f"{len(found.sweep_seeds)} seeds, by seed in brackets. Published: with 300 units or more every T above 8 is "
        f"alike, with 30 units T from 2.5 to 4 is best.", "",
        f"| units | {' | '.join(f'T = {heat:g}' for heat in heats)} |", f"|---:|{'---:|' * len(heats)}",
    )  # fmt: skip
    for count in units:
        cells = [found.sweep[count, heat] for heat in heats]
        yield f"| {count} | {' | '.join(f'{_errors(one).mean():.1f} ({_by_seed(one)})' for one in cells)} |"
    yield ""


def _selection(selection: Mapping[str, Any] | None) -> Iterator[str]:
    if selection is None:
        return
    yield from (
        "## Selection", "",
        "Errors on 5,000 training digits that were held out, trained on the other 55,000, seed 0 where none is "
        "named. Their order is that of trying; the settings below are those that were taken.", "",
        "| | candidate | errors of 5,000 |", "|---|---|---:|",
    )  # fmt: skip
    for part, candidates in selection.items():
        yield from (f"| {part} | {name} | {errors} |" for name, errors in candidates.items())
    yield ""


def _settings(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from ("## Settings", "", "AdamW, one cycle of the learning rate, the last epoch counts.", "")
    for name, how in settings.items():
        yield f"- {name}: {', '.join(f'{key} {value}' for key, value in how.items() if value)}"
    yield ""


def _errors(right: Rights) -> Rights:
    return (1 - right).sum(1)


def _by_seed(right: Rights) -> str:
    return ", ".join(str(int(count)) for count in _errors(right))


def _interval(right: Rights) -> str:
    found = rate(right)
    count = right.shape[1]
    assert found.low is not None
    assert found.high is not None
    return f"{count * (1 - found.high):.0f} to {count * (1 - found.low):.0f}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
