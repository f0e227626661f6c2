"""A tool loop whose failed try is kept, marked, beside the draw: a row of another file, and not one of the N."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import lane, live_is_replay, plan, server, survives

from testtime.core.errors import ToolError
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Map, Part, Problem, Request
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices
from testtime.policies.sc_fixed import ScFixed


@dataclass
class Tools:
    """Asks which number to double; where the tool fails, the draw is tried once more."""

    calls: None = None
    settings: Sequence[Any] = ({},)
    roles: dict[str, frozenset[Any]] = field(default_factory=lambda: {"model": frozenset()})

    async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
        first = await self.once(problem, messages, idx, ask)
        if first.facts["worked"]:
            return [first]
        hint = [*messages, {"role": "user", "content": f"{problem.question} ! {problem.question.split()[-1]}"}]
        return [first, replace(await self.once(problem, hint, idx, ask), retry_of=idx)]

    async def once(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Candidate:
        got = await ask.generate("model", Request(messages))
        named = got.completions[0].text
        try:
            result, worked = (await ask.tool("double", {"of": named}))["is"], True
        except ToolError as error:
            result, worked = str(error), False
        parts = [Part("call", named), Part("result", str(result)), Part("answer", f"it is {result}")]
        alone, facts = {"model": got.spend}, {"worked": worked}
        return Candidate(ask.arms[0].label, problem.query_id, idx, parts, "stop", alone, facts=facts)


async def double(arguments: Map, ask: Ask) -> Map:
    if not arguments["of"].isdigit():
        raise ToolError(f"{arguments['of']} is no number")
    return {"is": 2 * int(arguments["of"])}


def shape(folder: Path) -> Plan:
    said = server(folder, lambda request, seed: "x" if seed % 2 and len(request.messages) == 1 else str(seed % 5))
    price = Prices({said.name: Price(1.0, 1.0)})
    return plan(said, [lane(Tools(), 4, "tools")], tools={"double": double}, policies=[ScFixed(4)], price=price)


def test_a_marked_retry_is_a_row_and_not_a_draw(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    again = whole.retries
    assert 0 < again.height < 12
    assert again["is_retry"].all()
    assert not whole.rows["is_retry"].any()
    assert whole.rows.height == 12
    assert whole.pool.arms["tools"].codes.shape == (3, 4)
    failed = whole.rows.filter(whole.rows["worked"] == 0)
    assert failed["candidate_idx"].to_list() == again["retry_of_candidate_idx"].to_list()
    assert whole.calls.filter(role="tool").height == whole.rows.height + again.height
    assert again["answer_key"].null_count() == 0
    live_is_replay(whole)
