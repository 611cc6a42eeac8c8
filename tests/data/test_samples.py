from __future__ import annotations

import pytest
import torch

from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.errors import DataError


def pictures(count: int = 6) -> Samples:
    inputs = torch.arange(count * 12, dtype=torch.uint8).view(count, 1, 3, 4)
    return Samples(inputs, torch.arange(count) % 3, tuple(f"{row}.png" for row in range(count)))


def test_kind_shape_and_length() -> None:
    assert (pictures().kind, pictures().shape, len(pictures())) == ("image", (1, 3, 4), 6)
    vectors = Samples(torch.rand(2, 5), torch.tensor([0, -1]), ("a", "b"))
    assert (vectors.kind, vectors.shape) == ("vector", (5,))


def test_batch_gathers_rows_on_the_0_to_1_scale() -> None:
    samples = pictures()
    batch = samples.batch(torch.tensor([4, 0, 4]))
    assert torch.equal(batch.inputs, samples.inputs[[4, 0, 4]].float() / 255)
    assert batch.labels is not None
    assert batch.index is not None
    assert batch.view is not None
    assert batch.labels.tolist() == [1, 0, 1]
    assert batch.index.tolist() == [4, 0, 4]
    assert batch.view.tolist() == [0, 0, 0]
    vectors = Samples(torch.full((2, 3), 300.0), torch.tensor([0, 1]), ("a", "b"))
    assert vectors.batch(torch.tensor([1])).inputs.tolist() == [[300.0] * 3]


def test_batch_shows_views_and_other_labels() -> None:
    samples, views = pictures(), Views([Shift(1), Flip()], seed=3)
    rows, view = torch.tensor([5, 2, 0]), torch.tensor([1, 2, 0])
    batch = samples.batch(rows, view=view, views=views, labels=torch.full((6,), -1))
    assert torch.equal(batch.inputs, views(samples.inputs[rows].float() / 255, samples.keys[rows], view))
    assert batch.view is view
    assert batch.labels is not None
    assert batch.labels.tolist() == [-1, -1, -1]
    alone = samples.batch(rows[:1], view=view[:1], views=views)
    assert torch.equal(alone.inputs, batch.inputs[:1])


def test_batch_leaves_the_samples_alone() -> None:
    samples = pictures()
    samples.batch(torch.arange(6)).inputs.zero_()
    assert torch.equal(samples.inputs, pictures().inputs)


def test_keys_are_those_of_years_ago() -> None:
    samples = Samples(torch.rand(2, 1), torch.zeros(2).long(), ("a", "ü/1.png"))
    assert samples.keys.tolist() == [3405396810240292928, -7022915667733593195]


def test_fingerprint_sees_every_change() -> None:
    first = pictures()
    assert first.fingerprint == pictures().fingerprint
    inputs, labels = first.inputs.clone(), first.labels.clone()
    inputs[5, 0, 2, 3] += 1
    labels[0] = 2
    ids = ("x.png", *first.ids[1:])
    changed = [
        Samples(inputs, first.labels, first.ids),
        Samples(first.inputs, labels, first.ids),
        Samples(first.inputs, first.labels, ids),
        Samples(first.inputs.view(6, 1, 4, 3), first.labels, first.ids),
        Samples(first.inputs.flip(3), first.labels, first.ids),
    ]
    prints = {samples.fingerprint for samples in changed}
    assert len(prints) == 5
    assert first.fingerprint not in prints


def test_to_a_device_is_the_same_samples() -> None:
    moved = pictures().to("cpu")
    assert moved.fingerprint == pictures().fingerprint


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(DataError, match='"a" occurs 2 times'):
        Samples(torch.rand(3, 1), torch.zeros(3).long(), ("a", "b", "a"))
    with pytest.raises(DataError, match=r"inputs are \[3, 1\], labels \[2\] and there are 3 ids"):
        Samples(torch.rand(3, 1), torch.zeros(2).long(), ("a", "b", "c"))
