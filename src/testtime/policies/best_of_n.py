"""Best-of-N: n draws, then the one with the highest score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from testtime.core.settings import setting
from testtime.policies.fixed import Fixed
from testtime.policies.settings import TIES
from testtime.policies.votes.best import Best


@dataclass(frozen=True)
class BestOfN(Fixed):
    """The votes do not count: a lone answer with the best score wins. `by=oracle(is_verified)` is pass@n."""

    by: str = setting("the score column; oracle(column) for one that saw the reference")
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "best_of_n"
    picks: ClassVar[bool] = True
    """Its answer is one draw, with that draw's own verdict, and not an answer key."""

    @property
    def vote(self) -> Best:
        """The best-scored draw."""
        return Best(self.by, self.ties)
