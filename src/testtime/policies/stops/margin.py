"""Stop when the leader is ahead of the runner-up by a given share of the draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testtime.core.history import Bools, Tally
from testtime.core.settings import check, setting
from testtime.policies.settings import shares


@dataclass(frozen=True)
class Margin:
    """(v1 − v2) / n ≥ threshold."""

    threshold: float = setting("stop at this lead over the runner-up, as a share of the draws", 0.5, above=0, most=1)

    name: ClassVar[str] = "margin"
    reads: ClassVar[frozenset[str]] = frozenset({"n", "v1", "v2"})
    patience: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check(self)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise; never without a lead."""
        lead = tally.v1 - tally.v2
        stopped: Bools = (lead > 0) & (lead >= shares(self.threshold, tally.n))
        return stopped
