"""A rule by itself: where it stops, what it draws and how often it errs, by how hard a problem is.

Answers come independently with fixed shares. A rule of counts gives exact numbers, by one pass over the counts of
two answers and of others that never repeat; any other policy is played on simulated draws, and the error is printed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.exact import CountRule
from testtime.analysis.limits import certificate
from testtime.analysis.play import play
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints, Tally
from testtime.core.protocols import Policy
from testtime.core.records import Arm
from testtime.core.seeds import rng_of
from testtime.policies.counts import COUNTS
from testtime.store.pool import Draws, Pool

HARD: Sequence[tuple[float, float]] = (
    (1.0, 0.0), (0.95, 0.05), (0.9, 0.1), (0.8, 0.2), (0.7, 0.3), (0.6, 0.4), (0.55, 0.45), (0.51, 0.49), (0.6, 0.1),
    (0.4, 0.3),
)  # fmt: skip
"""Shares of the two top answers, easy to hard; what is left over never repeats."""
RUNS = 4000
"""Questions that are simulated at a difficulty, at most;"""
DRAWS = 800_000
"""of them all, so many draws at most,"""
FEWEST = 100
"""though at least so many questions."""
LONGEST = 10_000
"""Draws of a question that are simulated, at most."""
MOST_EXACT = 200
"""Counts up to here are passed over exactly: the work grows with the third power."""


@dataclass(frozen=True)
class Behaviour:
    """What a rule does at one difficulty."""

    p1: float
    p2: float
    draws: float
    wrong: float
    """Chance that the answer is not the most common one; ties half."""
    error: float
    """Standard error of `wrong` by simulation; 0 where exact."""


def behaviour(policy: Policy, shares: Sequence[tuple[float, float]] = HARD, seed: int = 0) -> list[Behaviour]:
    """At every difficulty. Raises BadInput for a policy over several arms, without a largest n, or with columns."""
    if policy.most is not None and policy.most > LONGEST:
        raise BadInput(f"{policy.name}: {policy.most:,} draws of a question are too many to simulate",
                       mend=f"give a max_n of at most {LONGEST:,}")  # fmt: skip
    if policy.arms or policy.most is None or policy.needs:
        raise BadInput(
            f"{policy.name} cannot be looked at by itself", mend="give a policy over one arm, without columns"
        )
    exact = isinstance(policy, CountRule) and policy.reads <= COUNTS and policy.most <= MOST_EXACT
    return [_exact(policy, p1, p2) if exact else _simulated(policy, p1, p2, seed) for p1, p2 in shares]


def _exact(policy: Any, p1: float, p2: float) -> Behaviour:
    """Forward over (a, b) votes and n draws; answers that never repeat have one vote each."""
    most = int(policy.most)
    a, b = np.meshgrid(np.arange(most + 1), np.arange(most + 1), indexing="ij")
    mass = np.zeros(a.shape)
    mass[0, 0] = 1.0
    moving: Floats = mass
    draws = wrong = 0.0
    for n in range(1, most + 1):
        others = n - a - b
        moving = _step(moving, p1, p2)
        top, tied, second, of_first = _places(a, b, np.maximum(others, 0))
        stops = (others >= 0) & (policy.stops(Tally.of(v1=top, v2=second, n=np.full(a.shape, n))) | (n == most))
        ends = np.where(stops, moving, 0.0)
        draws += n * float(ends.sum())
        wrong += float((ends * (1 - of_first / np.maximum(tied, 1))).sum())
        moving = moving - ends
    return Behaviour(p1, p2, draws, max(wrong, 0.0), 0.0)


def _step(mass: Floats, p1: float, p2: float) -> Floats:
    moved: Floats = mass * max(1 - p1 - p2, 0.0)
    moved[1:] += p1 * mass[:-1]
    moved[:, 1:] += p2 * mass[:, :-1]
    return moved


def _places(a: Ints, b: Ints, others: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """(v1, answers tied at it, v2, whether the first is among them)."""
    lone = (others > 0).astype(np.int64)
    top = np.maximum(np.maximum(a, b), lone)
    tied = (a == top).astype(np.int64) + (b == top) + np.where(top == 1, others, 0)
    led = (a == top) | (b == top)
    below = np.where(led, np.where(a == top, b, a), np.maximum(a, b))
    runner = np.where(tied > 1, top, np.maximum(below, np.where(top > 1, lone, 0)))
    return top, tied, runner, (a == top).astype(np.int64)


def _simulated(policy: Policy, p1: float, p2: float, seed: int) -> Behaviour:
    most = int(policy.most or 1)
    runs = max(FEWEST, min(RUNS, DRAWS // most))
    rng = rng_of(seed, "behaviour", p1, p2)
    dice = rng.random((runs, most))
    codes = np.where(dice < p1, 0, np.where(dice < p1 + p2, 1, 2 + np.arange(most))).astype(np.int16)
    right = (codes == 0).astype(float)
    names = [str(at) for at in range(runs)]
    pool = Pool("simulated", "", names, [""] * runs, {"a": Draws(Arm("a", {"model": "m"}), codes, right)})
    played = play(policy, pool.worlds(), ["a"])
    hit = played.ballot.expect(right[played.ballot.row, played.ballot.draw], runs)
    error = math.sqrt((hit.var() + 1 / runs) / runs)  # with the error of one more question: none seen is not none
    return Behaviour(p1, p2, float(played.seen["a"].mean()), float(1 - hit.mean()), error)


def table(policy: Policy, delta: float = 0.05, seed: int = 0) -> pl.DataFrame:
    """A row a difficulty: `p1, p2, draws, wrong, error`, and `certificate`, the least draws of any rule that is wrong
    with at most `delta` whatever the distribution.
    """
    rows = behaviour(policy, seed=seed)
    return pl.DataFrame(
        {
            "p1": [row.p1 for row in rows],
            "p2": [row.p2 for row in rows],
            "draws": [row.draws for row in rows],
            "wrong": [row.wrong for row in rows],
            "error": [row.error for row in rows],
            "certificate": [certificate(row.p1, row.p2, delta) for row in rows],
        }
    )
