"""A figure that is no mean over samples, as one: what each sample adds to it. Shapes: N samples.

The verdict and its intervals need a value for each seed and test sample, whose mean is the figure. For accuracy or a
squared error that is the sample's own; for R2 or an average precision it is the jackknife's pseudo-value (Tukey 1958):
N times the figure of all samples, less N - 1 times that of all but this one. Their spread over samples is that of the
figure (Efron and Stein 1981 show that it errs on the wide side), and since they are paired by sample like any other
value, a difference of two models has its interval over seeds and samples from the same two-way variance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pseudo_values(whole: float, without: Floats) -> Floats:
    """Return values [N] whose mean is the figure of all samples; without: the figure without each sample, [N].

    Pseudo-values as they are have a mean that is corrected for bias; here they are moved to the figure itself, so that
    what the report says of a model and what its verdict is made of are one number.
    """
    count = len(without)
    values = count * whole - (count - 1) * without
    moved: Floats = values - values.mean() + whole
    return moved
