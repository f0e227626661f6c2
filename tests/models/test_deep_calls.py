"""A call whose arguments are nested without end is a reply like any other on every backend that keeps blocks to send
them back: it can be written down and read again, and what goes back is an object.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from testtime.core.records import Completion
from testtime.models import anthropic, bedrock, gemini
from testtime.store.codec import encode
from testtime.store.journal import dumps

DEPTHS = (5, 100, 300, 900)


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def of_claude(arguments: dict[str, Any]) -> tuple[Completion, Any]:
    types = pytest.importorskip("anthropic.types", reason="needs the extra anthropic")
    message = types.Message.construct(
        id="m", type="message", role="assistant", model="x", stop_reason="tool_use",
        usage={"input_tokens": 1, "output_tokens": 1},
        content=[{"type": "tool_use", "id": "t", "name": "f", "input": arguments}],
    )  # fmt: skip
    said = anthropic.told(message).completions[0]
    return said, said.tool_calls[0]["kept"][0]["input"]


def of_bedrock(arguments: dict[str, Any]) -> tuple[Completion, Any]:
    block = {"toolUse": {"toolUseId": "t", "name": "f", "input": arguments}}
    reply = {"stopReason": "tool_use", "output": {"message": {"content": [block]}}}
    said = bedrock.told({**reply, "usage": {"inputTokens": 1, "outputTokens": 1}}, "x").completions[0]
    return said, said.tool_calls[0]["kept"][0]["toolUse"]["input"]


def of_gemini(arguments: dict[str, Any]) -> tuple[Completion, Any]:
    types = pytest.importorskip("google.genai.types", reason="needs the extra gemini")
    call = types.FunctionCall.model_construct(name="f", args=arguments)
    content = types.Content.model_construct(parts=[types.Part.model_construct(function_call=call)])
    candidate = types.Candidate.model_construct(content=content, finish_reason=types.FinishReason.STOP)
    said = gemini._completion(candidate, None)
    return said, said.tool_calls[0]["kept"][0]["function_call"].get("args", {})


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("reply", [of_claude, of_bedrock, of_gemini])
def test_a_call_nested_without_end_can_be_written_down_and_goes_back(reply: Any, depth: int) -> None:
    said, back = reply(nested(depth))
    assert said.finish == "tools"
    assert json.loads(dumps(encode(said)))["tool_calls"][0]["name"] == "f"
    assert back == (nested(depth) if depth < 64 else {})
