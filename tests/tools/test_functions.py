"""A Python function as a tool: what a model is told of it, and that nothing it does ends a run: raising, hanging, ten
megabytes, what is no JSON. A function runs only where the run itself names it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any, Literal

import pytest

from testtime.core.errors import BadInput, ToolError
from testtime.core.records import Map
from testtime.tools import BUILTIN
from testtime.tools.execute import Execute, definitions, functions
from testtime.tools.functions import LARGEST, Function


def look_up(word: str, times: int = 1, how: Literal["fast", "slow"] = "fast", many: list[str] | None = None) -> Any:
    """Looks a word up.

    It is not for models to read on.
    """
    return {"word": word * times, "how": how, "many": many}


async def later(seconds: float) -> Map:
    await asyncio.sleep(seconds)
    return {"slept": seconds}


def run(function: Any, *, seconds: float = 5.0, **arguments: Any) -> Any:
    return asyncio.run(Function("tool", function, seconds).run(arguments))


def test_a_definition_is_what_the_signature_and_the_documentation_say() -> None:
    told = Function("look_up", look_up).definition
    assert (told.name, told.about) == ("look_up", "Looks a word up.")
    assert told.parameters == {
        "type": "object",
        "properties": {
            "word": {"type": "string"}, "times": {"type": "integer"}, "how": {"enum": ["fast", "slow"]},
            "many": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["word"],
        "additionalProperties": False,
    }  # fmt: skip


def test_it_gives_what_the_function_gives_a_coroutine_too() -> None:
    assert run(look_up, word="ab", times=2) == {"word": "abab", "how": "fast", "many": None}
    assert run(lambda: 3) == 3
    assert asyncio.run(Function("later", later).run({"seconds": 0.01})) == {"slept": 0.01}


def raises() -> None:
    raise KeyError("no such thing")


def leaves() -> None:
    sys.exit(3)


def interrupts() -> None:
    raise ToolError("ask another way")


def circular() -> Any:
    one: list[Any] = []
    one.append(one)
    return one


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (raises, "tool failed: KeyError: 'no such thing'"),
        (leaves, "tool failed: SystemExit: 3"),
        (interrupts, "ask another way"),
        (lambda: "x" * 10_000_000, "tool gave 10,000,002 characters; at most 100,000 are taken"),
        (lambda: object(), "tool gave what is no JSON"),
        (lambda: float("nan"), "tool gave what is no JSON"),
        (circular, "tool gave what is no JSON"),
        (lambda: {1, 2}, "tool gave what is no JSON"),
        (lambda: time.sleep(30), "tool gave no result within 0.2 s"),
        (lambda: later(30), "tool gave no result within 0.2 s"),
    ],
)
def test_whatever_it_does_is_an_error_for_the_model(function: Any, why: str) -> None:
    with pytest.raises(ToolError, match=why.replace("(", r"\(")):
        run(function, seconds=0.2)
    assert LARGEST == 100_000


def test_a_function_that_hangs_is_not_called_for_ever() -> None:
    free = threading.Event()
    function = Function("tool", free.wait, 0.01)

    async def often() -> list[str]:
        said = []
        for _ in range(10):
            with pytest.raises(ToolError) as error:
                await function.run({})
            said.append(str(error.value))
        return said

    said = asyncio.run(often())
    free.set()
    assert said[:8] == ["tool gave no result within 0.01 s"] * 8
    assert said[8:] == ["tool has not answered 8 earlier calls"] * 2


class NoModel:
    """An Ask that nobody should ask."""


def call(name: str, arguments: Any, **how: Any) -> dict[str, Any]:
    tool = {"name": name, "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}
    return {"tool": tool, "arguments": arguments, "problem": "", "own": True, "forced": False, "threshold": 0.4, **how}


def test_a_function_runs_only_where_the_run_names_it() -> None:
    execute = Execute(0, {"look_up_price": Function("look_up_price", look_up)})
    given: Any = NoModel()
    ours = asyncio.run(execute(call("look_up_price", {"word": "a"}), given))
    assert (ours["source"], ours["result"]["how"]) == ("function", "fast")
    theirs = asyncio.run(execute(call("look_up_price", {"word": "a"}, own=False), given))
    assert theirs["source"] == "dynamic_mock", "a tool of that name in a dataset is not the user's function"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [([1], "takes a JSON object"), ({"word": 3}, "was called wrongly: word is a number, not string")],
)
def test_arguments_are_checked_before_anything_runs(arguments: Any, why: str) -> None:
    given: Any = NoModel()
    with pytest.raises(ToolError, match=why):
        asyncio.run(Execute(0)(call("look_up", arguments), given))


def test_without_a_mock_that_is_sure_or_a_model_the_error_says_so() -> None:
    given: Any = NoModel()
    with pytest.raises(ToolError, match="frobnicate is not available here"):
        asyncio.run(Execute(0)(call("frobnicate", {}), given))


def test_the_tools_of_a_run_are_functions_and_those_of_the_catalogue() -> None:
    told = definitions(["calculate", "get_stock_price"])
    assert [one.name for one in told] == ["calculate", "get_stock_price"]
    assert told[0].about == "The value of an arithmetic expression, as (2 + 3) * 4 ^ 2 or sqrt(2)."
    assert functions(BUILTIN).keys() == BUILTIN.keys()
    for name in BUILTIN:
        assert definitions([name])[0].parameters["required"]
    with pytest.raises(BadInput, match="unknown tool 'get_stock_prize'; did you mean get_stock_price"):
        definitions(["get_stock_prize"])
