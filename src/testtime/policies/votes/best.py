"""Best-of-N: the draw with the highest score wins, whatever the others answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Ballot, Track
from testtime.core.settings import setting
from testtime.policies.settings import TIES
from testtime.policies.votes.scored import Scored


@dataclass(frozen=True)
class Best(Scored):
    """The highest score among the visible draws; an unknown score never wins."""

    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "best"

    def ballot(self, track: Track) -> Ballot:
        """No entry for a row without a known score."""
        column = track.column(self.by)
        scores = np.where(np.isnan(column), -np.inf, column)
        top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        wins = (scores == top) & (scores > -np.inf)
        if self.ties == "first":
            wins &= np.cumsum(wins, axis=-1) == 1
        return Ballot.of(wins.astype(float))
