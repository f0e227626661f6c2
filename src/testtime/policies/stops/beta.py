"""Adaptive-Consistency: stop when the leader probably beats the runner-up (Aggarwal et al. 2023, arXiv 2305.11860).

With a uniform prior on the leader's share p of the two top answers, p | votes ~ Beta(v1 + 1, v2 + 1), and
P(p > ½) = 1 − 2^−m Σ_{k ≤ v2} C(m, k) with m = v1 + v2 + 1: whole numbers, so the boundary is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar

import numpy as np

from testtime.core.history import Bools, Ints, Tally
from testtime.core.settings import check, setting
from testtime.policies.settings import exact, reach


@dataclass(frozen=True)
class Beta:
    """P(Beta(v1 + 1, v2 + 1) > ½) ≥ threshold. At 0.95 it stops at v1 = 4, 6, 8, 9, … for v2 = 0, 1, 2, 3, …"""

    threshold: float = setting("stop at this probability that the leader beats the runner-up", 0.95, above=0, below=1)

    name: ClassVar[str] = "beta"
    reads: ClassVar[frozenset[str]] = frozenset({"v1", "v2"})
    patience: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check(self)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise; never without a vote."""
        return beats(self.threshold, tally.v1, tally.v2)


def beats(threshold: float, v1: Ints, v2: Ints) -> Bools:
    """P(Beta(v1 + 1, v2 + 1) > ½) ≥ threshold, elementwise, by look-up."""
    stopped: Bools = v1 >= _boundary(exact(threshold), reach(v2))[v2]
    return stopped


@lru_cache(maxsize=64)
def _boundary(threshold: Fraction, size: int) -> Ints:
    """[v2] the smallest v1 that stops. `tail` is Σ_{k ≤ v2} C(m, k) and `last` its last term, moved along."""
    found = []
    m, v1, tail, last = 1, 0, 1, 1
    for v2 in range(size):
        while v1 < max(v2, 1) or (2**m - tail) * threshold.denominator < threshold.numerator * 2**m:
            tail, last = 2 * tail - last, last * (m + 1) // (m + 1 - v2)
            m, v1 = m + 1, v1 + 1
        found.append(v1)
        tail, last = 2 * tail - last, last * (m + 1) // (m + 1 - v2)  # one vote more …
        m += 1
        last = last * (m - v2) // (v2 + 1)  # … and it is the runner-up's
        tail += last
    return np.array(found, dtype=np.int64)
