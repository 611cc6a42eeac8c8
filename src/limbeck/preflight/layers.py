"""Which layers do terms on features compare?"""

from __future__ import annotations

from limbeck.preflight.finding import Finding
from limbeck.preflight.lesson import student_rehearsal
from limbeck.preflight.subject import Subject


def check_layers(subject: Subject) -> list[Finding]:
    """A note named `layers` for each pair of layers that a stage's terms compare."""
    return [
        Finding("note", "layers", f"In stage {stage.name} {name} compares {pair}.")
        for stage in subject.plan.stages
        if stage.objective.compares_features
        for name, pairs in student_rehearsal(subject, stage).objective.pairs.items()
        for pair in pairs
    ]
