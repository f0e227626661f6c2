"""What the next draw is worth under a prior: backward induction over the two largest counts.

A state is (v1, v2) after n draws. Stopping there costs the chance that the vote over all max_n draws has another
winner; a draw costs λ. The best rule stops where the first is no more than what going on is expected to cost:

    V(s) = min(miss(s), λ + E V(s′))          (optimal stopping; Wald 1950)

All chances are those of the prior's atoms given the counts, hence never of the problem's own answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import lgamma

import numpy as np

from testtime.core.history import Bools, Floats, Ints
from testtime.policies.priors import Prior

PRICES = tuple(10.0 ** (-exponent / 8) for exponent in range(4, 64))
"""Prices of a draw, falling, at which the index of a state is looked for."""


@dataclass(frozen=True, eq=False)
class Level:
    """The states after n draws; a state's place is v1 · (max_n + 1) + v2."""

    mass: Floats
    """[state] chance to be there when nothing stops."""
    miss: Floats
    """[state] chance that its leader is no winner of the vote over all max_n draws."""
    state: Ints
    """[way] a state …"""
    after: Ints
    """[way] … and where one draw may lead from it,"""
    chance: Floats
    """[way] with which chance, given the state."""


@lru_cache(maxsize=16)
def levels(prior: Prior, max_n: int) -> Sequence[Level]:
    """The chain of states, one level for each n = 0 … max_n."""
    p1, p2 = np.array(prior.p1), np.array(prior.p2)
    rest = np.clip(1 - p1 - p2, 0.0, 1.0)
    ends = _ends(p1, p2, rest, max_n)
    found = []
    for n in range(max_n + 1):
        a, b = _pairs(n)
        flow = _multinomial(n, a, b, np.stack([p1, p2, rest])) * np.array(prior.weight)  # [pair, atom]
        here = _state(a, b, n - a - b, max_n)
        size = (max_n + 1) ** 2
        mass: Floats = np.bincount(here, weights=flow.sum(axis=1), minlength=size).astype(float)
        lost = (flow * _miss(a, b, n - a - b, ends[max_n - n], max_n)).sum(axis=1)
        miss = _per(np.bincount(here, weights=lost, minlength=size).astype(float), mass)
        steps = [(1, 0, p1), (0, 1, p2), (0, 0, rest)] if n < max_n else []
        after = [_state(a + da, b + db, n + 1 - a - da - b - db, max_n) for da, db, _ in steps]
        ways = [(flow * p).sum(axis=1) / np.maximum(mass[here], 1e-300) for *_, p in steps]
        state = np.tile(here, len(steps))
        found.append(Level(mass, miss, state, _joined(after, int), _joined(ways, float)))
    return found


def _joined(parts: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)


def _pairs(n: int) -> tuple[Ints, Ints]:
    """All (a, b) with a + b ≤ n."""
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    fits = a + b <= n
    return a[fits], b[fits]


def _multinomial(n: int, a: Ints, b: Ints, shares: Floats) -> Floats:
    """[pair, atom] the chance of a and b votes for the two answers."""
    logs = np.array([lgamma(k + 1) for k in range(n + 1)])
    out = np.repeat((logs[n] - logs[a] - logs[b] - logs[n - a - b])[:, None], shares.shape[1], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for count, share in zip((a, b, n - a - b), np.log(shares), strict=True):
            out += np.where(count[:, None] == 0, 0.0, count[:, None] * share)
    chance: Floats = np.exp(out)
    return chance


def _state(a: Ints, b: Ints, others: Ints, max_n: int) -> Ints:
    """Its place; answers that never repeat have one vote each."""
    high, low = np.maximum(a, b), np.minimum(a, b)
    lone, two = (others > 0).astype(int), (others > 1).astype(int)
    v1 = np.maximum(high, lone)
    v2 = np.where(high >= lone, np.maximum(low, np.where(high >= 1, lone, 0)), np.maximum(high, two))
    place: Ints = v1 * (max_n + 1) + v2
    return place


def _ends(p1: Floats, p2: Floats, rest: Floats, max_n: int) -> Sequence[Floats]:
    """[draws left][behind or ahead, a − b + max_n, atom] the chance that the first answer ends behind, ahead."""
    lead = np.arange(-max_n, max_n + 1)
    now = np.stack([lead < 0, lead > 0]).astype(float)[:, :, None] * np.ones(len(p1))
    found = [now]
    for _ in range(max_n):
        up = np.concatenate([now[:, 1:], now[:, -1:]], axis=1)
        down = np.concatenate([now[:, :1], now[:, :-1]], axis=1)
        now = p1 * up + p2 * down + rest * now
        found.append(now)
    return found


def _miss(a: Ints, b: Ints, others: Ints, ends: Floats, max_n: int) -> Floats:
    """[pair, atom] the chance that the leader is no winner of all draws. Tied leaders share; one that never
    comes again is none.
    """
    most = np.maximum(np.maximum(a, b), others > 0)
    first, second = ((a == most) & (most > 0))[:, None], ((b == most) & (most > 0))[:, None]
    lone = np.where(most == 1, others, 0)[:, None]
    behind, ahead = ends[0, a - b + max_n], ends[1, a - b + max_n]
    missed: Floats = np.where(first, behind, 0.0) + np.where(second, ahead, 0.0) + lone
    leaders = first + second.astype(int) + lone
    return np.where(leaders > 0, missed / np.maximum(leaders, 1), 1.0)


def _per(sums: Floats, mass: Floats) -> Floats:
    """Sums as means; 1, the worst, where nothing is."""
    return np.divide(sums, mass, out=np.ones_like(sums), where=mass > 0)


# ---- rules ----
def stops_at(prior: Prior, max_n: int, price: float) -> Bools:
    """[n, state] where the best rule stops when a draw costs `price`."""
    chain = levels(prior, max_n)
    stops = np.ones((max_n + 1, len(chain[0].mass)), dtype=bool)
    value = chain[max_n].miss
    for n in range(max_n - 1, -1, -1):
        level = chain[n]
        further = price + np.bincount(level.state, weights=level.chance * value[level.after], minlength=len(value))
        stops[n] = (level.miss <= further) | (level.mass == 0)
        value = np.where(stops[n], level.miss, further)
    return stops


def expected(prior: Prior, max_n: int, stops: Bools) -> tuple[float, float]:
    """(Draws, chance of another answer than that of all max_n) of a rule, if the prior were the truth."""
    mass = np.zeros(stops.shape[1])
    mass[0] = 1.0
    draws = missed = 0.0
    for n, level in enumerate(levels(prior, max_n)):
        ends = np.where(stops[n], mass, 0.0) if n < max_n else mass
        draws += n * float(ends.sum())
        missed += float(ends @ level.miss)
        going = mass - ends
        mass = np.bincount(level.after, weights=going[level.state] * level.chance, minlength=len(mass)).astype(float)
    return draws, missed


def rule_for(prior: Prior, max_n: int, agreement: float) -> Bools:
    """The cheapest such rule whose answer is that of all max_n draws with at least this probability."""
    low, high = PRICES[-1], 1.0
    if expected(prior, max_n, stops_at(prior, max_n, low))[1] > 1 - agreement:
        return stops_at(prior, max_n, 0.0)
    for _ in range(24):
        middle = (low * high) ** 0.5
        kept = expected(prior, max_n, stops_at(prior, max_n, middle))[1] <= 1 - agreement
        low, high = (middle, high) if kept else (low, middle)
    return stops_at(prior, max_n, low)


@lru_cache(maxsize=16)
def least_leads(prior: Prior, max_n: int, agreement: float) -> Ints:
    """[v2, others] the smallest v1 from which on `rule_for` stops, whatever more the leader gets; others = n − v1."""
    return leads_of(rule_for(prior, max_n, agreement), max_n)


def leads_of(stops: Bools, max_n: int) -> Ints:
    """The same of a table [n, state]; max_n + 1 where nothing stops before max_n."""
    size = max_n + 1
    v1, v2, others = np.meshgrid(*[np.arange(size)] * 3, indexing="ij")
    possible = (v1 >= v2) & (v1 + others <= max_n) & (v2 <= others) & (v1 > 0)
    goes_on = possible & ~stops[np.minimum(v1 + others, max_n), v1 * size + v2]
    last = np.where(goes_on.any(axis=0), max_n - goes_on[::-1].argmax(axis=0), -1)
    least: Ints = np.maximum(last + 1, 1)
    return least


@lru_cache(maxsize=16)
def index(prior: Prior, max_n: int) -> Floats:
    """[n, state] the highest price at which another draw is still worth it; 0 where none is.

    Draws for many problems under one budget go best, the more problems the nearer, to the highest index
    (Whittle 1988; with one arm a problem it is the Lagrange multiplier of the budget).
    """
    found = np.zeros((max_n + 1, (max_n + 1) ** 2))
    for price in PRICES:
        goes_on = ~stops_at(prior, max_n, price)
        found = np.where((found == 0) & goes_on, price, found)
    found[max_n] = 0.0
    return found
