"""What policies share that stop by the votes and answer by the majority: one predicate, all else follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Asks, Ballot, Bools, History, Tally, only
from testtime.core.settings import check, setting
from testtime.policies.counts import COUNTS, least_batch
from testtime.policies.settings import MOST_DRAWS, TIES
from testtime.policies.votes.majority import Majority

MOST_TABLED = 128
"""The largest max_n of a rule that is a table over (v1, v2, n): its work grows with the third power."""


@dataclass(frozen=True)
class Counted(ABC):
    """A policy of this kind says where the votes suffice; it never goes on when nobody can overtake the leader."""

    max_n: int = setting("the most draws a problem", least=1, most=MOST_DRAWS)
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False
    reads: ClassVar[frozenset[str]] = COUNTS

    def __post_init__(self) -> None:
        check(self)
        if self.max_n > MOST_TABLED:
            name = type(self).__dict__.get("name", "this policy")
            raise BadInput(f"{name} has no table for max_n={self.max_n}", mend=f"give max_n ≤ {MOST_TABLED}")

    @abstractmethod
    def enough(self, tally: Tally) -> Bools:
        """Elementwise: do the votes suffice? A vote for the leader must not undo it."""

    @property
    def floor(self) -> int:
        """One draw is due whatever comes out."""
        return 1

    @property
    def most(self) -> int:
        """No problem gets more."""
        return self.max_n

    def stops(self, tally: Tally) -> Bools:
        """The whole predicate, elementwise: enough, decided, or at the end; never before a draw."""
        n = np.asarray(tally.n)
        decided = tally.v1 - tally.v2 > self.max_n - n
        stopped: Bools = ((self.enough(tally) | decided) & (n > 0)) | (n >= self.max_n)
        return stopped

    def ask(self, history: History) -> Asks:
        """The least batch that could stop: all at once or one by one, the same draws are seen."""
        arm, track = only(history)
        return {arm: least_batch(self, track.tally, self.max_n)}

    def choose(self, history: History) -> Ballot:
        """The majority of all that was drawn."""
        _, track = only(history)
        return Majority(self.ties).ballot(track)
