"""A conversation with tools killed anywhere, inside a tool too, ends as the uninterrupted one: nothing is lost or paid
twice, the simulated results are the same, and a marked retry lies in the file of retries under an arm of its own.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import lane, last_word, live_is_replay, plan, problems, server, survives

from testtime.core.records import Completion, Request
from testtime.decoding.tools import REASON, Means, Tools
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices
from testtime.policies.sc_fixed import ScFixed
from testtime.tools.execute import Execute

TOOLS = [
    {"name": "get_stock_price", "parameters": {"type": "object", "properties": {"symbol": {"type": "string"}}}},
    {"name": "ask_the_oracle", "parameters": {"type": "object", "properties": {"about": {"type": "string"}}}},
]


def call(id: str, name: str, **arguments: Any) -> Completion:
    return Completion("", "tools", 3, tool_calls=[{"id": id, "name": name, "arguments": arguments}])


def script(request: Request, seed: int) -> str | Completion:
    """Looks a price up, asks for what no mock knows twice alike, then answers, or says that it cannot."""
    if request.messages[0]["content"].startswith("You play"):
        return json.dumps({"told": seed % 7})
    results = [one["content"] for one in request.messages if one["role"] == "tool"]
    if not results:
        return call("a", "get_stock_price", symbol="ALFA")
    if len(results) < 3:
        return call(f"b{len(results)}", "ask_the_oracle", about="tomorrow")
    if seed % 3 == 0:
        return "I'm sorry, but I don't have access to real-time data."
    return f"with {results[0]} and {results[1]} it is {json.loads(results[1])['told']}"


def shape(folder: Path) -> Plan:
    said = server(folder, script)
    made = lane(Tools(means=Means(native=True, simulated=True)), 4, "tools")
    again = made.decoding.again_of(made.arms[0])  # type: ignore[attr-defined]
    one = plan(
        said,
        [replace(made, again=again)],
        tools={"execute": Execute(0, {}, {"max_tokens": 99})},
        roles={"mock": said.name},
        policies=[ScFixed(4)],
        price=Prices({said.name: Price(1.0, 1.0)}),
        answer=last_word,
    )
    return replace(one, problems=[replace(problem, fields={"tools": TOOLS}) for problem in problems(3)])


def test_a_conversation_with_tools_is_one_whatever_kills_it(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path, points=24)
    rows, again = whole.rows, whole.retries
    assert rows.height == 12
    assert 0 < again.height < 12
    facts = [json.loads(one) for one in rows["facts"]]
    assert {one["tool_calls_total"] for one in facts} == {3}
    assert facts[0]["mock_sources"] == {"get_stock_price": "dynamic_mock", "ask_the_oracle": "llm_mock"}
    assert facts[0]["tool_calls_by_name"] == {"get_stock_price": 1, "ask_the_oracle": 2}
    assert rows["tool_iterations"].to_list() == [3] * 12
    results = [[step for step in json.loads(one) if step["kind"] == "result"] for one in rows["tool_trace"]]
    for one in results:
        told = [json.loads(step["text"])["content"] for step in one]
        assert told[1] == told[2], "the same call has the same result"
    assert set(again["arm"]) == {"tools:mock=llm"}
    assert set(again["retry_reason"]) == {REASON}
    declined = rows.filter(rows["candidate_text"].str.contains("sorry"))
    assert declined.height == again.height
    assert declined["candidate_idx"].to_list() == again["retry_of_candidate_idx"].to_list()
    assert set(again["mock_sources"]) == {'{"ask_the_oracle":"llm_mock_forced","get_stock_price":"llm_mock_forced"}'}
    assert whole.pool.arms.keys() == {"tools"}
    assert any("tried again: see retries.parquet" in note for note in whole.pool.notes)
    live_is_replay(whole)
