"""Stop when the leader holds a given share of the draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testtime.core.history import Bools, Tally
from testtime.core.settings import check, setting
from testtime.policies.settings import shares


@dataclass(frozen=True)
class Share:
    """v1 / n ≥ threshold. One draw has share 1, so this rule waits for three unless told otherwise."""

    threshold: float = setting("stop at this share of the draws for the leader", 0.6, above=0, most=1)

    name: ClassVar[str] = "share"
    reads: ClassVar[frozenset[str]] = frozenset({"n", "v1"})
    patience: ClassVar[int] = 3

    def __post_init__(self) -> None:
        check(self)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise; never without a vote."""
        stopped: Bools = (tally.v1 > 0) & (tally.v1 >= shares(self.threshold, tally.n))
        return stopped
