"""A conversation with tools over each provider's own SDK, to a stand-in here that speaks its wire: calls come
as the provider has them, results go back to the call they belong to, names with dots come home, and what plays a tool
that no mock knows is the provider's own small model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fake_http import Answer, Seen, serving

from testtime import api
from testtime.core import secret
from testtime.models import keys

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
    {"name": "read.horoscope", "parameters": {"type": "dict", "properties": {"sign": {"type": "string"}}}},
]  # fmt: skip
CALLS = [("c1", "get_weather", {"city": "Graz"}), ("c2", "read_horoscope", {"sign": "crab"})]
PLAYED = '{"told": "a quiet week"}'
FLAGS = ("addresses_problem", "tools_reasonable", "answer_sensible", "right")
JUDGED = json.dumps({"reasoning": "fits", **dict.fromkeys(FLAGS, True), "confidence": 0.9})


@dataclass(frozen=True)
class Wire:
    """One provider's wire."""

    sdk: str
    model: str
    mock: str
    env: Mapping[str, str]
    how: Mapping[str, Any]

    def answer(self, seen: Seen) -> Answer:
        """Calls both tools at once, then answers; judges, and plays a tool, when asked to."""
        text = json.dumps(seen.body, ensure_ascii=False)
        if "Decide whether" in text:
            return Answer(self.said(JUDGED))
        if "You play a tool" in text:
            return Answer(self.said(PLAYED))
        if (results := self.results(seen.body)) is None:
            return Answer(self.called())
        return Answer(self.said(f"Here: {' and '.join(results)}"))

    def said(self, text: str) -> Any:
        raise AssertionError

    def called(self) -> Any:
        raise AssertionError

    def results(self, body: Any) -> list[str] | None:
        """What came back, as (id, content) in one text each; None before anything did."""
        raise AssertionError


class Chat(Wire):
    def said(self, text: str, **message: Any) -> Any:
        whole = {"role": "assistant", "content": text, "refusal": None, **message}
        choice = {"index": 0, "message": whole, "finish_reason": "tool_calls" if message else "stop", "logprobs": None}
        usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
        return {"id": "i", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}

    def called(self) -> Any:
        calls = [{"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
                 for id, name, given in CALLS]  # fmt: skip
        return self.said("", tool_calls=calls)

    def results(self, body: Any) -> list[str] | None:
        assert all(set(one["function"]) == {"name", "description", "parameters"} for one in body["tools"])
        last = [one for one in body["messages"] if one["role"] == "tool"]
        return [f"{one['tool_call_id']}={one['content']}" for one in last] or None


class Responses(Wire):
    def said(self, text: str) -> Any:
        content = {"type": "output_text", "text": text, "annotations": []}
        return self._whole(
            [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [content]}]
        )

    def called(self) -> Any:
        kind = {"type": "function_call", "status": "completed"}
        return self._whole(
            [{**kind, "id": f"f{id}", "call_id": id, "name": name, "arguments": json.dumps(given)} 
             for id, name, given in CALLS]
        )  # fmt: skip

    def _whole(self, output: Any) -> Any:
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, **details}
        return {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": output,
                "usage": usage, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip

    def answer(self, seen: Seen) -> Answer:
        if "messages" in seen.body:  # gpt-4o-mini, which plays tools, speaks chat
            return Answer(Chat.said(self, PLAYED))  # type: ignore[arg-type]
        return super().answer(seen)

    def results(self, body: Any) -> list[str] | None:
        last = [one for one in body["input"] if one.get("type") == "function_call_output"]
        return [f"{one['call_id']}={one['output']}" for one in last] or None


class Messages(Wire):
    def said(self, text: str) -> Any:
        return self._whole("end_turn", [{"type": "text", "text": text}])

    def called(self) -> Any:
        thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
        used = [{"type": "tool_use", "id": id, "name": name, "input": given} for id, name, given in CALLS]
        return self._whole("tool_use", [thought, *used])

    def _whole(self, stop: str, content: Any) -> Any:
        usage = {"input_tokens": 9, "output_tokens": 5}
        return {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": stop,
                "stop_sequence": None, "usage": usage, "content": content}  # fmt: skip

    def results(self, body: Any) -> list[str] | None:
        if len(body["messages"]) < 2:
            return None
        _, assistant, user = body["messages"]
        assert assistant["content"][0]["signature"] == "c2ln", "thinking goes back signed, as it came"
        return [f"{one['tool_use_id']}={one['content']}" for one in user["content"]]


class Contents(Wire):
    def said(self, text: str) -> Any:
        return self._whole([{"text": text}])

    def called(self) -> Any:
        return self._whole([{"functionCall": {"name": name, "args": given}} for _, name, given in CALLS])

    def _whole(self, parts: Any) -> Any:
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}

    def results(self, body: Any) -> list[str] | None:
        if len(body["contents"]) < 2:
            return None
        parts = [part["functionResponse"] for part in body["contents"][2]["parts"]]
        assert [part["name"] for part in parts] == ["get_weather", "read_horoscope"]
        return [f"c{at}={part['response']['result']}" for at, part in enumerate(parts, 1)]


class Converse(Wire):
    def said(self, text: str) -> Any:
        return self._whole("end_turn", [{"text": text}])

    def called(self) -> Any:
        return self._whole(
            "tool_use", [{"toolUse": {"toolUseId": id, "name": name, "input": given}} for id, name, given in CALLS]
        )

    def _whole(self, stop: str, content: Any) -> Any:
        usage = {"inputTokens": 9, "outputTokens": 5, "totalTokens": 14}
        return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": usage,
                "metrics": {"latencyMs": 1}}  # fmt: skip

    def results(self, body: Any) -> list[str] | None:
        if len(body["messages"]) < 2:
            return None
        listed = [one["toolResult"] for one in body["messages"][2]["content"]]
        return [f"{one['toolUseId']}={one['content'][0]['text']}" for one in listed]


OWN = {"temperature": 1.0, "top_p": 1.0}
WIRES = [
    Chat("openai", "openai:gpt-4o", "openai:gpt-4o-mini", {"OPENAI_BASE_URL": "/v1", "OPENAI_API_KEY": ""}, {}),
    Responses("openai", "openai:gpt-5.1", "openai:gpt-4o-mini", {"OPENAI_BASE_URL": "/v1", "OPENAI_API_KEY": ""}, OWN),
    Chat("openai", "vllm:qwen", "vllm:qwen", {"VLLM_BASE_URL": "/v1"}, {}),
    Messages("anthropic", "claude-opus-5-5", "anthropic:claude-sonnet-4-6",
             {"ANTHROPIC_BASE_URL": "", "ANTHROPIC_API_KEY": ""}, OWN),
    Contents("google.genai", "gemini-3.8-flash", "gemini:gemini-3.8-flash",
             {"GOOGLE_GEMINI_BASE_URL": "", "GEMINI_API_KEY": ""}, OWN),
    Converse("boto3", "bedrock:us.anthropic.claude-sonnet-4-6", "bedrock:us.anthropic.claude-sonnet-4-6",
             {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
              "AWS_REGION": "="}, {"top_p": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.model)
def test_a_conversation_with_tools_over_the_real_sdk(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(wire.sdk, reason=f"{wire.sdk} is not installed: make hosted runs these")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(secret, "_KEPT", set())
    monkeypatch.setattr(keys, "_named", {})
    messages = [{"role": "user", "content": "What of Graz, and of crabs?"}, {"role": "assistant", "content": "x"}]
    row = {"uuid": "q", "messages": messages, "category": "tool_calling", "metadata": json.dumps({"tools": TOOLS})}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    with serving(wire.answer) as server:
        for name, path in wire.env.items():
            keyed = "KEY" in name
            monkeypatch.setenv(name, "sk-0123456789" if keyed else "us-east-1" if path == "=" else server.url + path)
        made = api.run(
            model=wire.model, dataset="nemotron", dataset_path="rows.jsonl", splits="tool_calling", num_candidates=2,
            policies="sc_fixed:n=2", out_dir="results", **wire.how,
        )  # fmt: skip
    assert made.drawn.finished is not None
    table = pl.read_parquet(made.path / "candidates.parquet")
    assert table["error"].null_count() == 2, table["error"].drop_nulls().to_list()
    for one in table.to_dicts():
        told = [json.loads(json.loads(step["text"])["content"]) for step in json.loads(one["tool_trace"])[1:]]
        assert told[0]["city"] == "Graz"
        assert told[1] == {"told": "a quiet week"}
        assert one["candidate_text"].startswith('Here: c1={"city": "Graz"')
        assert 'c2={"told": "a quiet week"}' in one["candidate_text"]
        assert json.loads(one["mock_sources"]) == {"get_weather": "dynamic_mock", "read.horoscope": "llm_mock"}
        assert json.loads(one["facts"])["tool_protocol"] == "native"
        assert (one["completion_tokens"], one["prompt_tokens"], one["is_verified"]) == (10, 18, True)
    calls = pl.read_parquet(made.path / "calls.parquet")
    assert set(calls.filter(role="mock")["model"]) == {wire.mock}
    assert calls.filter(role="model").height == 4
