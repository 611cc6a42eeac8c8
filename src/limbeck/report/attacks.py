"""Attacks on the page: accuracy under each of them and under the worst, against the radius, and what it all means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.report import numbers
from limbeck.report.facts import Fact
from limbeck.report.lines import Line, lines_figure
from limbeck.report.robustness import label, section_of
from limbeck.report.tables import Column, Group, Row, Table, accuracy_cell

Report = Mapping[str, Any]

TITLES = {
    "fgsm": "FGSM", "pgd": "PGD", "margin": "Margin PGD", "square": "Square", "transfer": "Transfer",
    "autoattack": "AutoAttack",     "worst": "The worst of them",
}  # fmt: skip
LEVELS = 255


def attacks_of(report: Report) -> Report | None:
    """Return the part on attacks; None where nobody was attacked."""
    section = section_of(report)
    found: Report | None = None if section is None else section.get("attacks")
    return found


def radius(epsilon: float, norm: str) -> str:
    """Write a radius as people do, grey levels of 255 where that is shorter: 0.0313725 is "8/255"."""
    plain, levels = f"{epsilon:.6g}", epsilon * LEVELS
    whole = f"{round(levels)}/{LEVELS}"
    return whole if norm == "linf" and abs(levels - round(levels)) < 1e-6 and len(whole) <= len(plain) else plain


def attack_title(verdict: Report, norm: str) -> str:
    """Return what a verdict is about."""
    return f"{TITLES[verdict['attack']]} within {radius(verdict['epsilon'], norm)}"


def attack_table(report: Report) -> Table | None:
    """Compare models and files under each attack and the worst, radius by radius."""
    section, found = section_of(report), attacks_of(report)
    if section is None or found is None:
        return None
    models = {key: one for key, one in section["models"].items() if found["models"][key]["figures"]}
    columns = [Column(label(report, key), one["title"], one["role"]) for key, one in models.items()]
    settings = found["settings"]
    groups = [
        Group(f"Accuracy within {radius(epsilon, settings['norm'])} ({settings['norm']})", _rows(found, models, place))
        for place, epsilon in enumerate(settings["epsilons"])
        if all(place < len(found["models"][key]["figures"]) for key in models)
    ]
    return Table(columns, groups) if models and groups else None


def _rows(found: Report, models: Mapping[str, Any], place: int) -> list[Row]:
    each = [found["models"][key]["figures"][place] for key in models]
    rows = [
        Row(TITLES[name], "", [accuracy_cell(one["accuracy"][name]) for one in each], _tried(found["settings"], name))
        for name in found["settings"]["names"]
        if any(one["accuracy"][name] for one in each)
    ]
    common = f"{numbers.count(found['settings']['common'])} samples, of files without gradients"
    worst = [
        Row(TITLES["worst"], "", [accuracy_cell(one["worst"]) for one in each], common),
        Row("Its worst class", "", [accuracy_cell(one["worst_class"]) for one in each], "higher is better"),
    ]
    return rows + (worst if any(one["worst"] for one in each) else [])


def _tried(settings: Report, name: str) -> str:
    return f"{numbers.count(settings['samples'][name])} samples"


def attack_facts(report: Report) -> list[Fact]:
    """Return how the attacks were made."""
    found = attacks_of(report)
    if found is None:
        return []
    settings = found["settings"]
    climbs = [TITLES[name] for name in settings["names"] if name not in ("fgsm", "square", "autoattack")]
    facts = [("Steps of a climb", numbers.count(settings["steps"]))] if climbs else []
    facts += [("Questions of Square", numbers.count(settings["queries"]))] if "square" in settings["names"] else []
    sources = {one["source"] for one in found["models"].values()} - {None}
    told = [
        f"{label(report, source)} (for {', '.join(_taken_from(report, found, source))})" for source in sorted(sources)
    ]
    facts += [("Transfer is made on", "; ".join(told))] if told else []
    facts += [] if settings["complete"] else [("Not complete", "go on with limbeck evaluate DIR --robust --attacks")]
    return facts


def _taken_from(report: Report, found: Report, source: str) -> list[str]:
    return [label(report, key) for key, one in found["models"].items() if one["source"] == source]


def attack_warnings(report: Report) -> list[str]:
    """Return the signs that gradients mislead, with whose they are."""
    found = attacks_of(report)
    models = {} if found is None else found["models"]
    return [f"{label(report, key)}: {text}" for key, one in models.items() for text in one["warnings"]]


def attack_verdicts(report: Report) -> list[tuple[str, Report]]:
    """Return (what it is about, the verdict) for each attack and radius."""
    found = attacks_of(report)
    if found is None:
        return []
    return [(attack_title(one, found["settings"]["norm"]), one) for one in found["verdicts"]]


def radius_figure(report: Report) -> str:
    """Draw the accuracy under the worst attack against the radius, with intervals for the student; an SVG element."""
    section, found = section_of(report), attacks_of(report)
    assert section is not None
    assert found is not None
    norm, roles = found["settings"]["norm"], {key: one["role"] for key, one in section["models"].items()}
    lines = []
    for key, one in found["models"].items():
        points = [(0.0, one["clean"]), *((each["epsilon"], each["worst"]) for each in one["figures"])]
        if roles[key] != "file":
            known = [(place, entry) for place, entry in points if entry is not None]
            lines.append(Line(label(report, key), roles[key], known))
    ticks = [(0.0, "clean"), *((one, radius(one, norm)) for one in found["settings"]["epsilons"])]
    title = "Accuracy under the worst attack against the radius"
    return lines_figure(lines, ticks, f"Radius, {norm}", name="radius", title=title)
