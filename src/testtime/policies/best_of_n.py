"""Best-of-N: n draws, then the one with the highest score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Asks, Ballot, History, only
from testtime.policies.settings import MOST_DRAWS, TIES, check, setting
from testtime.policies.votes.best import Best


@dataclass(frozen=True)
class BestOfN:
    """The votes do not count: a lone answer with the best score wins. `by=oracle(is_verified)` is pass@n."""

    n: int = setting("draws a problem", least=1, most=MOST_DRAWS)
    by: str = setting("the score column; oracle(column) for one that saw the reference")
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "best_of_n"
    arms: ClassVar[tuple[str, ...]] = ()
    across: ClassVar[bool] = False
    picks: ClassVar[bool] = True
    """Its answer is one draw, with that draw's own verdict, and not an answer key."""

    def __post_init__(self) -> None:
        check(self)
        Best(self.by, self.ties)

    @property
    def needs(self) -> frozenset[str]:
        """The score column."""
        return Best(self.by).needs

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
        """The best-scored draw."""
        _, track = only(history)
        return Best(self.by, self.ties).ballot(track)
