"""What policies with a fixed number of draws share: n draws in one round, then a vote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testtime.core.history import Asks, Ballot, History, only
from testtime.core.protocols import Vote
from testtime.core.settings import check, setting
from testtime.policies.settings import MOST_DRAWS


@dataclass(frozen=True)
class Fixed(ABC):
    """A policy of this kind is its name, the settings of its vote, and the vote."""

    n: int = setting("draws a problem", least=1, most=MOST_DRAWS)

    arms: ClassVar[tuple[str, ...]] = ()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        _ = self.vote  # which checks its own settings

    @property
    @abstractmethod
    def vote(self) -> Vote:
        """How the n draws become an answer."""

    @property
    def needs(self) -> frozenset[str]:
        """What the vote weighs by."""
        return self.vote.needs

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
        """What the vote says."""
        _, track = only(history)
        return self.vote.ballot(track)
