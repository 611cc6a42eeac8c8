"""What a row of knowledge is found by: a 64-bit name of what the teacher was shown.

A sample's place in its data set, the order of its files and what else is there do not matter, so added samples leave
the names of the others as they are; a picture that changed under the same id gets another name instead of an old
answer. Two of n rows share a name with the probability n^2 / 2^65: 3e-6 for ten million rows.
"""

from __future__ import annotations

from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.data.views import GOLDEN, mix


def names_of(samples: Samples, rows: Tensor, view: Tensor) -> Tensor:
    """Return the name of each view of each row, int64 [B], on the device of the samples.

    rows, view: int64 [B]. The id counts beside the content, since a view's random numbers come from it.
    """
    rows = rows.to(samples.inputs.device)
    shown = mix(samples.keys.index_select(0, rows) ^ mix(samples.contents.index_select(0, rows)))
    return mix(shown + view.to(rows.device) * GOLDEN)
