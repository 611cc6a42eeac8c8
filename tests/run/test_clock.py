from __future__ import annotations

import pytest

from limbeck.run import clock
from limbeck.run.clock import Clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, which stands still."""
    found = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: found[0])
    return found


def test_nothing_begins_that_would_not_end_at_the_slowest_pace(now: list[float]) -> None:
    one = Clock(1)
    one.expect(10)
    for seconds, effort in ((10, 2), (4, 1)):
        assert one.allows(effort)
        with one.spending(effort):
            now[0] += seconds
    assert one.left() == ", about 33 s left"  # 14 seconds for 3 of 10
    assert one.allows(9) and not one.allows(9.5)
    now[0] += 47
    assert not one.allows(0.0)


def test_each_part_has_a_pace_of_its_own(now: list[float]) -> None:
    one = Clock(None)
    one.expect(2)
    with one.spending():
        now[0] += 600
    assert one.left() == ", about 10 min left"
    one.expect(5)
    assert one.left() == ""
    assert one.allows(1e9)
