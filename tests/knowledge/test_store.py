"""The store: what it holds, what it costs, and whom it refuses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import limbeck.knowledge.label
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.errors import DiskError, Failure, FolderError
from limbeck.knowledge.form import Dense, Form, Top
from limbeck.knowledge.label import Labeller, Share, count_missing, fill
from limbeck.knowledge.ledger import Ledger, open_ledger
from limbeck.knowledge.manifest import manifest_for
from limbeck.knowledge.names import names_of
from limbeck.knowledge.recall import Recalled
from limbeck.knowledge.shards import ABANDONED_SECONDS
from limbeck.knowledge.store import Store, open_store
from limbeck.knowledge.verify import verify_against
from limbeck.models import CNN
from limbeck.models.adapt import Adapted
from limbeck.teachers.module import ModuleTeacher

CLASSES = 10


def pictures(count: int, *, first: int = 0) -> Samples:
    """Samples first to first + count of an endless set: each is the same whatever else there is."""
    inputs = torch.randint(0, 256, (first + count, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))[first:]
    return Samples(inputs, torch.zeros(count, dtype=torch.int64), tuple(f"p{i}" for i in range(first, first + count)))


def teacher_of(seed: int = 0, classes: int = CLASSES) -> ModuleTeacher:
    torch.manual_seed(seed)
    return ModuleTeacher(Adapted(CNN((1, 8, 8), classes, width=4), classes=classes))


def views_of(count: int = 2, *, seed: int = 1) -> Views:
    return Views([Shift(2), Flip()], seed=seed, count=count)


Opened = tuple[Store, Labeller]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Opened]:
    """Open the store in a folder for a teacher, samples and views; gives it with what fills it."""

    def open_for(
        samples: Samples, views: Views | None = None, form: Form | None = None, teacher: ModuleTeacher | None = None
    ) -> Opened:
        asked, kept = teacher or teacher_of(), form or Dense(CLASSES)
        store = open_store(tmp_path / "store", manifest_for(asked, views, "cpu", kept, "cnn"))
        return store, Labeller(asked, samples, views, kept)

    return open_for


Open = Callable[..., Opened]


def label(opened: Opened, numbers: range, **how: Share) -> Ledger:
    ledger = Ledger()
    for view in numbers:
        fill(*reversed(opened), view, ledger, **how)
    return ledger


def rows_of(labeller: Labeller) -> torch.Tensor:
    return torch.arange(len(labeller.samples))


@pytest.mark.parametrize("form", [Dense(CLASSES), Top(4, (1.0, 4.0))])
def test_ten_views_read_back_as_the_live_teacher_on_the_same_pixels(opened: Open, form: Dense | Top) -> None:
    samples, views = pictures(150), views_of(10)
    store, labeller = opened(samples, views, form)
    label((store, labeller), range(10))
    rows = torch.randperm(150)
    for view in range(10):
        shown = samples.batch(rows, view=torch.full_like(rows, view), views=views)
        live = form.columns(teacher_of()(shown).logits)
        for stored, said in zip(store.read(labeller.names(rows, view)), live, strict=True):
            torch.testing.assert_close(stored.float(), said.float(), rtol=2**-10, atol=2e-4)


def test_a_hundred_samples_more_cost_a_hundred_forwards_a_view(opened: Open) -> None:
    teacher, views = teacher_of(), views_of(2)
    label(opened(pictures(500), views, teacher=teacher), range(2))
    assert teacher.asked == 1000
    more, labeller = opened(pictures(600), views, teacher=teacher)
    assert count_missing(labeller, more, range(2)) == 200
    ledger = label((more, labeller), range(2))
    assert (teacher.asked, ledger.asked, len(more)) == (1200, 200, 1200)


def test_order_and_place_of_the_samples_do_not_matter(opened: Open) -> None:
    label(opened(pictures(100)), range(1))
    teacher = teacher_of()
    store, labeller = opened(pictures(40, first=30), teacher=teacher)
    assert count_missing(labeller, store, [0]) == 0
    columns = store.read(labeller.names(rows_of(labeller), 0))
    torch.testing.assert_close(columns[0].float(), labeller.scores(rows_of(labeller), 0), rtol=1e-3, atol=1e-3)


def test_a_picture_that_changed_under_its_id_is_asked_about_again(opened: Open) -> None:
    samples = pictures(100)
    label(opened(samples), range(1))
    inputs = samples.inputs.clone()
    inputs[7, 0, 3, 3] += 1
    store, labeller = opened(Samples(inputs, samples.labels, samples.ids))
    assert (~store.has(labeller.names(rows_of(labeller), 0))).nonzero()[0].tolist() == [7]


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5), st.integers(0, 5))
def test_a_name_tells_samples_and_views_apart(row: int, other: int, view: int, second: int) -> None:
    samples = pictures(10)
    names = names_of(samples, torch.tensor([row, other]), torch.tensor([view, second]))
    assert (names[0] == names[1]) == ((row, view) == (other, second))


def test_what_sixty_thousand_rows_take(tmp_path: Path) -> None:
    names, logits = torch.randperm(60_000), torch.randn(60_000, 100)
    for form, limit in ((Dense(100), 2 * 100 + 16), (Top(32, (1.0, 2.0, 4.0, 8.0, 20.0)), 6 * 32 + 40)):
        store = open_store(tmp_path / str(limit), manifest_for(teacher_of(classes=100), None, "cpu", form))
        for part in torch.split(torch.arange(60_000), limbeck.knowledge.label.SHARD_ROWS):
            store.add(names[part], form.columns(logits[part]))
        assert len(store) == 60_000
        assert store.bytes <= limit * 60_000


def test_a_missing_row_is_an_error(opened: Open) -> None:
    store, labeller = opened(pictures(30))
    label((store, labeller), range(1))
    with pytest.raises(Failure, match=r"1 of 2 answers are missing in .*store"):
        store.read(torch.tensor([int(labeller.names(rows_of(labeller), 0)[0]), 99]))


def test_files_that_are_torn_or_foreign_are_set_aside_and_asked_for_again(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limbeck.knowledge.label, "SHARD_ROWS", 256)
    label(opened(pictures(1024)), range(1))
    folder = tmp_path / "store"
    torn, changed, *_ = sorted(folder.glob("*.rows"))
    os.truncate(torn, 100)
    content = bytearray(changed.read_bytes())
    content[1000] ^= 1
    changed.write_bytes(content)
    (folder / "notes.txt").write_text("mine")
    (folder / f"{5:08d}-{'0' * 32}.rows").write_bytes(b"x" * 140)
    store, labeller = opened(pictures(1024))
    assert len(store) == 512
    assert len(store.broken) == len(list(folder.glob("*.broken"))) == 3
    label((store, labeller), range(1))
    found = verify_against(Store(folder), labeller, [0])
    assert (found.rows, found.repeated, found.missing, found.wrong) == (1024, 0, 0, 0)


def test_the_same_row_twice_is_read_once_and_always_the_same(opened: Open) -> None:
    store, labeller = opened(pictures(50))
    names, columns = labeller.names(rows_of(labeller), 0), labeller.ask(rows_of(labeller), 0)
    store.add(names, columns)
    store.add(names[:20], tuple(column[:20] + 1 for column in columns))
    store.add(names, columns)  # the same file: nothing is added
    assert len(store.shards) == 2
    assert len(store) == 50
    assert verify_against(store, labeller, [0]).repeated == 20
    again = Store(store.folder)
    assert torch.equal(again.read(names)[0], store.read(names)[0])


def test_processes_share_the_work_without_gap_or_repetition(opened: Open) -> None:
    teacher = teacher_of()
    parts = [opened(pictures(1000), views_of(2), teacher=teacher) for _ in range(3)]
    for rank in (2, 0, 1):
        label(parts[rank], range(2), share=Share(rank, 3))
    assert teacher.asked == 2000
    found = verify_against(Store(parts[0][0].folder), parts[0][1], range(2))
    assert (found.rows, found.repeated, found.missing, found.wrong) == (2000, 0, 0, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teacher": teacher_of(1)}, r"the teacher \(its weights, normalisation or classes\)"),
        ({"views": views_of(seed=2)}, r"the seed of the views \(1, here 2\)"),
        ({"views": None}, r"data.augment \(shift\(pixels=2\), flip\(probability=.*here none\), the seed of the views"),
        (
            {"form": Top(4, (1.0,))},
            r"dense or top K \(dense, here top\), knowledge.top_k \(None, here 4\), kn",
        ),
        ({"form": Dense(4), "teacher": teacher_of(classes=4)}, r"the teacher .*, the number of classes \(10, here 4\)"),
    ],
)
def test_another_store_is_refused_with_every_part_that_differs(
    opened: Open, change: dict[str, object], said: str
) -> None:
    label(opened(pictures(20), views_of()), range(1))
    with pytest.raises(FolderError, match=said):
        opened(pictures(20), **{"views": views_of(), **change})


def test_more_views_of_the_same_kind_belong_to_the_same_store(opened: Open) -> None:
    label(opened(pictures(20), views_of(2)), range(2))
    store, labeller = opened(pictures(20), views_of(4))
    assert count_missing(labeller, store, range(4)) == 40


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    manifest = manifest_for(teacher_of(), None, "cpu", Dense(CLASSES))
    with pytest.raises(FolderError, match=r"is no knowledge store and not empty \(it has photo.jpg\)"):
        open_store(tmp_path, manifest)
    with pytest.raises(FolderError, match=r"photo.jpg is a file; a knowledge store is a folder"):
        open_store(tmp_path / "photo.jpg", manifest)
    with pytest.raises(FolderError, match=r"manifest.json is missing or cannot be read"):
        Store(tmp_path)
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(DiskError, match="cannot be written"):
        open_store(tmp_path / "locked" / "store", manifest)


def test_what_a_killed_writer_left_is_swept_up_when_it_is_old(opened: Open, tmp_path: Path) -> None:
    opened(pictures(5))
    old, new = tmp_path / "store" / ".a.partial", tmp_path / "store" / ".b.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    past = time.time() - ABANDONED_SECONDS - 1
    os.utime(old, (past, past))
    opened(pictures(5))
    assert not old.exists()
    assert new.exists()


def test_an_interrupted_labelling_keeps_what_was_asked(opened: Open) -> None:
    store, labeller = opened(pictures(1000))
    heard: list[int] = []

    def stop(count: int) -> None:
        heard.append(count)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(labeller, store, 0, Ledger(), heard=stop)
    assert len(Store(store.folder)) == sum(heard) == 512


def test_a_ledger_forgets_what_was_never_written(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "knowledge.json")
    (tmp_path / "there.rows").write_bytes(b"")
    ledger.note(str(tmp_path / "there.rows"), 5)
    ledger.note(str(tmp_path / "killed.rows"), 7)
    ledger.note("teacher, view 0", 11)
    assert ledger.asked == 23
    assert open_ledger(tmp_path / "knowledge.json").asked == 16


def test_a_table_too_large_for_memory_is_read_from_the_files(opened: Open) -> None:
    samples, views = pictures(60), views_of(3)
    small, large = Recalled(opened(samples, views)[1]), opened(samples, views)
    on_disk = Recalled(large[1], store=large[0], resident=False)
    on_disk.prepare(range(2))
    rows, view = torch.randint(0, 60, (40,)), torch.randint(0, 3, (40,))
    batch = samples.batch(rows, view=view, views=views)
    assert torch.equal(on_disk(batch).logits, small(batch).logits)  # type: ignore[arg-type]
    assert large[0].has(large[1].names(torch.arange(60), 2)).all()


def test_hashes_of_contents_are_those_of_single_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pictures(50).contents
    monkeypatch.setattr("limbeck.data.hashing.HASHED_AT_ONCE", 7)
    assert torch.equal(pictures(50).contents, whole)
    assert torch.equal(pictures(10, first=20).contents, whole[20:30])
    assert len(np.unique(whole.numpy())) == 50


def test_no_views_is_view_zero(opened: Open) -> None:
    views: Views | None = None
    store, labeller = opened(pictures(20), views)
    label((store, labeller), range(1))
    assert len(store) == 20
