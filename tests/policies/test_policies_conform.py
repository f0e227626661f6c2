"""Proves that every policy keeps to the contract, and that the check finds those that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from testtime.core.history import Asks, Ballot, History, only
from testtime.core.registry import names
from testtime.core.strings import parse
from testtime.policies.conformance import check
from testtime.policies.sc_fixed import ScFixed

RULES = [f"adaptive_margin:stop_rule={rule},max_n={n}" for rule in names("stopping rule") for n in (1, 2, 5, 24)]
FIXED = ["sc_fixed:n=7", "sc_fixed:n=6,ties=first", "best_of_n:n=6,by=score", "best_of_n:n=6,by=score,ties=first"]
WEIGHTED = ["weighted:n=7,by=score", "weighted:n=7,by=score,temperature=0.2,ties=first"]


BEYOND = [
    "curtail:max_n=24", "curtail:max_n=5,epsilon=0.3", "curtail:max_n=24,epsilon=0.01,over=shares", "curtail:max_n=1",
    "certified:max_n=24", "certified:max_n=40,delta=0.3", "certified:max_n=1",
    "bayes:max_n=24,prior=(1:0:1,.6:.4:1)", "bayes:max_n=2,agreement=0.9,prior=(1:0:1,.6:.4:1)",
    "batch_sequential:max_n=24", "batch_sequential:max_n=3,round_cost=0",
    "greedy_budget:mean_n=2.5,max_n=9", "greedy_budget:mean_n=1.5,max_n=24,rank=blend", "greedy_budget:mean_n=1",
    "greedy_budget:mean_n=2.5,max_n=9,by=x,cuts=(.4),prior=(0/1:0:1,1/.6:.4:1)",
    "cascade:n=3", "cascade:n=2,agree=1,large_n=3,ties=first",
    "deepconf:by=score,max_n=12,warmup=4", "deepconf:by=score,max_n=12,warmup=20,keep=0.5,ties=first",
    "weighted:n=7,by=score,keep=0.3",
]  # fmt: skip


@pytest.mark.parametrize("text", [*RULES, *FIXED, *WEIGHTED, *BEYOND])
@pytest.mark.parametrize("seed", range(3))
def test_every_policy_conforms(text: str, seed: int) -> None:
    check(parse("policy", text), seed=seed)


@dataclass(frozen=True)
class Peeks(ScFixed):
    def ask(self, history: History) -> Asks:
        arm, track = only(history)
        return {arm: np.where(track.seen < self.n, 1 + (track.cells.codes[track.rows, track.seen] == 0), 0)}


@dataclass(frozen=True)
class Names(ScFixed):
    def choose(self, history: History) -> Ballot:
        _, track = only(history)
        codes = track.cells.codes[track.rows][..., : self.n]
        return Ballot.of((codes == codes.max(axis=-1, keepdims=True)).astype(float))


@dataclass(frozen=True)
class Gossips(ScFixed):
    def ask(self, history: History) -> Asks:
        arm, track = only(history)
        more = track.seen.shape[1] > 10
        return {arm: np.where((track.seen < self.n) & more, 1, 0)}


@dataclass(frozen=True)
class Endless(ScFixed):
    most: ClassVar[int] = 50  # type: ignore[assignment, misc]

    def ask(self, history: History) -> Asks:
        arm, track = only(history)
        return {arm: np.where(track.seen < 49, 1, 2)}


@dataclass(frozen=True)
class Negative(ScFixed):
    def ask(self, history: History) -> Asks:
        arm, track = only(history)
        return {arm: self.n - 1 - track.seen if track.seen.any() else self.n + 0 * track.seen}


@dataclass(frozen=True)
class Heavy(ScFixed):
    def choose(self, history: History) -> Ballot:
        ballot = super().choose(history)
        return Ballot(ballot.row, ballot.draw, ballot.weight * 2, ballot.arm)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Peeks(6), "draws it has not seen"),
        (Names(6), "names of answers"),
        (Gossips(6), "what others drew"),
        (Endless(6), "more than its most"),
        (Negative(6), "asks for -1 draws"),
        (Heavy(6), "sum to 1"),
    ],
)
def test_the_check_finds_a_policy_that_cheats(policy: ScFixed, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check(policy)
