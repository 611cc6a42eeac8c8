"""The letters A to J, drawn."""

from __future__ import annotations

import torch
from sklearn.neighbors import KNeighborsClassifier

from limbeck.data.contents import AS_FOUND, ReadOptions
from limbeck.data.dataset import Data
from limbeck.data.glyphs import read_glyphs


def test_letters_are_drawn_alike_every_time_and_fonts_of_the_test_are_unseen() -> None:
    first, second = read_glyphs(AS_FOUND), read_glyphs(AS_FOUND)
    assert first.test is not None and second.test is not None
    assert first.train.fingerprint == second.train.fingerprint and first.test.fingerprint == second.test.fingerprint
    assert first.train.inputs.shape == (5600, 1, 28, 28) and first.test.inputs.shape == (2800, 1, 28, 28)
    assert first.train.inputs.dtype == torch.uint8 and first.classes == tuple("ABCDEFGHIJ")
    fonts = [{name.split("/")[1] for name in part.ids} for part in (first.train, first.test)]
    assert not fonts[0] & fonts[1]
    assert len(first.train.contents.unique()) == 5600


def test_they_can_be_read() -> None:
    found = read_glyphs(AS_FOUND)
    assert found.test is not None
    flat = [part.inputs.flatten(1).numpy() for part in (found.train, found.test)]
    told = KNeighborsClassifier(3).fit(flat[0], found.train.labels.numpy())
    assert told.score(flat[1][::7], found.test.labels.numpy()[::7]) > 0.8
    corners = found.train.inputs[:, 0, ::27, ::27].float().mean()
    assert corners < 40 < found.train.inputs.float().amax((1, 2, 3)).min()


def test_they_come_in_other_sizes_by_their_name() -> None:
    assert Data.open("glyphs", options=ReadOptions(size=16)).shape == (1, 16, 16)
