"""Budgets outlive kills: a thought that was begun is gone on with over its journalled calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import asked, plan, server, survives

from testtime.core.records import Arm
from testtime.core.seeds import digest
from testtime.decoding.budget import Budget
from testtime.decoding.prefix import Prefix
from testtime.engine.plan import Lane, Plan
from testtime.meters.price import Price, Prices

DECODINGS = (Budget(budget=6, force_continue="wait", score="none"), Prefix(budget=(4, 8), score="none"))


def think(request: Any, seed: int) -> str:
    """A few words, or an answer where one is asked for."""
    luck = int(digest(seed, length=6), 16)
    return f"{luck % 3}}}" if str(request.prefix).endswith("{") else "so " * (luck % 6) + "on"


def shape(folder: Path) -> Plan:
    lanes = []
    for decoding in DECODINGS:
        kind = type(decoding).__name__.lower()
        arms = [
            Arm(f"{kind} {one['budget']}", {"model": "scripted:1"}, decoding={"kind": kind, **one})
            for one in decoding.settings
        ]
        lanes.append(Lane(tuple(arms), decoding, asked, 2))
    price = Prices({"scripted:1": Price(prompt=1e6, completion=1e6)})
    return plan(server(folder, think), lanes, count=2, price=price)


def test_a_killed_draw_goes_on_over_its_calls(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    assert whole.rows.height == 2 * 2 * 3
    for noted in map(json.loads, whole.rows["facts"]):
        assert noted["thinking_tokens"] <= noted["budget"]
