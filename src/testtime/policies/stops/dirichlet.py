"""Adaptive-Consistency over many answers: stop when the leader is probably the most common answer.

With a uniform prior over K answers, their shares given the votes are Dirichlet(c + 1). A Dirichlet is K
independent Gammas, scaled, so P(the leader's is largest) = ∫ f(x; c1 + 1) Π_j F(x; cj + 1) dx with the
Gamma density f and distribution F: one integral, no sampling (Aggarwal et al. 2023 sample it).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from testtime.core.history import Bools, Floats, Ints, Tally
from testtime.core.settings import check, setting
from testtime.policies.settings import reach
from testtime.policies.stops.beta import beats

_NODES = 96


@dataclass(frozen=True)
class Dirichlet:
    """P(the leader is the mode) ≥ threshold under Dirichlet(counts + 1) of the five most voted answers.

    With fewer than three answers it is the rule `beta`.
    """

    threshold: float = setting("stop at this probability that the leader is the mode", 0.95, above=0, below=1)

    name: ClassVar[str] = "dirichlet"
    reads: ClassVar[frozenset[str]] = frozenset({"top"})
    patience: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check(self)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise; never without a vote."""
        top = tally.top
        stopped = beats(self.threshold, top[..., 0], top[..., 1])  # a third answer can only lower it
        unsure = stopped & (top[..., 2] > 0)
        if unsure.any():
            stopped[unsure] = leads(top[unsure]) >= self.threshold
        return stopped


_known: dict[tuple[int, ...], float] = {}


def leads(top: Ints) -> Floats:
    """[row] P(the first is the mode) under Dirichlet(counts + 1), for rows of counts in falling order.

    A zero is an answer nobody gave and takes no part, but that there are always two.
    """
    first, which = _distinct(top)
    vectors = [tuple(row) for row in top[first].tolist()]
    fresh = defaultdict(list)
    for vector in vectors:
        if vector not in _known:
            fresh[vector[0]].append(vector)
    for leader, group in fresh.items():
        _known.update(zip(group, _integrate(leader, group), strict=True))
    return np.array([_known[vector] for vector in vectors])[which]


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """Where each distinct row is first, and [row] which of them it is."""
    code, span, base = np.zeros(rows.shape[0], dtype=np.int64), 1, int(rows.max(initial=0)) + 1
    for column in rows.T:
        if span * base > 2**62:
            values, code = np.unique(code, return_inverse=True)
            span = values.size
        code, span = code * base + column, span * base
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    return first, which


def _integrate(leader: int, group: list[tuple[int, ...]]) -> list[float]:
    weights, below = _nodes(leader, reach(np.array(leader)))
    products = np.ones((len(group), weights.size))
    for at, vector in enumerate(group):
        for place, count in enumerate(vector):
            if place == 1 or (place > 1 and count):
                products[at] *= below[count]
    return [float(p) for p in products @ weights]


@lru_cache(maxsize=1024)
def _nodes(leader: int, size: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre weights × the leader's Gamma density, and [count, node] F(x; count + 1)."""
    shape, spread = leader + 1, 9 * np.sqrt(leader + 1)
    low, high = max(0.0, shape - spread), shape + spread + 30
    at, weight = _legendre()
    x = (high - low) / 2 * at + (high + low) / 2
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size)))])
    poisson = np.exp(np.arange(size)[:, None] * np.log(x) - x - factorials[:, None])  # [i, node]
    return (high - low) / 2 * weight * poisson[leader], 1 - np.cumsum(poisson, axis=0)


@lru_cache(maxsize=1)
def _legendre() -> Any:
    return np.polynomial.legendre.leggauss(_NODES)
