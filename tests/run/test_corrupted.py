from __future__ import annotations

import numpy as np
import torch

from limbeck.data.combine import take
from limbeck.data.preprocess import fit
from limbeck.data.samples import Samples
from limbeck.data.table import Columns, Table
from limbeck.robustness.corruptions import CORRUPTIONS
from limbeck.robustness.rows import ROWS
from limbeck.run import corrupted as module
from limbeck.run.corrupted import are_pictures, corrupted, noise_pictures

OF = {one.name: one for one in (*CORRUPTIONS, *ROWS)}


def pictures(count: int = 20) -> Samples:
    values = torch.randint(0, 256, (count, 3, 9, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Samples(values, torch.arange(count) % 3, tuple(f"sample {i}" for i in range(count)))


def test_pictures_become_pictures_of_8_bits_by_their_ids(monkeypatch) -> None:
    samples = pictures()
    made = corrupted(samples, OF["rotate"], 3, seed=4)
    assert made.inputs.dtype == torch.uint8
    assert made.ids == samples.ids
    expected = OF["rotate"](samples.inputs.float() / 255, 3, seed=4, index=samples.keys) * 255
    torch.testing.assert_close(made.inputs.float(), expected.round())
    some = take(samples, np.array([3, 11]))
    assert torch.equal(corrupted(some, OF["rotate"], 3, seed=4).inputs, made.inputs[[3, 11]])
    monkeypatch.setattr(module, "CHUNK_VALUES", 500)  # two pictures at once
    assert torch.equal(corrupted(samples, OF["rotate"], 3, seed=4).inputs, made.inputs)


def test_vectors_lose_values_to_the_mean_of_their_column() -> None:
    values = torch.randn(50, 2, 4) * torch.tensor([1.0, 5.0, 1.0, 1.0])
    samples = Samples(values, torch.zeros(50, dtype=torch.long), tuple(map(str, range(50))))
    assert not are_pictures(samples)
    made = corrupted(samples, OF["missing_values"], 5, seed=0).inputs
    assert made.shape == values.shape
    lost = made != values
    assert 0.3 < float(lost.float().mean()) < 0.7
    torch.testing.assert_close(made[lost], values.mean(0).expand_as(values)[lost])
    noise = corrupted(samples, OF["row_noise"], 5, seed=0).inputs - values
    torch.testing.assert_close(noise.std(0), values.std(0), rtol=0.5, atol=0)


def table() -> Table:
    numbers = np.array([[1.0, 10.0], [2.0, np.nan], [3.0, 30.0], [4.0, 50.0]] * 10, dtype=np.float32)
    texts = np.array([["a", "x"], ["b", "y"], ["a", ""], ["b", "x"]] * 10, dtype=object)
    return Table(Columns(("size", "price"), ("kind", "place")), numbers, texts)


def test_rows_of_a_table_are_corrupted_before_they_are_prepared() -> None:
    raw = table()
    learned, _ = fit(raw, "label")
    inputs = torch.from_numpy(learned(raw))
    samples = Samples(inputs, torch.zeros(40, dtype=torch.long), tuple(map(str, range(40))), raw)
    lost = corrupted(samples, OF["missing_values"], 5, seed=0, learned=learned)
    assert lost.raw is not None
    assert lost.inputs.shape == inputs.shape
    assert np.isnan(lost.raw.numbers).sum() > np.isnan(raw.numbers).sum()
    assert (lost.raw.categories == "").sum() > 10
    np.testing.assert_array_equal(lost.inputs.numpy(), learned(lost.raw))
    noisy = corrupted(samples, OF["row_noise"], 3, seed=0, learned=learned)
    assert noisy.raw is not None
    assert (noisy.raw.categories == raw.categories).all()
    assert np.array_equal(np.isnan(noisy.raw.numbers), np.isnan(raw.numbers))
    moved = noisy.inputs - inputs
    assert 0.2 < float(moved[:, 0].std()) < 0.6  # 0.4 deviations of the column


def test_noise_pictures_are_random_by_id_and_seed() -> None:
    samples = pictures(200)
    made = noise_pictures(samples, 1).inputs
    assert made.shape == samples.inputs.shape
    assert made.dtype == torch.uint8
    counts = torch.bincount(made.flatten().long() // 32, minlength=8) / made.numel()
    torch.testing.assert_close(counts, torch.full((8,), 0.125), atol=0.01, rtol=0)
    assert torch.equal(noise_pictures(take(samples, np.array([7])), 1).inputs[0], made[7])
    assert not torch.equal(noise_pictures(samples, 2).inputs, made)
