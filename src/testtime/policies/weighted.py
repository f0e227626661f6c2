"""Score-weighted self-consistency: n draws, then the answer whose draws have the largest scores together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from testtime.core.settings import setting
from testtime.policies.fixed import Fixed
from testtime.policies.settings import TIES
from testtime.policies.votes.weighted import KEEP, WeightedVote


@dataclass(frozen=True)
class Weighted(Fixed):
    """Between the majority (all scores equal) and best-of-N (one score above all others)."""

    by: str = setting("the score column; oracle(column) for one that saw the reference")
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")
    temperature: float | None = setting("weigh by softmax(score / temperature) in place of the score", None, above=0)
    keep: float | None = setting(KEEP, None, above=0, below=1)

    name: ClassVar[str] = "weighted"

    @property
    def vote(self) -> WeightedVote:
        """The answer with the most weight."""
        return WeightedVote(self.by, self.temperature, self.ties, self.keep)
