"""A small model first; the large one only where the small one does not agree with itself.

The two arms are two pools of the same problems: `testtime replay SMALL --with LARGE` calls them so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Asks, Ballot, Bools, History
from testtime.core.settings import check, setting
from testtime.policies.settings import MOST_DRAWS, TIES, shares
from testtime.policies.votes.majority import Majority


@dataclass(frozen=True)
class Cascade:
    """n small draws; where their leader has less than `agree` of them, large_n large ones, whose majority answers.

    One small draw (n=1) agrees with itself: the large model is asked only where that draw has no answer.
    """

    n: int = setting("draws of the small model", least=1, most=MOST_DRAWS)
    agree: float = setting("share of the small draws that settles the answer", 0.75, above=0, most=1)
    large_n: int = setting("draws of the large model", 1, least=1, most=MOST_DRAWS)
    small: str = setting("label of the small model's arm", "small")
    large: str = setting("label of the large model's arm", "large")
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "cascade"
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        if self.n == 1:
            raise BadInput(
                "n=1 cannot be: one draw always agrees with itself", mend="let the small model draw 2 or more"
            )
        if self.small == self.large:
            raise BadInput(f"small and large are both {self.small!r}", mend="name two arms")

    @property
    def arms(self) -> tuple[str, ...]:
        """Small, then large."""
        return (self.small, self.large)

    @property
    def floor(self) -> int:
        """The small draws."""
        return self.n

    @property
    def most(self) -> int:
        """All draws of both."""
        return self.n + self.large_n

    def _settled(self, history: History) -> Bools:
        tally = history[self.small].tally
        settled: Bools = (tally.v1 > 0) & (tally.v1 >= shares(self.agree, np.asarray(tally.n)))
        return settled

    def ask(self, history: History) -> Asks:
        """The small draws; then, where they do not settle it, the large ones."""
        small, large = history[self.small], history[self.large]
        doubt = (small.seen >= self.n) & ~self._settled(history)
        return {
            self.small: np.maximum(self.n - small.seen, 0),
            self.large: np.where(doubt, np.maximum(self.large_n - large.seen, 0), 0),
        }

    def choose(self, history: History) -> Ballot:
        """The majority of the large draws where there are any votes among them, else of the small ones."""
        labels = list(history)
        vote = Majority(self.ties)
        small, large = vote.ballot(history[self.small]), vote.ballot(history[self.large])
        kept = ~np.isin(small.row, large.row)
        arm = [np.full(int(kept.sum()), labels.index(self.small)), np.full(large.row.size, labels.index(self.large))]
        return Ballot(
            np.concatenate([small.row[kept], large.row]),
            np.concatenate([small.draw[kept], large.draw]),
            np.concatenate([small.weight[kept], large.weight]),
            np.concatenate(arm),
        )
