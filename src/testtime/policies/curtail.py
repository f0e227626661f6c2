"""Stochastic curtailment: stop when the vote over all max_n draws is as good as decided.

The leader's votes are v1, the runner-up's v2, and r draws are left. Were all r left to these two, and every share
of them equally likely beforehand, the chance that the runner-up ends ahead is that of Pólya's urn, by recursion:

    P(v1, v2, 0) = [v1 < v2]
    P(v1, v2, r) = ((v1 + 1) P(v1 + 1, v2, r − 1) + (v2 + 1) P(v1, v2 + 1, r − 1)) / (v1 + v2 + 2)

That average over shares says little of one problem: at ε = 0.01 and 40 draws the pool of 21 against 19 votes ends
otherwise in 6.5 % of its orders. So the policy stops at P ≤ c, with the largest c for which no pool of two answers or
of three, over all its orders, ends otherwise with more than ε: exact, by dynamic programming over the closest pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Bools, Floats, Ints, Tally
from testtime.core.settings import setting
from testtime.policies.counted import Counted

_LEAST, _STEPS = 1e-4, 10
"""c is looked for from here to 1, in parts of epsilon, by so many halvings of its logarithm."""


@dataclass(frozen=True)
class Curtail(Counted):
    """The answer of sc_fixed with n = max_n, with probability ≥ 1 − epsilon."""

    epsilon: float = setting("the most probable another answer than that of all max_n draws", 0.05, above=0, below=1)
    over: Literal["pools", "shares"] = setting(
        "what epsilon bounds: pools (each pool of two or three answers, over its orders) or shares (their average)",
        "pools",
    )

    name: ClassVar[str] = "curtail"
    grade: ClassVar[str] = "sc-equivalent"

    def enough(self, tally: Tally) -> Bools:
        """Elementwise: the runner-up's chance is at most c."""
        least = least_leads(self.max_n, self.epsilon, self.over)
        n, v2 = np.minimum(tally.n, self.max_n), np.minimum(tally.v2, self.max_n)
        stopped: Bools = tally.v1 >= least[self.max_n - n, v2]
        return stopped


@lru_cache(maxsize=64)
def least_leads(max_n: int, epsilon: float, over: str) -> Ints:
    """[r, v2] the smallest v1 that stops with r draws left."""
    chance = overtaken(max_n)
    level = epsilon if over == "shares" else _calibrated(max_n, epsilon)
    stops = (chance <= level) & (np.arange(max_n + 1)[:, None] > np.arange(max_n + 1))
    found: Ints = np.where(stops.any(axis=1), stops.argmax(axis=1), max_n + 1)
    return found


@lru_cache(maxsize=4)
def overtaken(max_n: int) -> Floats:
    """[r, v1, v2] the chance that v2 ends ahead of v1, with r draws left and all shares equally likely before."""
    votes = np.arange(max_n + 2)
    v1, v2 = votes[:, None], votes
    now = (v1 < v2).astype(float)
    table = np.empty((max_n + 1, max_n + 1, max_n + 1))
    table[0] = now[:-1, :-1]
    for left in range(1, max_n + 1):
        up = np.concatenate([now[1:], np.zeros((1, len(votes)))])  # beyond the edge no state has draws left
        across = np.concatenate([now[:, 1:], np.ones((len(votes), 1))], axis=1)
        now = ((v1 + 1) * up + (v2 + 1) * across) / (v1 + v2 + 2)
        table[left] = now[:-1, :-1]
    return table


@lru_cache(maxsize=64)
def _calibrated(max_n: int, epsilon: float) -> float:
    """The largest c (to 1 %) at which the worst pool's chance of another answer is at most epsilon; 0 where none is."""
    low, high = _LEAST * epsilon, epsilon
    if worst_pool(max_n, high) <= epsilon:
        return high
    if worst_pool(max_n, low) > epsilon:
        return 0.0
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if worst_pool(max_n, middle) <= epsilon else (low, middle)
    return low


def worst_pool(max_n: int, level: float) -> float:
    """The largest chance to stop at P ≤ level with a loser ahead, over pools of two answers or three with one winner.

    Of all pools with so many votes for the third answer, the one where the other two are closest is the worst.
    """
    chance = overtaken(max_n)
    third = np.arange(max_n)
    winner = (max_n - third) // 2 + 1
    fits = (max_n - third - winner >= third) & (winner > max_n - third - winner)
    sizes = np.stack([winner, max_n - third - winner, third])[:, fits][:, :, None, None]  # [answer, pool, 1, 1]
    votes = np.arange(max_n + 1)
    a, b = votes[:, None], votes
    mass = np.zeros((sizes.shape[1], max_n + 1, max_n + 1))  # [pool, votes of the winner, of the second]
    mass[:, 0, 0] = 1.0
    wrong = 0.0
    for n in range(1, max_n + 1):
        counts = (a, b, n - 1 - a - b)
        ways = [mass * np.clip(size - count, 0, None) for size, count in zip(sizes, counts, strict=True)]
        mass = ways[2]
        mass[:, 1:] += ways[0][:, :-1]
        mass[:, :, 1:] += ways[1][:, :, :-1]
        mass /= max_n - n + 1
        top = np.sort(np.broadcast_arrays(a, b, np.clip(n - a - b, 0, None)), axis=0)
        stops = (a + b <= n) & (top[2] > top[1]) & (chance[max_n - n, top[2], top[1]] <= level)
        wrong = wrong + mass[:, stops & (a < top[2])].sum(axis=1)
        mass[:, stops] = 0.0
    return float(np.max(wrong))
