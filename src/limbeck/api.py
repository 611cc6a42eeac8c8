"""The Python door: your own modules, your own data, the same run and report as the command line."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from torch import nn

from limbeck.cli.progress import Bars
from limbeck.data.dataset import Data
from limbeck.data.mixup import Mixup
from limbeck.data.views import Transform, Views
from limbeck.errors import ModelError, RecipeError, UserError
from limbeck.models.adapt import Normalise
from limbeck.models.trees import Trees
from limbeck.models.units import InUnits
from limbeck.models.weights import CARD, WEIGHTS, checksum
from limbeck.objectives.objective import Objective
from limbeck.preflight.checks import preflight
from limbeck.preflight.finding import Finding
from limbeck.recipe.choices import TrainSection
from limbeck.recipe.load import load_recipe
from limbeck.recipe.mistakes import sentences
from limbeck.recipe.model import Name
from limbeck.recipe.tasks import MARGIN
from limbeck.run.augment import hidden_by, views_of
from limbeck.run.black_box import black_box_from_text
from limbeck.run.box import BlackBox
from limbeck.run.controls import resolve_controls
from limbeck.run.device import pick_device
from limbeck.run.ensemble import Ensemble, EnsemblePlan, Member, box_of
from limbeck.run.fits import STUDENT
from limbeck.run.folder import REPORT
from limbeck.run.grown import settled
from limbeck.run.model_plan import ModelPlan
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, TeacherPlan, plan_from_recipe, teacher_of_run
from limbeck.run.reload import load_model
from limbeck.run.result import Result, load
from limbeck.run.stage_plan import StagePlan
from limbeck.run.tasks import task_of
from limbeck.teachers.ensemble import Combination
from limbeck.train import ranks
from limbeck.train.settings import Settings

Build = nn.Module | Callable[[], nn.Module]
Normalisation = Literal["data", "none"] | tuple[Sequence[float], Sequence[float]]


def distill(
    teacher: nn.Module | str | Path | Ensemble | None,
    student: Build,
    data: Data,
    *,
    objective: Objective | None = None,
    epochs: int | None = None,
    train: Settings | None = None,
    seeds: int = 5,
    seed: int = 0,
    labels_per_class: int | None = None,
    unlabelled_classes: Sequence[str] = (),
    augment: Sequence[Transform | Mixup] = (),
    views: int | Literal["fresh"] = "fresh",
    controls: Sequence[str] | None = None,
    teacher_normalise: Normalisation = "none",
    student_normalise: Normalisation = "data",
    margin: float | None = None,
    name: str = "distill",
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    export: bool = True,
    int8: bool = False,
    tolerance: float = 0.01,
    device: str = "auto",
    progress: bool = True,
) -> Result:
    """Train a student on a teacher's knowledge, its controls without it, and return the finished run.

    teacher: a trained module, the folder of an earlier run, or "onnx:FILE" or "labels:FILE" for one that is known by
    its answers alone; or an `Ensemble` of such. It is used as it is and gets pictures in 0..1 (or raw features);
    teacher_normalise is put in front of it: "none", "data" (mean and standard deviation of the training samples), or
    (mean, std). student: a
    zero-argument factory such as a class or a lambda, which is initialised anew for every seed, or a module, of which
    every seed gets a copy. Both may return logits [B, C], a tuple, a dict, or an object with `.logits`; of regression a
    teacher that is a module gives values in your own units, and a student answers on the scale it is trained on.
    objective: by default 0.9 SoftLabels + 0.1 CrossEntropy, or what stands for them where labels are no classes. train:
    every setting of the fits; epochs (20 unless given) is short for Settings(epochs=...), so give one of the two.
    labels_per_class: labels that student and controls may see; unlabelled_classes: classes they see no label of.
    controls: names, None for all that make sense, () for none. export: whether to write the ONNX file, int8: an int8
    file too, if on validation it loses no more accuracy than the tolerance, 0..1. margin: a gain below it does not
    matter; 0.005 of accuracy, 0.05 of the control's squared error or 0.01 of mean average precision unless given. out:
    the folder, else runs/NAME; resume and force as on the command line.

    Raises UserError (before anything is written) for what does not fit, Failure when the work fails.
    """
    _check_export(export, int8, tolerance, data)
    hidden = hidden_by(labels_per_class, unlabelled_classes)
    changed = views_of(augment, data, seed=seed, count=views, hidden_by=hidden)
    plan = _plan(
        teacher, student, data, objective=objective, settings=_settings(train, epochs, seeds, name),
        seeds=range(seed, seed + seeds), labels_per_class=labels_per_class,
        unlabelled_classes=tuple(unlabelled_classes), views=changed,
        controls=controls, teacher_normalise=teacher_normalise, student_normalise=student_normalise,
    )  # fmt: skip
    margin = MARGIN[data.task] if margin is None else margin
    plan = replace(plan, name=name, margin=margin, onnx=export, int8=int8, tolerance=tolerance)
    return _carry_out(_described(plan), out, resume, force, device, progress)


def check(
    teacher: nn.Module | str | Path | Ensemble | None,
    student: Build,
    data: Data,
    *,
    objective: Objective | None = None,
    epochs: int | None = None,
    train: Settings | None = None,
    seeds: int = 5,
    seed: int = 0,
    labels_per_class: int | None = None,
    unlabelled_classes: Sequence[str] = (),
    augment: Sequence[Transform | Mixup] = (),
    views: int | Literal["fresh"] = "fresh",
    controls: Sequence[str] | None = None,
    teacher_normalise: Normalisation = "none",
    student_normalise: Normalisation = "data",
    device: str = "auto",
) -> list[Finding]:
    """Say what is wrong with a distillation before it is run, the worst first; the arguments are those of `distill`.

    Each finding has a level ("fault", "warning", "note"), a name and a sentence. Nothing is written, teacher and
    student stay as they are, and labels of test samples are not read. Raises UserError where not even a plan can
    be made.
    """
    with torch.random.fork_rng():
        hidden = hidden_by(labels_per_class, unlabelled_classes)
        changed = views_of(augment, data, seed=seed, count=views, hidden_by=hidden)
        plan = _plan(
            teacher, student, data, objective=objective, settings=_settings(train, epochs, seeds, "check"),
            seeds=range(seed, seed + seeds), labels_per_class=labels_per_class,
            unlabelled_classes=tuple(unlabelled_classes), views=changed,
            controls=controls, teacher_normalise=teacher_normalise, student_normalise=student_normalise,
        )  # fmt: skip
    return preflight(plan, pick_device(device))


def _plan(
    teacher: nn.Module | str | Path | Ensemble | None,
    student: Build,
    data: Data,
    *,
    objective: Objective | None,
    settings: Settings,
    seeds: Sequence[int],
    labels_per_class: int | None,
    unlabelled_classes: tuple[str, ...],
    views: Views | None,
    controls: Sequence[str] | None,
    teacher_normalise: Normalisation,
    student_normalise: Normalisation,
) -> Plan:
    """Return the plan of one stage, under the name "check"; the arguments are those of `distill`."""
    task = task_of(data.task, data.scaling)
    objective = objective or Objective([(0.9, task.taught()), (0.1, task.label())])
    stages = (StagePlan("student", "scratch", objective, settings),)
    hidden = hidden_by(labels_per_class, unlabelled_classes)
    chosen, notes = resolve_controls(controls, data, hidden is not None, stages)
    ensemble, box = None, None
    if isinstance(teacher, Ensemble):
        ensemble = _ensemble_plan(teacher, teacher_normalise, data, views)
        box = box_of(ensemble, data, {})
    elif isinstance(teacher, str):
        box = _black_box(teacher, teacher_normalise, data, views)
    plan = Plan(
        name="check",
        seeds=tuple(seeds),
        data=data,
        student=_student_plan(student, _normaliser(student_normalise, data)),
        stages=stages,
        teacher=None
        if teacher is None or box or isinstance(teacher, Ensemble)
        else _teacher_plan(teacher, teacher_normalise, data),
        controls=chosen,
        labels_per_class=labels_per_class,
        unlabelled_classes=unlabelled_classes,
        views=views,
        notes=notes,
        black_box=box,
        ensemble=ensemble,
    )
    return settled(plan)


def run_recipe(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    trust: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Result:
    """Carry out a recipe file, as `limbeck run` does; overrides: "a.b=value" settings.

    trust: import and run the classes of your own (package.module:Class) that the recipe names.
    """
    plan = plan_from_recipe(load_recipe(Path(recipe), overrides), trust=trust)
    return _carry_out(plan, out, resume, force, device, progress)


def _carry_out(plan: Plan, out: str | Path | None, resume: bool, force: bool, device: str, progress: bool) -> Result:
    with Bars(Console(file=sys.stderr, quiet=not progress)) as bars:
        folder = run(
            plan,
            out=None if out is None else Path(out),
            resume=resume,
            force=force,
            device=pick_device(device),
            watcher=bars,
        )
    needed = (REPORT, f"{STUDENT}/{WEIGHTS}", f"{STUDENT}/{CARD}")
    with ranks.missing(), ranks.copied(folder, needed) as kept:
        found = load(kept)
        model = load_model(kept / STUDENT, plan.model(plan.student, found.report["models"][STUDENT]["best_seed"]).net)
        first = ranks.from_first(str(folder).encode()) or b""
    return replace(found, folder=Path(first.decode()), model=model)


def _settings(train: Settings | None, epochs: int | None, seeds: int, name: str) -> Settings:
    """Return the settings if a recipe could have them, since a dataclass does not check its values."""
    if train is not None and epochs is not None:
        raise UserError(f"Give epochs={epochs} or train=Settings(epochs=...), not both.")
    if seeds < 1:
        raise UserError(f"seeds expects 1 or more, got {seeds}.")
    settings = train or (Settings() if epochs is None else Settings(epochs=epochs))
    try:
        TrainSection.model_validate(asdict(settings))
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise RecipeError(sentences(error.errors(), {}), "distill") from None
    return settings


def _check_export(onnx: bool, int8: bool, tolerance: float, data: Data) -> None:
    if int8 and data.task != "classification":
        raise UserError(f"int8=True is judged by the classes it loses, but the task is {data.task}; leave it out.")
    if int8 and not onnx:
        raise UserError("int8=True needs export=True, since the int8 file is made from the ONNX file.")
    if not 0 <= tolerance <= 1:
        raise UserError(f"tolerance expects a loss of accuracy in 0..1, got {tolerance}; 0.01 stands for one point.")


def _student_plan(student: Build, normalise: Normalise | None) -> ModelPlan:
    if isinstance(student, nn.Module):
        start = copy.deepcopy(student)
        if isinstance(start, Trees):
            return ModelPlan(lambda: copy.deepcopy(start), None, _title(student), normalise, grown=True)
        return ModelPlan(lambda: copy.deepcopy(start), None, _title(student), normalise, fresh=False)
    if not callable(student):
        raise ModelError(f"student expects a module or a factory without arguments, got {type(student).__name__}.")
    made = _made(student)
    return ModelPlan(student, None, _title(made), normalise, grown=isinstance(made, Trees))


def _made(factory: Callable[[], object]) -> nn.Module:
    try:
        made = factory()
    except TypeError as error:
        raise ModelError(
            f"student expects a factory without arguments, but calling it failed: {error}. "
            f"Wrap it: lambda: MyModel(10)."
        ) from error
    if not isinstance(made, nn.Module):
        raise ModelError(f"The student's factory returned {type(made).__name__}; expected a torch.nn.Module.")
    return made


def _black_box(teacher: str, normalise: Normalisation, data: Data, views: Views | None) -> BlackBox | None:
    given = _normaliser(normalise, data)
    return black_box_from_text(teacher, data, normalise=given, views=views)


def _ensemble_plan(given: Ensemble, normalise: Normalisation, data: Data, views: Views | None) -> EnsemblePlan:
    """Return the plan of an ensemble, whose teachers are called 1, 2, ...; its values checked as a recipe's are."""
    weights = given.weights if isinstance(given.weights, str) else tuple(given.weights)
    try:
        combination = TypeAdapter(Combination).validate_python({"combine": given.combine, "weights": weights})
    except ValidationError as error:
        raise RecipeError(sentences(error.errors(), {}), "Ensemble") from None
    if len(given.teachers) < 2:
        raise UserError(f"An Ensemble expects two teachers or more, got {len(given.teachers)}.")
    members = []
    for number, teacher in enumerate(given.teachers):
        box = _black_box(teacher, normalise, data, views) if isinstance(teacher, str) else None
        if box is not None and box.metered is not None:
            raise UserError("Every question to a teacher behind an address counts, so it cannot be in an ensemble.")
        model = None if box else _teacher_plan(teacher, normalise, data)
        members.append(Member(str(number + 1), number, model, box))
    return EnsemblePlan(tuple(members), combination)


def _teacher_plan(teacher: nn.Module | str | Path, normalise: Normalisation, data: Data) -> TeacherPlan:
    if isinstance(teacher, (str, Path)):
        return TeacherPlan(teacher_of_run(Path(str(teacher).removeprefix("run:")), data), None)
    if not isinstance(teacher, nn.Module):
        raise ModelError(f"teacher expects a trained module or the folder of a run, got {type(teacher).__name__}.")
    scaling = data.scaling
    net = teacher if scaling is None else InUnits(teacher, scaling.mean, scaling.scale)
    model = ModelPlan(lambda: copy.deepcopy(net), None, _title(teacher), _normaliser(normalise, data), fresh=False)
    return TeacherPlan(model, None)


def _normaliser(choice: Normalisation, data: Data) -> Normalise | None:
    if choice == "none" or (choice == "data" and data.preprocessing is not None):
        return None
    if choice == "data":
        return Normalise(*data.statistics())
    if isinstance(choice, tuple) and len(choice) == 2:
        return Normalise(*choice)
    raise ModelError(f"normalisation expects 'data', 'none' or (mean, std), got {choice!r}.")


def _title(module: nn.Module) -> str:
    return type(module).__name__


def _described(plan: Plan) -> Plan:
    """Return the plan with the text that stands for its recipe; it decides whether a run may be resumed."""
    stage = plan.stages[0]
    teacher: dict[str, Any] | None = None
    if plan.teacher is not None:
        made = plan.model(plan.teacher.model, plan.seeds[0])
        teacher = {"python": plan.teacher.model.title, "sha256": checksum(made.net)}
    elif plan.black_box is not None:
        answers = plan.black_box.open(plan.data.pool, plan.data.train)
        teacher = {"black_box": plan.black_box.title, "sha256": answers.fingerprint}
    content = {
        "name": plan.name,
        "seed": plan.seeds[0],
        "seeds": len(plan.seeds),
        "data": {
            "source": "python",
            "from": plan.data.source,
            "labels_per_class": plan.labels_per_class,
            "unlabelled_classes": list(plan.unlabelled_classes),
            "augment": [str(transform) for transform in plan.views.transforms] if plan.views else [],
            "views": plan.views.count if plan.views else None,
        },
        "teacher": teacher,
        "student": {
            "python": plan.student.title,
            "new_weights_per_seed": plan.student.fresh,
            "sha256": None if plan.student.fresh else checksum(plan.model(plan.student, plan.seeds[0]).net),
            "train": asdict(stage.settings),
        },
        "objective": stage.objective.describe(),
        "controls": list(plan.controls),
        "margin": plan.margin,
        "export": {"onnx": plan.onnx, "int8": plan.int8, "tolerance": plan.tolerance},
    }
    return replace(plan, recipe=yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
