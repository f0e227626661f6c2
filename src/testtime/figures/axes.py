"""Axes of spends: which columns can be x, where their ticks stand, and how those are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

AXES = {
    "candidates": "Candidates per problem",
    "gen_tokens": "Generated tokens per problem",
    "total_tokens": "Prompt and generated tokens per problem",
    "seconds": "Seconds per problem",
    "critical_seconds": "Seconds per problem, calls in parallel",
    "usd": "US dollars per problem",
    "joules": "Joules per problem",
}
"""Column → title with its unit."""
MODELLED = ("seconds", "critical_seconds", "usd", "joules")
"""What replay cannot count but models from per-call records: drawn hollow where no run executed the policy."""
MOST_TICKS = 9
_SAME = 1 + 1e-6
"""Values within this factor are one value that was added up in two orders."""
_STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(range(1, 10)), (1,))


def ticks(low: float, high: float, binary: bool = False) -> list[float]:
    """Where the ticks of a logarithmic axis stand: powers of two, or 1-2-5 and coarser where those are too many.

    >>> ticks(90, 1300)
    [100.0, 200.0, 500.0, 1000.0]
    >>> ticks(1, 16, binary=True)
    [1.0, 2.0, 4.0, 8.0, 16.0]
    """
    if binary:
        return _within(low, high, [2.0**e for e in range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)])
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in _STEPS:
        found = _within(low, high, [float(f"{step}e{decade}") for decade in decades for step in steps])
        if 3 <= len(found) <= MOST_TICKS:
            return found
    return _even(low, high)


def _within(low: float, high: float, places: Sequence[float]) -> list[float]:
    return sorted({place for place in places if low * (1 - 1e-9) <= place <= high * (1 + 1e-9)})


def _even(low: float, high: float) -> list[float]:
    """Few round places, evenly spaced, for an axis shorter than its decades' steps."""
    if high <= low * _SAME:
        return [float(f"{low:.2g}")]
    digits = max(1, 2 - math.floor(math.log10((high - low) / low)))
    return sorted({float(f"{low * (high / low) ** (at / 3):.{digits}g}") for at in range(4)})


def padded(low: float, high: float) -> tuple[float, float]:
    """A logarithmic domain with room at both ends."""
    room = max((high / low) ** 0.06, 1.02) if high > low * _SAME else 1.5
    return low / room, high * room


def label(column: str) -> str:
    """The Vega expression that writes a tick."""
    plain = "format(datum.value, ',.3~r')"
    short = f"datum.value >= 100000 ? format(datum.value, '.3~s') : {plain}"
    return f"'$' + {plain}" if column == "usd" else short


def counted(counts: Iterable[int], of: str) -> str:
    """How many of something a figure rests on, where its parts may rest on different numbers.

    >>> counted([50, 50], "problems"), counted([40, 1200], "problems")
    ('50 problems', '40 to 1,200 problems')
    """
    known = sorted(set(counts))
    return f"{known[0]:,} {of}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,} {of}"
