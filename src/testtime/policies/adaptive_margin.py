"""Adaptive self-consistency: draw until a stopping rule is satisfied, then the majority.

The whole predicate is `stops`: the rule, not before min_samples; curtailment, when the leader cannot be
overtaken within max_n; and max_n itself. Replay, exact law and the printed boundary all read this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Asks, Ballot, Bools, History, Tally, only
from testtime.core.protocols import StoppingRule
from testtime.core.settings import check, component, setting
from testtime.policies.counts import COUNTS, least_batch
from testtime.policies.settings import MOST_DRAWS, TIES
from testtime.policies.stops.lossless import Lossless
from testtime.policies.votes.majority import Majority


@dataclass(frozen=True)
class AdaptiveMargin:
    """Stop by `rule`, vote by majority. Each round asks for the fewest draws that could stop."""

    rule: StoppingRule = component("when the votes suffice", "stopping rule", key="stop_rule", usual="sprt")
    max_n: int = setting("the most draws a problem", least=1, most=MOST_DRAWS)
    min_samples: int = setting(
        "draws before the rule is asked; 0 means the rule's own: 2, or 3 for share", 0, least=0, most=MOST_DRAWS
    )
    curtail: bool = setting("stop also when the leader cannot be overtaken within max_n", True)
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "adaptive_margin"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        if isinstance(self.rule, Lossless) and not self.curtail:
            raise BadInput("stop_rule=lossless with curtail=false never stops", mend=f"use sc_fixed:n={self.max_n}")
        if self.min_samples == 0:
            object.__setattr__(self, "min_samples", min(getattr(self.rule, "patience", 2), self.max_n))
        if self.min_samples > self.max_n:
            raise BadInput(
                f"min_samples={self.min_samples} is more than max_n={self.max_n}", mend="raise max_n or lower it"
            )

    @property
    def floor(self) -> int:
        """No problem gets fewer draws."""
        return self.min_samples

    @property
    def most(self) -> int:
        """No problem gets more."""
        return self.max_n

    @property
    def reads(self) -> frozenset[str]:
        """What the whole predicate looks at."""
        return self.rule.reads | COUNTS

    def stops(self, tally: Tally) -> Bools:
        """The whole predicate, elementwise."""
        n = np.asarray(tally.n)
        enough = self.rule.stops(tally)
        if self.curtail:
            enough = enough | (tally.v1 - tally.v2 > self.max_n - n)
        stopped: Bools = (enough & (n >= self.min_samples)) | (n >= self.max_n)
        return stopped

    def ask(self, history: History) -> Asks:
        """The least batch that could stop: all at once or one by one, the same draws are seen."""
        arm, track = only(history)
        return {arm: least_batch(self, track.tally, self.max_n)}

    def choose(self, history: History) -> Ballot:
        """The majority of all that was drawn; where the rule stopped for a run of equal votes, that run's answer."""
        _, track = only(history)
        ballot = Majority(self.ties).ballot(track)
        if "run" not in self.rule.reads:
            return ballot
        ran = (self.rule.stops(track.tally) & (track.seen > 0)).reshape(-1)
        kept, row = ~ran[ballot.row], np.flatnonzero(ran)
        return Ballot(
            np.concatenate([ballot.row[kept], row]),
            np.concatenate([ballot.draw[kept], track.seen.reshape(-1)[row] - 1]),
            np.concatenate([ballot.weight[kept], np.ones(row.size)]),
            np.zeros(int(kept.sum()) + row.size, dtype=np.int64),
        )
