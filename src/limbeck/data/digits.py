"""The handwritten digits that come with scikit-learn: 1,797 pictures of 8 x 8 pixels."""

from __future__ import annotations

import numpy as np
import torch

from limbeck.data.bulk import fit
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.samples import Samples


def read_digits(options: ReadOptions) -> Source:
    """Give the digits as uint8 [1797, 1, 8, 8], or of the size that the options say, without a test split.

    Their levels 0..16 become 0..255.
    """
    from sklearn.datasets import load_digits

    levels, digits = load_digits(return_X_y=True)
    pixels = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    inputs, reading = fit(pixels, options)
    train = Samples(
        inputs=inputs,
        labels=torch.from_numpy(digits.astype(np.int64)),
        ids=tuple(f"digits/{row}" for row in range(len(pixels))),
    )
    return Source("digits", tuple(str(digit) for digit in range(10)), train, None, reading=reading)
