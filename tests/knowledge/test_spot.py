"""Stored answers that are not the teacher's are found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.data.per_sample import PerSample
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.errors import FolderError
from limbeck.knowledge.form import Dense, Form, Top
from limbeck.knowledge.label import Labeller, fill
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.manifest import manifest_for
from limbeck.knowledge.spot import CHECKED, spot_check
from limbeck.knowledge.store import Store, open_store
from limbeck.knowledge.verify import verify, verify_against
from limbeck.models import CNN
from limbeck.models.adapt import Adapted
from limbeck.teachers.module import ModuleTeacher

N = 200


def labelled(place: Path, views: Views, form: Form) -> tuple[Store, Labeller]:
    torch.manual_seed(0)
    teacher = ModuleTeacher(Adapted(CNN((1, 8, 8), 5, width=4), classes=5))
    inputs = torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    samples = Samples(inputs, torch.zeros(N, dtype=torch.int64), tuple(map(str, range(N))))
    store, labeller = (
        open_store(place, manifest_for(teacher, views, "cpu", form)),
        Labeller(teacher, samples, views, form),
    )
    for view in range(2):
        fill(labeller, store, view, Ledger())
    return store, labeller


def brighter(x: Tensor, generator: torch.Generator) -> Tensor:
    return x * 0.5 + 0.5


@pytest.mark.parametrize("form", [Dense(5), Top(2, (1.0, 4.0))])
def test_it_asks_about_32_rows_and_agrees(tmp_path: Path, form: Form) -> None:
    store, labeller = labelled(tmp_path / "s", Views([Shift(2), Flip()], count=2), form)
    before = labeller.teacher.asked
    assert spot_check(store, labeller, range(2)) == labeller.teacher.asked - before == CHECKED >= 32
    found = verify_against(store, labeller, range(2))
    assert found.sound
    assert (found.rows, found.missing, found.wrong) == (2 * N, 0, 0)


@pytest.mark.parametrize("form", [Dense(5), Top(2, (1.0, 4.0))])
def test_a_transform_whose_code_changed_is_noticed(tmp_path: Path, form: Form) -> None:
    def own(x: Tensor, generator: torch.Generator) -> Tensor:
        return x.flip(2)

    store, _ = labelled(tmp_path / "s", Views([PerSample(own)], count=2), form)
    same_name = brighter
    same_name.__name__ = "own"
    _, changed = labelled(tmp_path / "other", Views([PerSample(same_name)], count=2), form)
    assert Store(tmp_path / "s").folder == store.folder
    with pytest.raises(
        FolderError, match=r"is not what the teacher says now: \d+ of 32 answers .* limbeck knowledge rm"
    ):
        spot_check(store, changed, range(2))
    found = verify_against(store, changed, range(2))
    assert not found.sound
    assert found.missing == 0
    assert found.wrong is not None
    assert found.wrong > 0.9 * N  # view 0 has not changed


def test_files_are_checked_without_a_teacher(tmp_path: Path) -> None:
    store, labeller = labelled(tmp_path / "s", Views([Flip()], count=2), Dense(5))
    assert verify(store).sound
    path = next((tmp_path / "s").glob("*.rows"))
    content = bytearray(path.read_bytes())
    content[50] ^= 4
    path.write_bytes(content)
    found = verify(store)
    assert not found.sound
    assert (found.rows, found.broken, found.wrong) == (N, (path.name,), None)
    assert verify_against(Store(tmp_path / "s"), labeller, range(2)).missing == N
