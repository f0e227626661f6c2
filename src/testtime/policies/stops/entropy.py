"""Stop when the votes are concentrated: low entropy, normalised by the number of answers seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testtime.core.history import Bools, Tally
from testtime.core.settings import check, setting

_EQUAL = 1e-9
"""Logarithms of counts: nearer than this is equal, and equal stops."""


@dataclass(frozen=True)
class Entropy:
    """1 − H / log2 max(2, K) ≥ threshold, with H in bits over the K answers seen.

    Abstentions are one more class of H and K, which cannot win: the rule waits until the leader has more
    votes than there are abstentions. The default is Adaptive-Consistency's H / log2 K ≤ 0.75.
    """

    threshold: float = setting("stop when 1 − normalised entropy reaches this", 0.25, above=0, most=1)

    name: ClassVar[str] = "entropy"
    reads: ClassVar[frozenset[str]] = frozenset({"n", "voted", "v1", "distinct", "spread"})
    patience: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check(self)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise; never without a vote."""
        n, abstained = np.maximum(tally.n, 1), np.asarray(tally.n - tally.voted, dtype=float)
        bits = n * np.log2(n) - tally.spread - abstained * np.log2(np.maximum(abstained, 1))
        classes = np.maximum(tally.distinct + (abstained > 0), 2)
        concentrated = bits <= (1 - self.threshold) * np.log2(classes) * n + _EQUAL * n
        stopped: Bools = concentrated & (tally.v1 > abstained)
        return stopped
