"""Best-of-N: the draw with the highest score wins, whatever the others answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import Refused
from testtime.core.history import Ballot, Track
from testtime.policies.settings import TIES, check, setting

GOLD = frozenset({"is_verified", "verification_confidence"})
"""Columns of a verifier that may have seen the reference; a pool shows them as oracle(…) alone."""


def column_of(by: str) -> str:
    """The column that `by` names: itself. Raises Refused for one that saw the reference and does not say so.

    >>> column_of("oracle(is_verified)")
    'oracle(is_verified)'
    """
    if by in GOLD:
        raise Refused(f"by={by} may have seen the reference", mend=f"write by=oracle({by}) for an upper bound")
    return by


@dataclass(frozen=True)
class Best:
    """The highest score among the visible draws; an unknown score never wins."""

    by: str = setting("the score column; oracle(column) for one that saw the reference")
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "best"

    def __post_init__(self) -> None:
        check(self)
        column_of(self.by)

    @property
    def needs(self) -> frozenset[str]:
        """The score column."""
        return frozenset({self.by})

    def ballot(self, track: Track) -> Ballot:
        """No entry for a row without a known score."""
        column = track.column(self.by)
        scores = np.where(np.isnan(column), -np.inf, column)
        top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        wins = (scores == top) & (scores > -np.inf)
        if self.ties == "first":
            wins &= np.cumsum(wins, axis=-1) == 1
        return Ballot.of(wins.astype(float))
