from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.dataset import Data
from limbeck.run.answers import Answers
from limbeck.run.jobs import Trained
from limbeck.run.pictures import LARGEST_SIDE, SHOWN, curves, disagreements
from limbeck.train.loop import Progress


def data_of(inputs: torch.Tensor) -> Data:
    labels = torch.arange(len(inputs)) % 3
    return Data.from_arrays((inputs, labels), (inputs, labels), classes=["a", "b", "c"])


def certain(classes: torch.Tensor, confidence: np.ndarray | float = 0.9) -> np.ndarray:
    scores = np.full((len(classes), 3), 0.0) + (1 - np.asarray(confidence)).reshape(-1, 1) / 2
    scores[np.arange(len(classes)), classes] = confidence
    return scores[None]


def decoded(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png)))


def shown(inputs: torch.Tensor, **given: Any) -> list[dict[str, Any]]:
    data = data_of(inputs)
    labels = data.test.labels
    teacher = Answers(certain(labels), (0,), labels.numpy())
    student = Answers(certain((labels + 1) % 3, **given), (0,), labels.numpy())
    return disagreements(teacher, student, 0, data)


def test_a_disagreement_names_sample_classes_and_confidence() -> None:
    inputs = torch.randint(0, 256, (30, 1, 5, 7), dtype=torch.uint8)
    found = shown(inputs, confidence=0.6)
    assert len(found) == SHOWN
    data = data_of(inputs)
    row = data.test.ids.index(found[0]["id"])
    assert found[0]["label"] == data.classes[row % 3] == found[0]["teacher"]["class"]
    assert found[0]["student"] == {"class": data.classes[(row + 1) % 3], "probability": pytest.approx(0.6)}
    picture = decoded(found[0]["png"])
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), inputs[row, 0].numpy())


def test_lost_samples_come_first_then_the_most_confident() -> None:
    data = data_of(torch.rand(9, 4))
    labels = data.test.labels.numpy()
    theirs, mine = torch.tensor(labels.copy()), torch.tensor(labels.copy())
    theirs[3], theirs[4] = (theirs[3] + 1) % 3, (theirs[4] + 1) % 3  # the student is right
    mine[6], mine[7] = (mine[6] + 1) % 3, (mine[7] + 1) % 3  # the teacher is right
    confidence = np.array([0.9, 0.9, 0.9, 0.95, 0.99, 0.9, 0.6, 0.7, 0.9])
    teacher, student = Answers(certain(theirs), (5,), labels), Answers(certain(mine, confidence), (5,), labels)
    found = disagreements(teacher, student, 5, data)
    assert [one["id"] for one in found] == [data.test.ids[row] for row in (7, 6, 4, 3)]
    assert all(one["png"] is None for one in found), "a vector has no picture"


def test_the_teacher_of_the_same_seed_is_asked() -> None:
    data = data_of(torch.rand(6, 4))
    labels = data.test.labels
    other = np.concatenate([certain(labels), certain((labels + 1) % 3)])
    teacher = Answers(other, (0, 1), labels.numpy())
    student = Answers(other.copy(), (0, 1), labels.numpy())
    assert disagreements(teacher, student, 1, data) == []
    assert len(disagreements(teacher, Answers(other[::-1], (0, 1), labels.numpy()), 1, data)) == 6


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_float_pictures_are_drawn_in_their_own_colours(channels: int, mode: str) -> None:
    inputs = torch.rand(6, channels, 4, 4)
    picture = decoded(shown(inputs)[0]["png"])
    assert picture.mode == mode
    assert np.asarray(picture).max() > 1


def test_large_pictures_are_made_small_and_odd_ones_left_out() -> None:
    large = torch.zeros(6, 3, 2 * LARGEST_SIDE, LARGEST_SIDE, dtype=torch.uint8)
    assert decoded(shown(large)[0]["png"]).size == (LARGEST_SIDE // 2, LARGEST_SIDE)
    assert shown(torch.zeros(6, 2, 4, 4, dtype=torch.uint8))[0]["png"] is None


def test_curves_have_an_entry_for_each_seed_that_was_trained() -> None:
    history = [{"epoch": n, "loss": 1 / n, "accuracy": None} for n in (1, 2)]
    fits = [
        Trained(None, Path(), Progress(history=history), 4, 1.0, 2),  # type: ignore[arg-type]
        Trained(None, Path(), Progress(), 5, 1.0, 0),  # type: ignore[arg-type]
    ]
    known = {"seed": 4, "epochs": [1, 2], "loss": [1.0, 0.5], "accuracy": [None, None]}
    assert curves(fits) == [{**known, "gradients": [None, None]}]
