"""What `benchmarks/recipes.py` runs: every shipped recipe as it is, and settings of it worth comparing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One run. recipe: its name; key: its folder; settings: as for --set, with {runs} for the folder of runs; after: a
    recipe whose run it goes on from.
    """

    recipe: str
    key: str
    title: str = "as it ships"
    settings: tuple[str, ...] = ()
    after: str | None = None


DEMO, SOFT, S1 = "demo", "digits-soft-knowledge", "s1-mnist-source-to-target"
S2, S3 = "s2-compact-entropy", "s3-black-box-soft-targets"
BEST, ZERO = "mnist-mlp-best", "s4-zero-shot"
FIRST, NEW = "s4-first-digits", "s4-new-class"
LETTERS, CLASSES = "s4-letters", "s4-classes-cifar10"
SHORT = ("student.train.steps=150", "student.train.lr=0.003")
SPOKEN = "objective=[soft_labels: {{temperature: 2, weight: 0.5}}, cross_entropy: {{weight: 0.5}}]"
HELD = "objective=[learning_without_forgetting, cross_entropy]"
UNSEEN = ("data.unlabelled_classes=[]", "data.unseen_classes=[3, 7]", f"teacher.source=run:{{runs}}/{ZERO}")
S2_ALONE = (f"teacher.source=run:{{runs}}/{S2}", "controls=[]")
S3_ALONE = (f"teacher.source=run:{{runs}}/{S3}", "controls=[]")
SOFT_TEACHER = f"teacher.source=run:{{runs}}/{SOFT}"

CASES = (
    Case(DEMO, DEMO),
    Case(
        DEMO, "demo-same-labels", "a teacher with the same 100 labels",
        ("teacher.labels=same", "teacher.train.steps=300"),
    ),
    Case(DEMO, "demo-one-seed", "one seed", ("seeds=1",)),
    Case(
        DEMO, "demo-random-teacher", "a teacher with random weights",
        ("teacher.train.steps=1", "teacher.train.lr=1.0e-9"),
    ),
    Case(
        DEMO, "demo-equal-epochs", "labels only, for equal epochs (an unfair control)",
        ("teacher=null", "objective=[cross_entropy]", "controls=[]"),
    ),
    Case("digits-all-labels", "digits-all-labels"),
    Case(SOFT, SOFT),
    Case(SOFT, "soft-five-seeds", "five seeds (the first look)", ("seeds=5",)),
    Case(SOFT, "soft-unshifted", "pictures not shifted, five seeds", ("seeds=5", "data.augment=[]", SOFT_TEACHER)),
    Case(S1, S1),
    Case(S2, S2),
    Case(S2, "s2-alpha-0", "alpha = 0", ("objective.entropy_penalty.weight=0", *S2_ALONE)),
    Case(S2, "s2-alpha-minus-0.1", "alpha = -0.1", ("objective.entropy_penalty.weight=-0.1", *S2_ALONE)),
    Case(S2, "s2-alpha-0.5", "alpha = 0.5", ("objective.entropy_penalty.weight=0.5", *S2_ALONE)),
    Case(S3, S3),
    Case(S3, "s3-lambda-0", "lambda = 0", ("objective.weight_penalty.weight=0", *S3_ALONE)),
    Case(BEST, BEST),
    Case(ZERO, ZERO),
    Case(ZERO, "s4-zero-shot-unseen", "3 and 7 not even shown", UNSEEN),
    Case(NEW, NEW, after=FIRST),
    Case(NEW, "s4-new-class-all-answers", "the teacher heard about 8 and 9 too", (SPOKEN, "controls=[labels]")),
    Case(
        NEW, "s4-new-class-held", "no teacher, learning_without_forgetting",
        ("teacher=null", HELD, "controls=[labels]"),
    ),
    Case(LETTERS, LETTERS, after=f"{LETTERS}-source"),
    Case(LETTERS, "s4-letters-short", "a seventh of the steps", SHORT),
    Case("s4-orders", "s4-orders", after=f"{LETTERS}-source"),
    Case("s4-features", "s4-features"),
    Case("s4-features", "s4-features-short", "a quarter of the steps of fine-tuning", SHORT),
    Case("s4-several-tasks", "s4-several-tasks"),
    Case("s4-mnist-usps", "s4-mnist-usps"),
    Case("s4-usps-mnist", "s4-usps-mnist"),
    Case(CLASSES, CLASSES, after=f"{CLASSES}-source"),
    Case("s5-robust-student", "s5-robust-student"),
    Case(S3, "s3-lambda-0.001", "lambda = 0.001", ("objective.weight_penalty.weight=0.001", *S3_ALONE)),
)  # fmt: skip


def cases_of(recipe: str) -> tuple[Case, ...]:
    """Return the cases of a recipe, the recipe as it ships first."""
    return tuple(case for case in CASES if case.recipe == recipe)
