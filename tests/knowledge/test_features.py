"""Stored features are those of the frozen network, under every view, and of nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from limbeck.data.mixup import Mixup, Partners
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.errors import Failure, FolderError, ModelError
from limbeck.knowledge.features import Features, bytes_of
from limbeck.knowledge.form import Vectors
from limbeck.knowledge.manifest import manifest_for
from limbeck.knowledge.store import Store, open_store
from limbeck.models import CNN
from limbeck.models.adapt import Adapted
from limbeck.teachers.module import ModuleTeacher
from limbeck.types import Batch

N, V, D = 40, 3, 6
SAMPLES = Samples(
    torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0)),
    torch.arange(N) % 4,
    tuple(f"sample {i}" for i in range(N)),
)
PARTNERS = Partners.among(torch.arange(N), SAMPLES.keys, SAMPLES.labels)
VIEWS = Views([Shift(2), Flip(), Mixup()], seed=1, count=V, partners=PARTNERS)
EVERY = torch.arange(N)


def network(seed: int = 0) -> ModuleTeacher:
    torch.manual_seed(seed)
    return ModuleTeacher(Adapted(CNN((1, 8, 8), D, width=2), classes=D))


def features(
    place: Path | None = None, *, resident: bool = True, views: Views | None = VIEWS, by: ModuleTeacher | None = None
) -> Features:
    by = by or network()
    store = None if place is None else open_store(place, manifest_for(by, views, "cpu", Vectors(D)))
    return Features(by, SAMPLES, views, V, store, resident)


def filled(found: Features) -> Features:
    for view in range(V):
        found.prepare(EVERY, view)
    return found


def live(batch: Batch) -> Tensor:
    found = network()(batch).logits
    assert found is not None
    return found


FILLED = filled(features())


@given(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, V - 1)), min_size=1, max_size=30))
@settings(max_examples=25)
def test_they_equal_the_live_network_under_every_view_mixed_ones_too(pairs: list[tuple[int, int]]) -> None:
    rows, view = torch.tensor(pairs).T
    wanted = SAMPLES.batch(rows, view=view, views=VIEWS)
    found = FILLED.shown().batch(rows, view=view, views=VIEWS)
    torch.testing.assert_close(found.inputs, live(wanted))
    for name in ("labels", "index", "view", "partner", "partner_labels", "share"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert isinstance(one, Tensor) and torch.equal(one, other), name


def test_samples_of_features_look_like_vectors() -> None:
    shown = FILLED.shown()
    assert (shown.shape, shown.kind, len(shown), shown.ids) == ((D,), "vector", N, SAMPLES.ids)
    assert bytes_of(SAMPLES, D, V) == 4 * N * D * V


@pytest.mark.parametrize("resident", [True, False])
def test_a_store_is_filled_once_and_read_by_the_next(tmp_path: Path, resident: bool) -> None:
    first = features(tmp_path / "s", resident=resident)
    first.prepare(EVERY[:10], 0)
    assert first.asked == 10
    filled(first)
    assert first.asked == first.network.asked == V * N
    again = filled(features(tmp_path / "s", resident=resident))
    assert again.asked == again.network.asked == 0
    rows, view = torch.tensor([3, 0, 39, 3]), torch.tensor([2, 0, 1, 1])
    for one in (first, again):
        torch.testing.assert_close(one(rows, view), FILLED(rows, view))
    assert Store(tmp_path / "s").form == Vectors(D)


def test_only_what_is_missing_is_asked_for() -> None:
    found, heard = features(), list[int]()
    found.prepare(EVERY[5:15], 1, heard.append)
    found.prepare(EVERY[:20], 1, heard.append)
    found.prepare(EVERY[:20], 1, heard.append)
    assert (found.asked, heard) == (20, [10, 10])


@pytest.mark.parametrize(("row", "view"), [(20, 1), (0, 0)])
def test_what_was_not_prepared_is_an_error(row: int, view: int) -> None:
    found = features()
    found.prepare(EVERY[:20], 1)
    with pytest.raises(Failure, match="feature is missing; this is a bug"):
        found(torch.tensor([row]), torch.tensor([view]))


def test_without_views_every_showing_is_the_untouched_sample() -> None:
    found = features(views=None)
    found.prepare(EVERY, 0)
    batch = found.shown().batch(torch.tensor([4, 2, 4]))
    torch.testing.assert_close(batch.inputs, live(SAMPLES.batch(torch.tensor([4, 2, 4]))))


def test_the_store_of_another_network_is_refused(tmp_path: Path) -> None:
    features(tmp_path / "s")
    with pytest.raises(FolderError, match=r"is not this run's: the teacher \(.*\) differs"):
        features(tmp_path / "s", by=network(1))


def test_features_that_are_no_numbers_are_refused() -> None:
    broken = Adapted(nn.Sequential(nn.Flatten(), nn.Linear(64, D)), classes=D)
    nn.init.constant_(broken.net[1].bias, torch.inf)  # type: ignore[index, arg-type]
    with pytest.raises(ModelError, match="features that are not finite numbers"):
        features(by=ModuleTeacher(broken)).prepare(EVERY, 0)
