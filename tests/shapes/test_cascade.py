"""A cascade over two arms, executed live: the large model is asked where the small one does not agree with itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from harness import guess, lane, live_is_replay, plan, server, survives

from testtime.core.history import Asks, Ballot, History
from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices


@dataclass(frozen=True)
class Cascade:
    """Three small draws; if no answer has two of them, two large ones, of which the first is the answer."""

    name: ClassVar[str] = "cascade"
    arms: tuple[str, ...] = ("small", "large")
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False
    floor: ClassVar[int] = 3
    most: ClassVar[int] = 5

    def ask(self, history: History) -> Asks:
        small, large = history["small"], history["large"]
        split = (small.seen == 3) & (small.tally.v1 < 2)
        return {"small": np.maximum(3 - small.seen, 0), "large": np.where(split & (large.seen == 0), 2, 0)}

    def choose(self, history: History) -> Ballot:
        small, large = history["small"], history["large"]
        row, arm = np.arange(small.seen.size), (large.seen > 0).astype(int).reshape(-1)
        return Ballot(row, np.zeros(row.size, dtype=int), np.ones(row.size), arm)


def shape(folder: Path) -> Plan:
    small, large = server(folder, guess, "tiny:s"), server(folder, guess, "tiny:l")
    models, price = {m.name: m for m in (small, large)}, Prices({"tiny:s": Price(1, 1), "tiny:l": Price(50, 50)})
    lanes = [lane(Plain(), 0, "small", model="tiny:s"), lane(Plain(), 0, "large", model="tiny:l")]
    return plan(small, lanes, count=12, models=models, policies=[Cascade()], price=price)


def test_only_the_problems_that_need_the_large_model_pay_for_it(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    sizes = {label: draws.size.tolist() for label, draws in whole.pool.arms.items()}
    assert sizes["small"] == [3] * 12
    assert set(sizes["large"]) == {0, 2}
    assert {label: draws.floor for label, draws in whole.pool.arms.items()} == {"small": 3, "large": 0}
    live_is_replay(whole)
