"""What a row of knowledge is found by: a 64-bit name of what the teacher was shown.

A sample's place in its data set, the order of its files and what else is there do not matter, so added samples leave
the names of the others as they are; a picture that changed under the same id gets another name instead of an old
answer. Two of n rows share a name with the probability n^2 / 2^65: 3e-6 for ten million rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.draws import GOLDEN, mix
from limbeck.data.samples import Samples
from limbeck.data.views import Views


def names_of(samples: Samples, rows: Tensor, view: Tensor, views: Views | None = None) -> Tensor:
    """Return the name of each view of each row, int64 [B], on the device of the samples.

    rows, view: int64 [B]; views: what makes them. The id counts beside the content, since a view's random numbers come
    from it; so does the partner that is mixed in, for it may change when samples are added.
    """
    rows = rows.to(samples.inputs.device)
    view = view.to(rows.device)
    keys, known = samples.keys.index_select(0, rows), samples.labels.index_select(0, rows) >= 0
    shown = _sample(samples, rows)
    mixed = None if views is None else views.mix(rows, keys, view, known)
    if mixed is not None:
        partner = mix(_sample(samples, mixed.partner) + GOLDEN)
        shown = torch.where(view == 0, shown, shown ^ partner)
    return mix(shown + view * GOLDEN)


def _sample(samples: Samples, rows: Tensor) -> Tensor:
    return mix(samples.keys.index_select(0, rows) ^ mix(samples.contents.index_select(0, rows)))
