"""Two roles write one text in turns; where the oracle speaks is random, and the same after a kill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import lane, plan, server, survives

from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Part, Problem, Request
from testtime.core.spend import add
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices

CONTINUES = frozenset({"continuation"})


@dataclass
class Guided:
    """Each of four sentences is the oracle's with probability 1/3."""

    calls: None = None
    settings: Sequence[Any] = ({},)
    roles: dict[str, frozenset[Any]] = field(default_factory=lambda: {"base": CONTINUES, "oracle": CONTINUES})

    async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
        parts: list[Part] = []
        spends: dict[str, list[Any]] = {"base": [], "oracle": []}
        for _ in range(4):
            role = "oracle" if ask.rng.random() < 1 / 3 else "base"
            got = await ask.generate(role, Request(messages, prefix="".join(part.text for part in parts)))
            parts.append(Part(role, got.completions[0].text, got.completions[0].tokens, got.calls[0]))
            spends[role].append(got.spend)
        alone = {role: add(spent) for role, spent in spends.items() if spent}
        facts = {"consultations": sum(part.kind == "oracle" for part in parts)}
        return [Candidate(ask.arms[0].label, problem.query_id, idx, parts, "stop", alone, facts=facts)]


def shape(folder: Path) -> Plan:
    base = server(folder, lambda request, seed: f"b{seed % 90} ", "scripted:base")
    oracle = server(folder, lambda request, seed: f"o{seed % 90} {len(request.prefix)} ", "scripted:oracle")
    price = Prices({"scripted:base": Price(1.0, 1.0), "scripted:oracle": Price(100.0, 100.0)})
    lanes = [lane(Guided(), 3, "guided", base=base.name, oracle=oracle.name)]
    return plan(base, lanes, models={base.name: base, oracle.name: oracle}, price=price)


def test_two_roles_write_one_text_and_each_is_paid(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    assert whole.served == 9 * 4
    roles = whole.calls["role"].value_counts().rows()
    assert dict(roles)["oracle"] == whole.rows["consultations"].sum()
    assert whole.rows["candidate_text"].n_unique() == 9
    patterns = {tuple(part["kind"] for part in json.loads(parts)) for parts in whole.rows["parts"]}
    assert len(patterns) > 3, "each draw throws its own dice, not each problem"
    assert set(whole.calls["model"]) == {"scripted:base", "scripted:oracle"}
