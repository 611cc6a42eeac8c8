"""How a number is written for a reader: one function per kind of quantity.

Every function takes None, NaN or an infinity too and then returns MISSING, so that no page shows "nan".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

MISSING = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUS = "−"


def known(value: float | None) -> TypeGuard[float]:
    """Return whether a value is there and finite."""
    return value is not None and math.isfinite(value)


def percent(value: float | None) -> str:
    """Write a rate, 0..1, as percent with one decimal: 0.972 is "97.2 %"."""
    return f"{fixed(100 * value, 1)} %" if known(value) else MISSING


def points(value: float | None) -> str:
    """Write a difference of rates, -1..1, with its sign: 0.071 is "+7.1 points"."""
    if not known(value):
        return MISSING
    text = fixed(100 * value, 1)
    return f"{'+' if value > 0 and text != '0.0' else ''}{text} points"


def fixed(value: float | None, decimals: int) -> str:
    """Write a number with that many decimals and a true minus sign, never as minus zero."""
    if not known(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", _MINUS)


def significant(value: float | None, digits: int = 2) -> str:
    """Write a number with `digits` significant digits: 0.0213 is "0.021", 1e-6 is "1.0 × 10⁻⁶"."""
    if not known(value):
        return MISSING
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 <= power <= 5:
        return fixed(float(f"{mantissa}e{exponent}"), max(0, digits - 1 - power))
    return f"{mantissa.replace('-', _MINUS)} × 10{str(power).translate(_SUPERSCRIPTS)}"


def interval(bounds: Sequence[float | None] | None, scale: float = 100, decimals: int = 1) -> str:
    """Write a 95 % interval without its unit: (0.961, 0.983) is "96.1 to 98.3"; scale 1 for plain numbers."""
    if bounds is None:
        return MISSING
    low, high = bounds
    if not known(low) or not known(high):
        return MISSING
    return f"{fixed(scale * low, decimals)} to {fixed(scale * high, decimals)}"


def count(value: float | None) -> str:
    """Write a count with thousands separators: 51720 is "51,720"."""
    return f"{round(value):,}" if known(value) else MISSING


def size(value: float | None) -> str:
    """Write a number of bytes in decimal units: 9640 is "9.6 kB"."""
    if not known(value):
        return MISSING
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= step:
            return f"{value / step:.1f} {unit}"
    return f"{round(value)} bytes"


def duration(seconds: float | None) -> str:
    """Write a time in seconds as people say it: 64 is "1 min 4 s"."""
    if not known(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
