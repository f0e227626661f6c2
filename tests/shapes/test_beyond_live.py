"""Curtailed, certified, optimally stopped, batched and budgeted policies, and a cascade: live, each is its replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import finish, guess, killed_at, lane, live_is_replay, plan, server

from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices

PRIOR = "prior=(1:0:1,.6:.4:1)"
TEXTS = [
    "curtail:max_n=12", "certified:max_n=12,delta=0.3", f"bayes:max_n=12,{PRIOR}", f"batch_sequential:max_n=12,{PRIOR}",
    "greedy_budget:mean_n=3,max_n=12", "greedy_budget:mean_n=3,max_n=12,rank=blend",
    "greedy_budget:mean_n=3,max_n=12,by=completion,cuts=(5),prior=(0/1:0:1,1/.6:.4:1)",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_live_is_replay_draw_for_draw_after_a_kill(tmp_path: Path, text: str) -> None:
    def alone(folder: Path) -> Plan:
        price = Prices({"scripted:1": Price(1, 1)})
        return plan(
            server(folder, guess), [lane(Plain(), 0, "plain")], 8, policies=[parse("policy", text)], price=price
        )

    assert killed_at(alone, tmp_path, line=25, after=True)
    live_is_replay(finish(alone, tmp_path))


def test_a_cascade_of_two_models_live_is_its_replay(tmp_path: Path) -> None:
    def two(folder: Path) -> Plan:
        small, large = server(folder, guess, "tiny:s"), server(folder, guess, "tiny:l")
        models, price = {m.name: m for m in (small, large)}, Prices({"tiny:s": Price(1, 1), "tiny:l": Price(50, 50)})
        lanes = [lane(Plain(), 0, "small", model="tiny:s"), lane(Plain(), 0, "large", model="tiny:l")]
        policies = [parse("policy", "cascade:n=3,agree=1,large_n=2")]
        return plan(small, lanes, count=12, models=models, policies=policies, price=price)

    live_is_replay(finish(two, tmp_path))
