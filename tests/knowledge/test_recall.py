from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import limbeck.knowledge.label
import limbeck.knowledge.recall
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.knowledge.form import Dense
from limbeck.knowledge.label import Labeller
from limbeck.knowledge.recall import Recalled, remember
from limbeck.models import CNN
from limbeck.models.adapt import Adapted
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.types import Batch, Knowledge

N, V = 20, 3


def samples() -> Samples:
    inputs = torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Samples(inputs, torch.zeros(N, dtype=torch.int64), tuple(f"sample {i}" for i in range(N)))


def views(*, flip: float = 0.5) -> Views:
    return Views([Shift(2), Flip(flip)], seed=1, count=V)


def live() -> ModuleTeacher:
    torch.manual_seed(0)
    return ModuleTeacher(Adapted(CNN((1, 8, 8), 4, width=2), classes=4))


def logits(teacher: Teacher, batch: Batch) -> Tensor:
    found = teacher(batch).logits
    assert found is not None
    return found


def recalled(shown: Views | None) -> Recalled:
    return Recalled(Labeller(live(), SAMPLES, shown, Dense(4)))


def assert_close(stored: Tensor, said: Tensor) -> None:
    """Equal up to the rounding to fp16."""
    torch.testing.assert_close(stored, said, rtol=2**-10, atol=1e-4)


SAMPLES, VIEWS, LIVE = samples(), views(), live()
STORED = recalled(VIEWS)


def shown(rows: list[int], numbers: list[int]) -> Batch:
    return SAMPLES.batch(torch.tensor(rows), view=torch.tensor(numbers), views=VIEWS)


@pytest.mark.parametrize("view", range(V))
def test_stored_equals_live_under_every_view(view: int) -> None:
    batch = shown(list(range(N)), [view] * N)
    assert_close(logits(STORED, batch), logits(LIVE, batch))


@given(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, V - 1)), min_size=1, max_size=30))
@settings(max_examples=25)
def test_stored_equals_live_for_mixed_views_in_any_order(pairs: list[tuple[int, int]]) -> None:
    batch = shown([row for row, _ in pairs], [view for _, view in pairs])
    assert_close(logits(STORED, batch), logits(LIVE, batch))


def test_a_flipped_picture_is_asked_about_anew() -> None:
    flipped = Views([Flip(1.0)], seed=1, count=2)
    teacher, stored = live(), recalled(flipped)
    rows = torch.arange(N)
    batch = SAMPLES.batch(rows, view=torch.ones(N, dtype=torch.int64), views=flipped)
    mirrored = Batch(SAMPLES.batch(rows).inputs.flip(3))
    assert_close(logits(stored, batch), logits(teacher, mirrored))
    assert not torch.allclose(logits(stored, batch), logits(teacher, SAMPLES.batch(rows)), atol=1e-3)


def test_the_first_batch_may_be_of_any_view() -> None:
    batches = [shown([3, 1, 3, 0], [2, 2, 2, 2]), shown([0, 1, 5, 9], [0, 1, 0, 2])]
    forward, backward = recalled(VIEWS), recalled(VIEWS)
    first = [logits(forward, batch) for batch in batches]
    second = [logits(backward, batch) for batch in reversed(batches)]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(second), strict=True))


def test_every_view_is_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limbeck.knowledge.label, "CHUNK", 7)
    stored = recalled(VIEWS)
    assert stored.asked == 0
    for _ in range(3):
        stored(shown([1, 2, 3], [1, 1, 1]))
    assert stored.asked == N
    stored(shown([1, 2, 3], [0, 1, 2]))
    assert stored.asked == stored.teacher.asked == V * N
    batch = shown(list(range(N)), [1] * N)
    assert_close(logits(stored, batch), logits(LIVE, batch))


def test_without_views_every_batch_is_the_untouched_sample() -> None:
    stored = recalled(None)
    batch = SAMPLES.batch(torch.tensor([4, 2, 4]))
    assert_close(logits(stored, batch), logits(LIVE, batch))
    assert stored.asked == N


def test_it_passes_for_its_teacher() -> None:
    stored = recalled(VIEWS)
    assert (stored.provides, stored.classes) == (
        LIVE.provides - {"features", "gradients"},
        LIVE.classes,
    )  # answers alone
    assert stored.fingerprint == stored.current_fingerprint()
    assert stored.fingerprint != LIVE.fingerprint  # the rounding to fp16 may move a student's last bits


class NamesClasses(Teacher):
    provides = frozenset({"labels"})
    classes, fingerprint = 4, "none"

    def current_fingerprint(self) -> str:
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        return Knowledge(labels=torch.zeros(len(batch.inputs), dtype=torch.int64))


def test_knowledge_is_kept_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(remember(LIVE, SAMPLES, VIEWS), Recalled)
    assert isinstance(remember(LIVE, SAMPLES, None), Recalled)
    assert remember(LIVE, SAMPLES, Views([Shift(1)])) is LIVE  # a new view at every showing
    labeller = NamesClasses()
    assert remember(labeller, SAMPLES, None) is labeller
    monkeypatch.setattr(limbeck.knowledge.recall, "LIMIT_BYTES", V * N * 4 * 2)
    assert isinstance(remember(LIVE, SAMPLES, VIEWS), Recalled)
    monkeypatch.setattr(limbeck.knowledge.recall, "LIMIT_BYTES", V * N * 4 * 2 - 1)
    assert remember(LIVE, SAMPLES, VIEWS) is LIVE
