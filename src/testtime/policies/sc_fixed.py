"""Self-consistency with a fixed number of draws: the baseline every policy is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from testtime.core.settings import setting
from testtime.policies.fixed import Fixed
from testtime.policies.settings import TIES
from testtime.policies.votes.majority import Majority


@dataclass(frozen=True)
class ScFixed(Fixed):
    """n draws in one round, then the majority of their answers."""

    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "sc_fixed"

    @property
    def vote(self) -> Majority:
        """The majority."""
        return Majority(self.ties)
