"""Score-weighted self-consistency: n draws, then the answer whose draws have the largest scores together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Asks, Ballot, History, only
from testtime.policies.settings import MOST_DRAWS, TIES, check, setting
from testtime.policies.votes.weighted import WeightedVote


@dataclass(frozen=True)
class Weighted:
    """Between the majority (all scores equal) and best-of-N (one score above all others)."""

    n: int = setting("draws a problem", least=1, most=MOST_DRAWS)
    by: str = setting("the score column; oracle(column) for one that saw the reference")
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")
    temperature: float | None = setting("weigh by softmax(score / temperature) in place of the score", None, above=0)

    name: ClassVar[str] = "weighted"
    arms: ClassVar[tuple[str, ...]] = ()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        WeightedVote(self.by)

    @property
    def needs(self) -> frozenset[str]:
        """The score column."""
        return WeightedVote(self.by).needs

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
        """The answer with the most weight."""
        _, track = only(history)
        return WeightedVote(self.by, self.temperature, self.ties).ballot(track)
