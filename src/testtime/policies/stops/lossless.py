"""No rule but curtailment: stop when nobody can overtake the leader within max_n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testtime.core.history import Bools, Tally


@dataclass(frozen=True)
class Lossless:
    """Never stops by itself; `curtail` does. Its answer is that of sc_fixed with n = max_n, for fewer draws."""

    name: ClassVar[str] = "lossless"
    reads: ClassVar[frozenset[str]] = frozenset({"n"})
    patience: ClassVar[int] = 2

    def stops(self, tally: Tally) -> Bools:
        """Nowhere."""
        return np.zeros(np.shape(tally.n), dtype=bool)
