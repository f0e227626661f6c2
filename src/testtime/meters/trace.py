"""Joules of a trace: of a counter that begins again at its range, of power looked at now and then."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def rise(before: int | None, after: int | None, span: int | None = None) -> int | None:
    """By how much a counter went up; `span` is the most it holds before it begins again at 0.

    None where a reading is missing, or it went down without a range to tell by how much it rose.

    >>> rise(5, 9), rise(9, 5, 10), rise(9, 5), rise(None, 5)
    (4, 7, None, None)
    """
    if before is None or after is None:
        return None
    if after >= before:
        return after - before
    return None if span is None else after - before + span + 1


def integral(samples: Sequence[tuple[float, float]]) -> float | None:
    """Joules of (seconds, watts) in order of time, by trapezoids; None where fewer than two can be had.

    >>> integral([(0.0, 100.0), (1.0, 100.0), (3.0, 50.0)])
    250.0
    """
    if len(samples) < 2:
        return None
    return sum((end - start) * (first + last) / 2 for (start, first), (end, last) in pairwise(samples))
