"""Wald's sequential probability ratio test between the leader and the runner-up.

H1: the leader's answer comes with p1 against 1 − p1; H0: the other way round. Each vote moves the
log-likelihood ratio by ± ln(p1 / (1 − p1)), so with equal errors the test stops at a fixed lead
(Wald 1945): the smallest m with (p1 / (1 − p1))^m ≥ (1 − error) / error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from testtime.core.history import Bools, Tally
from testtime.core.settings import check, setting
from testtime.policies.settings import exact


@dataclass(frozen=True)
class Sprt:
    """Lead v1 − v2 ≥ `lead`. The defaults, p1 = 0.7 and error = 0.05, are lead ≥ 4.

    >>> Sprt().lead, Sprt(p1=0.8).lead, Sprt(p1=0.95).lead
    (4, 3, 1)
    """

    p1: float = setting(
        "the leader's share of the two top answers that is worth telling apart", 0.7, above=0.5, below=1
    )
    error: float = setting("probability of choosing the wrong one of the two", 0.05, above=0, below=0.5)

    name: ClassVar[str] = "sprt"
    reads: ClassVar[frozenset[str]] = frozenset({"v1", "v2"})
    patience: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check(self)

    @property
    def lead(self) -> int:
        """Votes ahead at which the test stops."""
        return _lead(self.p1, self.error)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise."""
        stopped: Bools = tally.v1 - tally.v2 >= self.lead
        return stopped


@lru_cache(maxsize=256)
def _lead(p1: float, error: float) -> int:
    p, e = exact(p1), exact(error)
    odds, bound = p / (1 - p), (1 - e) / e
    guess = math.log1p(float(bound - 1)) / math.log1p(float(odds - 1))
    if abs(guess - round(guess)) > 1e-6:
        return max(math.ceil(guess), 1)
    m = max(round(guess), 1)  # a float cannot tell which side it is on
    return m if odds**m >= bound else m + 1
