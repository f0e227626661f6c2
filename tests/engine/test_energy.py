"""Joules of a window are shared out whole over the calls in it; what no window covers is unknown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.engine.energy import Window, attribute, level
from testtime.engine.ledger import Session, at_once

times = st.floats(0, 100, allow_nan=False)


def contiguous(edges: list[float], joules: list[float]) -> list[Window]:
    cuts = sorted(edges)
    return [Window(a, b, j) for a, b, j in zip(cuts[:-1], cuts[1:], joules, strict=False)]


@given(
    st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True),
    st.lists(st.floats(0, 1000), min_size=7, max_size=7),
    st.lists(st.tuples(times, times).map(sorted), max_size=12),
)
def test_the_sum_over_calls_is_the_sum_over_windows_with_a_call(
    edges: list[int], joules: list[float], spans: list[list[float]]
) -> None:
    windows = contiguous([float(edge) for edge in edges], joules)
    low, high = windows[0].started, windows[-1].ended
    calls = {str(at): (a, b) for at, (a, b) in enumerate(spans) if low <= a and b <= high and b - a > 1e-6}
    shares = attribute(windows, calls)
    busy = [w for w in windows if any(min(b, w.ended) > max(a, w.started) for a, b in calls.values())]
    assert None not in shares.values()
    assert sum(shares.values()) == pytest.approx(sum(w.joules for w in busy))  # type: ignore[arg-type, misc]


def test_two_calls_share_by_their_seconds_of_overlap() -> None:
    shares = attribute([Window(0, 10, 100.0), Window(10, 20, 60.0)], {"a": (0, 12), "b": (5, 10), "c": (14, 15)})
    assert shares == pytest.approx({"a": 100 * 10 / 15 + 60 * 2 / 3, "b": 100 * 5 / 15, "c": 60 / 3})


def test_what_no_closed_window_covers_or_measured_is_unknown() -> None:
    windows = [Window(0, 10, 100.0), Window(10, 20, None)]
    calls = {"outside": (30.0, 31.0), "half": (15.0, 25.0), "unmeasured": (9.0, 11.0), "known": (1.0, 2.0)}
    shares = attribute(windows, calls)
    assert [shares[name] for name in ("outside", "half", "unmeasured")] == [None] * 3
    assert shares["known"] == pytest.approx(50.0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20), st.floats(0, 100)), min_size=1, max_size=8))
def test_a_power_that_several_measured_at_once_is_counted_once(spans: list[tuple[int, int, float]]) -> None:
    power = 7.0  # of the machine, the same for all who look
    windows = [Window(start, start + length, power * length) for start, length, _ in spans]
    line = level(windows)
    assert all(one.ended <= other.started for one, other in pairwise(line))
    covered = {second for start, length, _ in spans for second in range(start, start + length)}
    assert sum(window.joules or 0 for window in line) == pytest.approx(power * len(covered))


def test_windows_that_do_not_overlap_are_left_as_they_are() -> None:
    windows = [Window(10, 20, None), Window(0, 10, 3.0), Window(25, 30, 1.0)]
    assert level(windows) == sorted(windows, key=lambda window: window.started)


def test_where_one_could_not_read_the_counter_the_other_says_it() -> None:
    line = level([Window(0, 10, None), Window(5, 15, 20.0)])
    assert line == [Window(0, 5, None), Window(5, 10, 10.0), Window(10, 15, 10.0)]


def test_shards_of_one_machine_share_its_joules_and_those_of_two_do_not() -> None:
    def one(run: str, host: str | None, start: float) -> Session:
        return Session(run, host, {}, [Window(start, start + 5, 1.0), Window(start + 5, start + 10, 1.0)])

    first, beside, later = one("r.1of3", "a", 0), one("r.2of3", "a", 8), one("r.1of3", "a", 18)
    again, there, unknown = one("r.1of3", "a", 6), one("r.3of3", "b", 3), one("r.3of3", None, 4)
    groups = at_once([later, unknown, there, beside, first])
    assert [[session.windows[0].started for session in group] for group in groups] == [[0, 8], [3], [4], [18]]
    assert at_once([first, again]) == [[first], [again]]  # one folder: its clock has jumped
