from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.report import numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.percent(0.972), "97.2 %"),
        (numbers.percent(1.0), "100.0 %"),
        (numbers.percent(-0.00001), "0.0 %"),
        (numbers.points(0.071), "+7.1 points"),
        (numbers.points(-0.004), "−0.4 points"),
        (numbers.points(0.0001), "0.0 points"),
        (numbers.interval([0.961, 0.983]), "96.1 to 98.3"),
        (numbers.interval([-0.003, 0.007]), "−0.3 to 0.7"),
        (numbers.interval([0.1234, 0.5], 1, 3), "0.123 to 0.500"),
        (numbers.count(51720), "51,720"),
        (numbers.count(0), "0"),
        (numbers.size(999), "999 bytes"),
        (numbers.size(9640), "9.6 kB"),
        (numbers.size(12_345_678), "12.3 MB"),
        (numbers.size(3.2e9), "3.2 GB"),
        (numbers.duration(12.14), "12.1 s"),
        (numbers.duration(64), "1 min 4 s"),
        (numbers.duration(3700), "1 h 1 min"),
        (numbers.significant(0), "0"),
        (numbers.significant(0.0213), "0.021"),
        (numbers.significant(0.0996), "0.10"),
        (numbers.significant(12.7), "13"),
        (numbers.significant(1.2e-6), "1.2 × 10⁻⁶"),
    ],
)
def test_values_are_written_as_people_read_them(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_known_is_never_printed_as_a_number(nothing: float | None) -> None:
    write = [
        numbers.percent,
        numbers.points,
        numbers.count,
        numbers.size,
        numbers.duration,
        numbers.significant,
    ]
    assert {w(nothing) for w in write} == {numbers.MISSING}
    assert numbers.fixed(nothing, 2) == numbers.MISSING
    assert numbers.interval([0.5, nothing]) == numbers.MISSING
    assert numbers.interval(None) == numbers.MISSING


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_two_significant_digits_stay_within_five_percent(value: float) -> None:
    mantissa, _, power = numbers.significant(value).partition(" × 10")
    digits = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert float(mantissa) * 10.0 ** int(digits or 0) == pytest.approx(value, rel=0.051)


@given(st.floats(min_value=-1, max_value=1))
def test_points_carry_a_sign_exactly_where_they_are_not_zero(gain: float) -> None:
    assert re.fullmatch(r"(0\.0|[+−]\d+\.\d) points", numbers.points(gain))
    assert not re.match(r"[+−]0\.0 ", numbers.points(gain))
