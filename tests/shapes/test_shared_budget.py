"""One budget over all problems: in rounds, the next draw goes where the votes are closest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from harness import guess, lane, live_is_replay, plan, server, survives

from testtime.core.history import Asks, Ballot, History, only
from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices


@dataclass(frozen=True)
class Closest:
    """Two draws for each problem, then one at a time to the smallest lead, until the budget is spent."""

    budget: int
    name: ClassVar[str] = "closest"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = True
    floor: ClassVar[int] = 2
    most: ClassVar[None] = None

    def ask(self, history: History) -> Asks:
        arm, track = only(history)
        if (track.seen == 0).all():
            return {arm: np.full(track.seen.shape, 2)}
        left = track.seen.sum(axis=-1, keepdims=True) < self.budget
        lead = track.tally.v1 - track.tally.v2
        return {arm: (left & (np.arange(lead.shape[-1]) == lead.argmin(axis=-1)[..., None])).astype(int)}

    def choose(self, history: History) -> Ballot:
        _, track = only(history)
        return Ballot.of((np.arange(track.answer.shape[-1]) == track.tally.leader[..., None]).astype(float))


def shape(folder: Path) -> Plan:
    price = Prices({"scripted:1": Price(1, 1)})
    return plan(server(folder, guess), [lane(Plain(), 0, "plain")], 5, policies=[Closest(22)], price=price)


def test_the_budget_is_spent_where_votes_are_close(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    sizes = whole.pool.arms["plain"].size
    assert sizes.sum() == whole.rows.height == 22
    assert sizes.min() >= 2
    assert len(set(sizes.tolist())) > 1
    assert whole.pool.arms["plain"].floor == 2
    live_is_replay(whole)
