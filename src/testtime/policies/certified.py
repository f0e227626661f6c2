"""Certified answers: stop when the leader is the model's most common answer, with error at most δ at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Asks, Ballot, Floats, History, only
from testtime.core.settings import check, setting
from testtime.policies.evidence import FORWARD, e_values
from testtime.policies.settings import MOST_DRAWS, TIES
from testtime.policies.votes.majority import Majority


@dataclass(frozen=True)
class Certified:
    """Draws until the e-value reaches 1/δ (policies/evidence.py); what has not at max_n stays uncertified.

    The answers need not be known beforehand, and where one is the most common, a wrong one is certified with
    probability at most δ, however many draws are made.
    """

    max_n: int = setting("the most draws a problem", least=1, most=MOST_DRAWS)
    delta: float = setting("the most probable false certificate", 0.05, above=0, below=1)
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "certified"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False
    grade: ClassVar[str] = "certified"
    """What its answer is called where the e-value reached `goal`."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def floor(self) -> int:
        """What no certificate can do without."""
        return min(self.max_n, 2)

    @property
    def most(self) -> int:
        """No problem gets more."""
        return self.max_n

    @property
    def goal(self) -> float:
        """The e-value of a certificate: 1/δ."""
        return 1 / self.delta

    def e_value(self, history: History) -> Floats:
        """[world, problem] the e-value of the leader against every other answer, now."""
        _, track = only(history)
        key = f"e_value {self.goal} {self.max_n}"
        found: Floats = track.scan(key, lambda cells: e_values(cells.codes, self.goal, self.max_n))
        return found

    def certain(self, history: History) -> np.ndarray:
        """[world, problem] whether the e-value reached 1/δ."""
        reached: np.ndarray = self.e_value(history) >= self.goal * (1 - 1e-9)
        return reached

    def ask(self, history: History) -> Asks:
        """The fewest draws that could reach 1/δ: no bet pays more than twice its stake."""
        arm, track = only(history)
        lone = (track.tally.v1 == 1) & (track.tally.v2 == 0)  # what it bet on a first vote is not shown yet
        wealth = self.e_value(history) * np.where(lone, 1 + FORWARD, 1.0)
        doublings = np.ceil(np.log2(self.goal / np.maximum(wealth, 1e-300)) - 1e-9)
        doublings = np.where(self.certain(history), 0, np.maximum(doublings, 1)).astype(np.int64)
        wanted = np.where(track.seen == 0, max(self.floor, 1), doublings)
        return {arm: np.clip(wanted, 0, np.maximum(self.max_n - track.seen, 0))}

    def choose(self, history: History) -> Ballot:
        """The majority of all that was drawn; the leader, where it is certified."""
        _, track = only(history)
        return Majority(self.ties).ballot(track)
