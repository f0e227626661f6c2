"""Joules of traces whose energy is known: constant power, a ramp, looks at uneven times, a counter that comes round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.meters.trace import integral, rise

TIMES = st.lists(st.floats(0.001, 10), min_size=1, max_size=30)


def times(steps: list[float]) -> list[float]:
    at = [5.0]
    for step in steps:
        at.append(at[-1] + step)
    return at


@given(TIMES, st.floats(0, 1000))
def test_constant_power_is_watts_times_seconds(steps: list[float], watts: float) -> None:
    assert integral([(at, watts) for at in times(steps)]) == pytest.approx(watts * sum(steps))


@given(TIMES, st.floats(0, 100), st.floats(0, 50))
def test_a_ramp_is_exact_however_uneven_the_looks(steps: list[float], low: float, slope: float) -> None:
    at = times(steps)
    span = at[-1] - at[0]
    expected = low * span + slope * span**2 / 2
    assert integral([(one, low + slope * (one - at[0])) for one in at]) == pytest.approx(expected)


def test_a_trace_of_one_look_is_unknown() -> None:
    assert integral([]) is None
    assert integral([(0.0, 100.0)]) is None


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_counter_that_comes_round_rises_by_what_was_used(start: int, used: int) -> None:
    assert rise(start, (start + used) % 1001, 1000) == (used if used <= 1000 else used - 1001)


def test_a_counter_that_began_anew_is_unknown() -> None:
    assert rise(9, 5) is None
    assert rise(None, 5) is None
    assert rise(5, None, 9) is None
