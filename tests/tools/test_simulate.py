"""A model that plays a tool is told all that the tool is, in its own role, and what it gives is a result only where it
is JSON and such as the tool declares; an outage is for another time, any other failure an error that is told.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from testtime.core.definitions import definition
from testtime.core.errors import ModelError, ToolError
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend
from testtime.tools.execute import Execute
from testtime.tools.simulate import PROBLEM, prompt_of, read, simulate

TOOL = {"name": "search_cases", "description": "Finds court cases.", "parameters": {
    "type": "object", "properties": {"about": {"type": "string"}}}}  # fmt: skip
TYPED = {**TOOL, "returns": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}


class Ask:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, reply: str | ModelError) -> None:
        self.reply, self.asked = reply, list[tuple[str, Request]]()

    async def generate(self, role: str, request: Request) -> Generation:
        self.asked.append((role, request))
        if isinstance(self.reply, ModelError):
            raise self.reply
        return Generation([Completion(self.reply, "stop", 3)], Spend(), "m")


def played(reply: str | ModelError, tool: Any = TOOL, **how: Any) -> tuple[Any, Ask]:
    ask: Any = Ask(reply)
    given = {"arguments": {"about": "bees"}, "problem": "p" * 5000, "sampling": {"max_tokens": 9}, **how}
    return asyncio.run(simulate(definition(tool), ask=ask, **given)), ask


def test_it_is_told_what_the_tool_is_and_a_part_of_the_problem() -> None:
    result, ask = played('Sure:\n```json\n{"cases": ["Bee v. Wasp"]}\n```')
    assert result == {"cases": ["Bee v. Wasp"]}
    ((role, request),) = ask.asked
    text = str(request.messages[0]["content"])
    assert (role, request.params) == ("mock", {"max_tokens": 9})
    for part in ("search_cases", "Finds court cases.", '{"about": "bees"}', '"type": "object"', "three to five"):
        assert part in text
    assert text.count("p" * PROBLEM) == 1
    assert "p" * (PROBLEM + 1) not in text
    assert "one object" in prompt_of(definition({"name": "get_case"}), {}, "")


@pytest.mark.parametrize(
    ("reply", "tool", "why"),
    [
        ("I would rather not.", TOOL, "the model that plays it gave no result"),
        ("{'n': 1}", TOOL, "gave no result"),
        ('"text"', TOOL, "gave no result"),
        ('{"n": "many"}', TYPED, "gave another thing"),
        ('{"m": 1}', TYPED, "n is missing"),
        (ModelError("filtered"), TOOL, "search_cases is not available: filtered"),
        ("[" * 100_000, TOOL, "gave no result"),
    ],
)
def test_what_is_no_result_is_an_error_for_the_model(reply: str | ModelError, tool: Any, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        played(reply, tool)


def test_an_outage_is_no_result_at_all() -> None:
    with pytest.raises(ModelError, match="down"):
        played(ModelError("down", retry=True))


def test_forced_it_plays_what_the_mock_knows_but_nothing_that_is_computed() -> None:
    ask: Any = Ask('{"price": 3}')
    execute = Execute(0, {}, {"max_tokens": 9})
    call = {
        "tool": {"name": "get_stock_price"},
        "arguments": {"symbol": "A"},
        "problem": "",
        "own": False,
        "threshold": 0.4,
    }
    assert asyncio.run(execute({**call, "forced": True}, ask)) == {"result": {"price": 3}, "source": "llm_mock_forced"}
    sums = {**call, "tool": {"name": "calculator"}, "arguments": {"expression": "6 * 7"}, "forced": True}
    made = asyncio.run(execute(sums, ask))
    assert (made["result"]["result"], made["source"]) == (42, "dynamic_mock")
    assert len(ask.asked) == 1


@pytest.mark.parametrize("text", ['{"a": [1]}', "<think>{}</think> [1, 2]", 'x {"a": 1} y', "[]", "{}"])
def test_json_is_found_amid_text(text: str) -> None:
    assert json.dumps(read(text)) in text
