"""What follows from a stopping predicate: its table, its printed boundary, and the least batch that could stop.

A rule of counts is one predicate of (v1, v2, n). A vote for the leader brings every stop nearer, so the
predicate is known by the smallest v1 that stops, and the fewest further draws that could stop are what the
leader lacks to it. Asking for exactly these never draws more than asking one by one.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np

from testtime.core.history import QUANTITIES, TOP, Bools, Ints, Tally

COUNTS = frozenset({"n", "v1", "v2"})
"""A rule that reads nothing else is a rule of counts."""

_TABLED = 256
"""Up to this max_n all answers are kept in one table; its size is the square of max_n."""


class Stops(Protocol):
    """A stopping rule, or a policy that has one."""

    @property
    def reads(self) -> frozenset[str]:
        """The tally quantities it looks at."""
        ...

    def stops(self, tally: Tally) -> Bools:
        """Elementwise."""
        ...


def table(rule: Stops, max_n: int) -> Bools:
    """[v1, v2, n] whether a rule of counts stops there; False where no votes can give these counts."""
    v1, v2, n = np.meshgrid(*[np.arange(max_n + 1)] * 3, indexing="ij")
    return (v1 >= v2) & (v1 + v2 <= n) & rule.stops(Tally.of(v1=v1, v2=v2, n=n))


def boundary(rule: Stops, max_n: int) -> Ints:
    """[v2] the smallest v1 at which a rule of counts stops when nobody else votes; max_n + 1 where none does.

    >>> from testtime.policies.stops.beta import Beta
    >>> boundary(Beta(), 40)[:8].tolist()
    [4, 6, 8, 9, 11, 12, 14, 15]
    """
    v2 = np.arange(max_n // 2 + 1)
    v1 = np.arange(max_n + 1)[:, None]
    stopped = (v1 >= v2) & (v1 + v2 <= max_n) & rule.stops(Tally.of(v1=v1 + 0 * v2, v2=v2 + 0 * v1, n=v1 + v2))
    return np.where(stopped.any(axis=0), stopped.argmax(axis=0), max_n + 1)


def needed(rule: Stops, max_n: int) -> Ints:
    """[v2, others] the smallest v1 ≥ v2 that stops a rule of counts; `others` = n − v1: all draws but the leader's."""
    v2, others = np.meshgrid(*[np.arange(max_n + 1)] * 2, indexing="ij")
    return _bisected(rule, v2, others, max_n)


def _bisected(rule: Stops, v2: Ints, others: Ints, max_n: int) -> Ints:
    """Elementwise: a vote for the leader never undoes a stop. The rule must stop at n = max_n at the latest."""
    low, high = v2.copy(), np.maximum(v2, max_n - others)
    while (low < high).any():
        middle = (low + high) // 2
        stopped = rule.stops(Tally.of(v1=middle, v2=v2, n=middle + others))
        low, high = np.where(stopped, low, np.minimum(middle + 1, high)), np.where(stopped, middle, high)
    return low


def least_batch(rule: Stops, tally: Tally, max_n: int) -> Ints:
    """The fewest further draws after which the rule could stop; 0 where it stops now.

    The rule must be hashable and stop at n = max_n at the latest, as a policy's whole predicate does.
    """
    if np.size(tally.n) > 1 and not np.any(tally.n):  # before the first draw all rows are alike
        return np.full(np.shape(tally.n), least_batch(rule, _nothing(), max_n)[0])
    if rule.reads <= COUNTS:
        v2 = np.minimum(tally.v2, max_n)
        others = np.minimum(tally.n - tally.v1, max_n)
        if max_n <= _TABLED:
            stop = _needed(cast(Hashable, rule), max_n).take(v2.astype(np.int64) * (max_n + 1) + others)
        else:
            stop = _bisected(rule, v2, others, max_n)
        short = stop - tally.v1
        return np.where(tally.n >= max_n, 0, np.maximum(short, 0))
    return _search(rule, tally, max_n)


@lru_cache(maxsize=64)
def _needed(rule: Hashable, max_n: int) -> Ints:
    return needed(cast(Stops, rule), max_n)


def _nothing() -> Tally:
    none = np.zeros(1, dtype=np.int64)
    return Tally.of(**dict.fromkeys(QUANTITIES, none) | {"top": np.zeros((1, TOP), dtype=np.int64)})


def _search(rule: Stops, tally: Tally, max_n: int) -> Ints:
    """Looks ahead, one draw further each time, until no row is left that could not stop."""
    shape = np.shape(tally.n)
    now = {name: getattr(tally, name).reshape(-1, *getattr(tally, name).shape[len(shape) :]) for name in _known(rule)}
    wait = np.zeros(int(np.prod(shape, dtype=int)), dtype=np.int64)
    left = np.flatnonzero(~rule.stops(Tally.of(**now)))
    for further in range(1, max_n + 1):
        if not left.size:
            break
        wait[left] = further
        here = {name: value[left] for name, value in now.items()}
        news = range(further + 1) if "distinct" in rule.reads else range(1)
        could = np.zeros(left.size, dtype=bool)
        for new in news:
            could |= rule.stops(_ahead(here, further, new))
        left = left[~could]
    return wait.reshape(shape)


def _known(rule: Stops) -> frozenset[str]:
    return rule.reads | COUNTS


def _ahead(now: dict[str, Any], further: int, new: int) -> Tally:
    """The tally after the most hopeful further draws: `new` answers never seen, the rest for the leader.

    Nothing else can stop a rule sooner: votes shift most to the leader, and a normalised entropy can fall
    by new answers. A run goes on, whoever leads. An answer of a row without votes is its first leader.
    """
    same = further - new
    v1 = now["v1"] + same
    born = (now["v1"] == 0) & (v1 > 0)
    then = {"n": now["n"] + further, "v1": v1, "v2": now["v2"]}
    if new:
        then["v1"], then["v2"] = np.maximum(v1, 1), np.maximum(now["v2"], np.where(v1 > 0, 1, int(new > 1)))
    if "voted" in now:
        then["voted"] = now["voted"] + further
    if "distinct" in now:
        then["distinct"] = now["distinct"] + new + born
    if "spread" in now:
        then["spread"] = now["spread"] + _clog(v1) - _clog(now["v1"])
    if "run" in now:
        then["run"] = now["run"] + further
    if "top" in now:
        then["top"] = np.concatenate([v1[:, None], now["top"][:, 1:]], axis=1)
    return Tally.of(**then)


def _clog(counts: Ints) -> Any:
    """Count · log2 count, with 0 at 0."""
    c = np.asarray(counts, dtype=float)
    return c * np.log2(np.maximum(c, 1.0))


__all__ = ["COUNTS", "Stops", "boundary", "least_batch", "needed", "table"]
