"""All corruptions of pictures, by family."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from limbeck.errors import DataError
from limbeck.robustness.blur import BLUR
from limbeck.robustness.colour import COLOUR
from limbeck.robustness.corruption import Corruption
from limbeck.robustness.cover import COVER
from limbeck.robustness.digital import DIGITAL
from limbeck.robustness.geometry import GEOMETRY
from limbeck.robustness.noise import NOISE
from limbeck.robustness.rows import ROWS, RowCorruption

CORRUPTIONS: tuple[Corruption, ...] = (*NOISE, *BLUR, *GEOMETRY, *COLOUR, *DIGITAL, *COVER)


def named(names: Sequence[str] | None, *, pictures: bool) -> tuple[Corruption, ...] | tuple[RowCorruption, ...]:
    """Return the corruptions of these names or families, each once and in the order given; None for all there are.

    pictures: whether those of pictures, or of rows of numbers. Raises DataError for a name that is none of them.
    """
    every: tuple[Corruption | RowCorruption, ...] = CORRUPTIONS if pictures else ROWS
    if names is None:
        return CORRUPTIONS if pictures else ROWS
    known = {one.name: (one,) for one in every} | {
        one.family: tuple(other for other in every if other.family == one.family) for one in every
    }
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}."
            raise DataError(f"There is no corruption {name!r} of {'pictures' if pictures else 'rows'}{hint}")
    return tuple(dict.fromkeys(one for name in names for one in known[name]))  # type: ignore[return-value]
