"""Plans that are sound, and the same plans with one fault planted in them, for preflight to find.

Two kinds of data: scikit-learn's handwritten digits, and pictures drawn here, whose classes differ in colour and
shape. A fault is a function that takes a sound case and gives it back with the fault in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import limbeck
from limbeck.models import CNN, MLP, Linear

Kind = str
DIGITS, DRAWN, BARS = "digits", "drawn", "bars"
EPOCHS = 8


@dataclass(frozen=True)
class Case:
    """What `limbeck.check` is given. x, y: uint8 [N, C, H, W] and int64 [N] of train, test_x and test_y of test."""

    kind: Kind
    seed: int
    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    teacher: nn.Module
    student: Callable[[], nn.Module]
    classes: int
    options: dict[str, Any] = field(default_factory=dict)

    def data(self) -> limbeck.Data:
        """Return the data, split by the seed."""
        names = [f"class {number}" for number in range(self.classes)]
        return limbeck.Data.from_arrays(
            (self.x, self.y), (self.test_x, self.test_y), classes=names, split_seed=self.seed
        )

    def check(self) -> list[limbeck.Finding]:
        """Return what preflight finds; a refusal to make a plan counts as a fault named `refused`."""
        try:
            return limbeck.check(self.teacher, self.student, self.data(), device="cpu", **self.options)
        except limbeck.UserError as error:
            return [limbeck.Finding("fault", "refused", str(error))]


@cache
def pictures(kind: Kind, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [N, C, H, W] and int64 [N], in an order drawn by the seed."""
    random = np.random.default_rng(seed)
    if kind == DIGITS:
        levels, labels = load_digits(return_X_y=True)
        x = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    else:
        labels = np.arange(1200) % (6 if kind == DRAWN else 10)
        x = np.stack([(_shape if kind == DRAWN else _bar)(int(label), random) for label in labels])
    order = random.permutation(len(labels))
    return x[order], labels[order].astype(np.int64)


def _shape(label: int, random: np.random.Generator) -> np.ndarray:
    """Draw a square or a cross in red, green or blue, somewhere, on a noisy ground: uint8 [3, 12, 12]."""
    picture = random.normal(90, 25, (3, 12, 12))
    size, colour = int(random.integers(2, 4)), label % 3
    row, column = random.integers(size, 12 - size, 2)
    mask = np.zeros((12, 12), dtype=bool)
    if label < 3:
        mask[row - size : row + size + 1, column - size : column + size + 1] = True
    else:
        mask[row, column - size : column + size + 1] = mask[row - size : row + size + 1, column] = True
    picture[colour][mask] += random.uniform(90, 150)
    return picture.clip(0, 255).astype(np.uint8)


def _bar(label: int, random: np.random.Generator) -> np.ndarray:
    """Draw a bar in one of ten directions on a noisy ground: uint8 [1, 8, 8]."""
    rows, columns = np.mgrid[-3.5:4, -3.5:4]
    angle = np.pi * label / 10
    distance = np.abs(rows * np.cos(angle) - columns * np.sin(angle) + random.uniform(-1, 1))
    picture = 220 * (distance < 1) + random.normal(20, 15, (8, 8))
    return picture.clip(0, 255).astype(np.uint8)[None]


@cache
def trained(kind: Kind, seed: int, scale: float = 1.0) -> nn.Module:
    """Return a small convolutional teacher for pictures in 0..scale, in evaluation mode, trained on the first 80 %."""
    torch.manual_seed(seed)
    x, y = pictures(kind, seed)
    count = len(y) * 4 // 5
    inputs, labels = torch.from_numpy(x[:count]).float() * (scale / 255), torch.from_numpy(y[:count])
    net = CNN(x.shape[1:], int(y.max()) + 1, width=12, dropout=0.2)
    mean, std = inputs.mean((0, 2, 3)), inputs.std((0, 2, 3))
    net = nn.Sequential(_Fixed(mean, std), net) if scale != 1.0 else net
    shown = inputs if scale != 1.0 else (inputs - mean[:, None, None]) / std[:, None, None]
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    steps = EPOCHS * count // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(count, (64,))
        optimizer.zero_grad()
        functional.cross_entropy(net(shown[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return net.eval()


class _Fixed(nn.Module):
    """A normalisation that is a part of the net itself."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", std[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def drawn_by(seed: int) -> int:
    """Return the seed of pictures and teacher: ten of them for a hundred cases."""
    return seed // 100 * 10 + seed % 10


def sound(seed: int, kind: Kind | None = None) -> Case:
    """Return a case without a fault; data, student, augmentation and settings vary with the seed."""
    kind = kind or (DIGITS, DRAWN)[seed % 2]
    x, y = pictures(kind, drawn_by(seed))
    count, classes, shape = len(y) * 4 // 5, int(y.max()) + 1, x.shape[1:]
    students: list[Callable[[], nn.Module]] = [
        lambda: MLP(shape, classes, hidden=[24]),
        lambda: CNN(shape, classes, width=4),
        lambda: Linear(shape, classes),
        lambda: MLP(shape, classes, hidden=[32, 16]),
    ]
    options: dict[str, Any] = {
        "teacher_normalise": "data",
        "seed": seed,
        "augment": [limbeck.Shift(1)] if seed % 5 == 0 else [],
        "labels_per_class": 10 if seed % 7 == 3 else None,
        "train": limbeck.Settings(lr=(0.003, 0.01)[seed % 2], optimizer=("adamw", "adam", "sgd")[seed % 3], epochs=20),
    }
    teacher = copy.deepcopy(trained(kind, drawn_by(seed)))
    student = students[seed // 2 % len(students)]
    return Case(kind, seed, x[:count], y[:count], x[count:], y[count:], teacher, student, classes, options)


def _with(case: Case, **options: Any) -> Case:
    return replace(case, options={**case.options, **options})


def imagenets_normalisation(case: Case) -> Case:
    mean, std = ([0.485], [0.229]) if case.kind == DIGITS else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return _with(case, teacher_normalise=(mean, std))


def mnists_normalisation(case: Case) -> Case:
    channels = case.x.shape[1]
    return _with(case, teacher_normalise=([0.1307] * channels, [0.3081] * channels))


def no_normalisation(case: Case) -> Case:
    return _with(case, teacher_normalise="none")


def teacher_wants_255(case: Case) -> Case:
    return _with(
        replace(case, teacher=copy.deepcopy(trained(case.kind, drawn_by(case.seed), 255.0))), teacher_normalise="none"
    )


def inverted(case: Case) -> Case:
    return replace(case, x=255 - case.x, test_x=255 - case.test_x)


def channels_reversed(case: Case) -> Case:
    return replace(case, x=case.x[:, ::-1].copy(), test_x=case.test_x[:, ::-1].copy())


class _Renamed(nn.Module):
    def __init__(self, net: nn.Module, order: list[int]) -> None:
        super().__init__()
        self.net, self.order = net, order

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, self.order]


def two_classes_swapped(case: Case) -> Case:
    one, other = np.random.default_rng(case.seed).permutation(case.classes)[:2].tolist()
    order = list(range(case.classes))
    order[one], order[other] = other, one
    return replace(case, teacher=_Renamed(case.teacher, order).eval())


def classes_in_random_order(case: Case) -> Case:
    order = np.random.default_rng(case.seed).permutation(case.classes).tolist()
    order = order if order != sorted(order) else order[::-1]
    return replace(case, teacher=_Renamed(case.teacher, order).eval())


def labels_off_by_one(case: Case) -> Case:
    return replace(case, y=(case.y + 1) % case.classes, test_y=(case.test_y + 1) % case.classes)


def random_teacher(case: Case) -> Case:
    torch.manual_seed(case.seed)
    return replace(case, teacher=CNN(case.x.shape[1:], case.classes, width=12).eval())


def teacher_of_other_data(case: Case) -> Case:
    return replace(case, teacher=copy.deepcopy(trained(BARS, drawn_by(case.seed))))


def teacher_of_fewer_classes(case: Case) -> Case:
    return replace(case, teacher=_Renamed(case.teacher, list(range(case.classes - 1))).eval())


class _Stuck(nn.BatchNorm2d):
    """A batch norm that never leaves training mode."""

    def train(self, mode: bool = True) -> _Stuck:
        return super().train(True)


def batch_norm_in_train_mode(case: Case) -> Case:
    for part in case.teacher.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.__class__ = _Stuck
            part.train()
    return case


class _AlwaysDropped(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(functional.dropout(x, 0.1))


def dropout_always_on(case: Case) -> Case:
    return replace(case, teacher=_AlwaysDropped(case.teacher).eval())


def handed_over_in_train_mode(case: Case) -> Case:
    case.teacher.train()
    return case


def splits_exchanged(case: Case) -> Case:
    return replace(case, x=case.test_x, y=case.test_y, test_x=case.x, test_y=case.y)


def test_duplicated(case: Case) -> Case:
    count = len(case.test_y) // 10
    return replace(
        case,
        test_x=np.concatenate([case.x[:count], case.test_x[count:]]),
        test_y=np.concatenate([case.y[:count], case.test_y[count:]]),
    )


def test_nearly_duplicated(case: Case) -> Case:
    count = len(case.test_y) // 10
    case = test_duplicated(case)
    brighter = (case.test_x[:count].astype(int) + 40).clip(0, 255).astype(np.uint8)
    return replace(case, test_x=np.concatenate([brighter, case.test_x[count:]]))


class _Student(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.first = nn.Linear(int(np.prod(case.x.shape[1:])), 24)
        self.second = nn.Linear(24, 24)
        self.head = nn.Linear(24, case.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x.flatten(1)).relu()).relu())


class _Detached(_Student):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x.flatten(1)).relu()).relu().detach())


def dead_layer(case: Case) -> Case:
    student = _Student(case)
    student.second.bias.data.fill_(-1000.0)
    return replace(case, student=student)


def detached_layer(case: Case) -> Case:
    return replace(case, student=lambda: _Detached(case))


def frozen_layer(case: Case) -> Case:
    student = _Student(case)
    student.first.requires_grad_(False)
    return replace(case, student=student)


def nan_in_student(case: Case) -> Case:
    student = _Student(case)
    student.second.weight.data[0, 0] = torch.nan
    return replace(case, student=student)


def nan_in_teacher(case: Case) -> Case:
    next(case.teacher.parameters()).data[0] = torch.nan
    return case


def student_of_fewer_classes(case: Case) -> Case:
    return replace(case, student=lambda: MLP(case.x.shape[1:], case.classes - 1))


def black_pictures(case: Case) -> Case:
    x = case.x.copy()
    x[::10] = 0
    return replace(case, x=x)


def class_missing(case: Case) -> Case:
    kept = case.y != case.seed % case.classes
    return replace(case, x=case.x[kept], y=case.y[kept])


def labels_shuffled(case: Case) -> Case:
    return replace(case, y=np.random.default_rng(case.seed).permutation(case.y))


def labels_noisy(case: Case) -> Case:
    random, y = np.random.default_rng(case.seed), case.y.copy()
    wrong = random.random(len(y)) < 0.15
    y[wrong] = (y[wrong] + random.integers(1, case.classes, int(wrong.sum()))) % case.classes
    return replace(case, y=y)


def weight_zero(case: Case) -> Case:
    return _with(case, objective=limbeck.Objective([(0.0, limbeck.SoftLabels()), (0.1, limbeck.CrossEntropy())]))


def rate_absurd(case: Case) -> Case:
    return _with(case, train=limbeck.Settings(lr=100.0))


def rate_vanishing(case: Case) -> Case:
    return _with(case, train=limbeck.Settings(lr=1e-9))


@dataclass(frozen=True)
class Fault:
    """plant: puts the fault in; names: findings of which one must be raised; kind: of data, None for either."""

    plant: Callable[[Case], Case]
    names: tuple[str, ...]
    kind: Kind | None = None


FAULTS = (
    Fault(imagenets_normalisation, ("normalisation",)),
    Fault(mnists_normalisation, ("normalisation",)),
    Fault(no_normalisation, ("normalisation",)),
    Fault(teacher_wants_255, ("normalisation",)),
    Fault(inverted, ("normalisation",)),
    Fault(channels_reversed, ("channel_order",), DRAWN),
    Fault(two_classes_swapped, ("class_order",)),
    Fault(classes_in_random_order, ("class_order",)),
    Fault(labels_off_by_one, ("class_order",)),
    Fault(random_teacher, ("teacher_accuracy",)),
    Fault(teacher_of_other_data, ("teacher_accuracy",), DIGITS),
    Fault(teacher_of_fewer_classes, ("teacher_outputs",)),
    Fault(batch_norm_in_train_mode, ("eval_mode",)),
    Fault(dropout_always_on, ("eval_mode",)),
    Fault(handed_over_in_train_mode, ("eval_mode",)),
    Fault(splits_exchanged, ("splits",)),
    Fault(test_duplicated, ("duplicates",)),
    Fault(test_nearly_duplicated, ("near_duplicates",)),
    Fault(dead_layer, ("gradient", "student_constant")),
    Fault(detached_layer, ("gradient",)),
    Fault(frozen_layer, ("frozen",)),
    Fault(nan_in_student, ("weights",)),
    Fault(nan_in_teacher, ("weights",)),
    Fault(student_of_fewer_classes, ("student_outputs",)),
    Fault(black_pictures, ("inputs",)),
    Fault(class_missing, ("classes", "refused")),
    Fault(labels_shuffled, ("labels",)),
    Fault(labels_noisy, ("labels",)),
    Fault(weight_zero, ("objective",)),
    Fault(rate_absurd, ("learning_rate",)),
    Fault(rate_vanishing, ("learning_rate",)),
)
