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


@pytest.mark.parametrize("text", [*RULES, *FIXED, *WEIGHTED])
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
