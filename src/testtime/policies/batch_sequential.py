"""Rounds against draws: how many draws to ask for at once, when every round costs a wait.

Backward induction as in worth.py, with the size of the next batch as the decision: stop, or pay for one round and
b draws and go on from where they lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import Refused
from testtime.core.history import Asks, Ballot, Floats, History, Ints, only
from testtime.core.settings import check, setting
from testtime.policies.bayes import PRIOR
from testtime.policies.counted import MOST_TABLED
from testtime.policies.priors import LEARN, Prior, learn, read_prior
from testtime.policies.settings import TIES
from testtime.policies.votes.majority import Majority
from testtime.policies.worth import PRICES, Level, levels

_STEPS = 20


@dataclass(frozen=True)
class BatchSequential:
    """The wanted agreement with the vote over max_n draws at the least draws + round_cost · rounds."""

    max_n: int = setting("the most draws a problem", least=1, most=MOST_TABLED)
    agreement: float = setting("wanted probability of the same answer as all max_n draws", 0.99, above=0, below=1)
    round_cost: float = setting("what a round costs, in draws", 2.0, least=0)
    prior: tuple[str, ...] = setting(f"{PRIOR}; none is a broad one", ())
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "batch_sequential"
    grade: ClassVar[str] = "bayes"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        if not self.learns:
            read_prior(self.prior)

    @property
    def learns(self) -> bool:
        """Whether it needs other problems before it can say anything."""
        return self.prior == (LEARN,)

    def fitted(self, codes: Ints, columns: Mapping[str, Floats]) -> BatchSequential:
        """The same with the prior that fits these problems [problem, draw]."""
        return replace(self, prior=learn(codes).texts())

    @property
    def batches(self) -> Ints:
        """[n, v1 · (max_n + 1) + v2] the next batch; 0 stops. Raises Refused where it has still to learn."""
        if self.learns:
            raise Refused(f"{self.name} has not learned its prior", mend="run: testtime policies fit, and paste it")
        return batches(read_prior(self.prior), self.max_n, self.agreement, self.round_cost)

    @property
    def floor(self) -> int:
        """The first batch; all draws while it has still to learn, for then only a replay can play it."""
        return self.max_n if self.learns else int(self.batches[0, 0])

    @property
    def most(self) -> int:
        """No problem gets more."""
        return self.max_n

    def ask(self, history: History) -> Asks:
        """The batch that is best here."""
        arm, track = only(history)
        tally, n = track.tally, np.minimum(track.seen, self.max_n)
        place = tally.v1 * (self.max_n + 1) + tally.v2
        return {arm: np.where(track.seen < self.max_n, self.batches[n, place], 0)}

    def choose(self, history: History) -> Ballot:
        """The majority of all that was drawn."""
        _, track = only(history)
        return Majority(self.ties).ballot(track)


@lru_cache(maxsize=16)
def batches(prior: Prior, max_n: int, agreement: float, round_cost: float) -> Ints:
    """[n, state] the best batch at the price of a draw that gives the wanted agreement."""
    low, high = PRICES[-1], 1.0
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        kept = expected(prior, max_n, _best(prior, max_n, middle, round_cost))[2] <= 1 - agreement
        low, high = (middle, high) if kept else (low, middle)
    return _best(prior, max_n, low, round_cost)


def _best(prior: Prior, max_n: int, price: float, round_cost: float) -> Ints:
    """[n, state] the best batch when a draw costs `price` and a round as much as `round_cost` draws."""
    chain = levels(prior, max_n)
    size = len(chain[0].mass)
    found = np.zeros((max_n + 1, size), dtype=np.int64)
    ahead = np.zeros((0, size))  # [b − 1, state] what a value b draws further on is expected to be
    value = chain[max_n].miss
    for n in range(max_n - 1, -1, -1):
        ahead = np.stack([_expect(chain[n], later) for later in (value, *ahead)])
        cost = ahead + price * (round_cost + np.arange(1, len(ahead) + 1))[:, None]
        batch = cost.argmin(axis=0)
        least = cost[batch, np.arange(size)]
        goes_on = (least < chain[n].miss) & (chain[n].mass > 0) if n else np.ones(size, dtype=bool)
        found[n] = np.where(goes_on, batch + 1, 0)
        value = np.where(goes_on, least, chain[n].miss)
    return found


def _expect(level: Level, later: Floats) -> Floats:
    """[state] what `later` [state] is expected to be one draw on."""
    means = np.bincount(level.state, weights=level.chance * later[level.after], minlength=len(later))
    return means.astype(float)


def expected(prior: Prior, max_n: int, batch: Ints) -> tuple[float, float, float]:
    """(Draws, rounds, chance of another answer than that of all max_n), if the prior were the truth."""
    chain = levels(prior, max_n)
    size = batch.shape[1]
    flying = np.zeros((max_n + 1, size))  # [draws still to come of the batch, state]
    flying[0, 0] = 1.0
    draws = rounds = missed = 0.0
    for n, level in enumerate(chain):
        here, sizes = flying[0].copy(), batch[n] if n < max_n else np.zeros(size, dtype=np.int64)
        ends = np.where(sizes == 0, here, 0.0)
        draws, missed = draws + n * float(ends.sum()), missed + float(ends @ level.miss)
        rounds += float((here - ends).sum())
        flying[0] = 0.0
        for b in np.unique(sizes[(sizes > 0) & (here > 0)]):
            flying[b] += np.where(sizes == b, here, 0.0)
        if n < max_n:
            busy = np.flatnonzero(flying.any(axis=1))
            moved = np.zeros_like(flying)
            for b in busy:
                moved[b - 1] = np.bincount(level.after, weights=flying[b][level.state] * level.chance, minlength=size)
            flying = moved
    return draws, rounds, missed
