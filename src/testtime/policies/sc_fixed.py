"""Self-consistency with a fixed number of draws: the baseline every policy is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Asks, Ballot, History, only
from testtime.policies.settings import MOST_DRAWS, TIES, check, setting
from testtime.policies.votes.majority import Majority


@dataclass(frozen=True)
class ScFixed:
    """n draws in one round, then the majority of their answers."""

    n: int = setting("draws a problem", least=1, most=MOST_DRAWS)
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "sc_fixed"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)

    @property
    def floor(self) -> int:
        """All n are drawn whatever comes out."""
        return self.n

    @property
    def most(self) -> int:
        """The same n."""
        return self.n

    def ask(self, history: History) -> Asks:
        """What is missing to n."""
        arm, track = only(history)
        return {arm: np.maximum(self.n - track.seen, 0)}

    def choose(self, history: History) -> Ballot:
        """The majority."""
        _, track = only(history)
        return Majority(self.ties).ballot(track)
