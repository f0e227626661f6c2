"""One trace serves three budgets: three arms from one draw, each with the text and tokens up to its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import guess, lane, plan, server, survives

from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Part, Problem, Request
from testtime.core.spend import Spend
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices

BUDGETS = (4, 6, 20)


@dataclass
class Prefixes:
    """Cuts one trace at each budget."""

    calls: int = 1
    settings: Sequence[Any] = tuple({"budget": budget} for budget in BUDGETS)
    roles: dict[str, frozenset[Any]] = field(default_factory=lambda: {"model": frozenset()})

    async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
        got = await ask.generate("model", Request(messages, params={"max_tokens": max(BUDGETS)}))
        words = got.completions[0].text.split()
        made = []
        for arm, setting in zip(ask.arms, self.settings, strict=True):
            kept = words[: setting["budget"]]
            part = Part("thinking", " ".join(kept), len(kept), got.calls[0])
            alone = {"model": Spend(got.spend.prompt, 0, len(kept), len(kept))}
            finish = "stop" if len(kept) == len(words) else "length"
            made.append(Candidate(arm.label, problem.query_id, idx, [part], finish, alone, got.calls))
        return made


def shape(folder: Path) -> Plan:
    price = Prices({"scripted:1": Price(prompt=1e6, completion=1e6)})
    labels = [f"budget {budget}" for budget in BUDGETS]
    return plan(server(folder, guess), [lane(Prefixes(), 3, *labels)], price=price)


def test_three_arms_are_drawn_by_one_call_a_problem(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    assert whole.served == 3
    assert whole.rows.height == 3 * 3 * len(BUDGETS)
    texts = whole.rows.partition_by("arm", as_dict=True)
    short, middle, full = (texts[f"budget {budget}",]["candidate_text"].to_list() for budget in BUDGETS)
    assert all(c.startswith(b) and b.startswith(a) for a, b, c in zip(short, middle, full, strict=True))
    assert whole.rows["completion_tokens"].max() <= max(BUDGETS)
    assert {draws.floor for draws in whole.pool.arms.values()} == {3}
