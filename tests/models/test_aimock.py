"""Against a provider built by others, of which the SDKs here are the clients: Bedrock's Converse, Claude's thinking,
OpenAI's batches; and one that loses, refuses and breaks replies at random, where every draw is made all the same and
what it was asked is what the journal says was sent.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import polars as pl
import pytest

from testtime import api
from testtime.core.records import Generation, Request
from testtime.models import keys
from testtime.models.anthropic import Claude
from testtime.models.bedrock import Bedrock
from testtime.models.openai.backend import OpenAI
from testtime.store.journal import read_journal

SERVER = Path(__file__).parents[2] / ".peers/aimock/node_modules/.bin/llmock"
if not SERVER.exists() or shutil.which("node") is None:
    pytest.skip("aimock is not installed: make check-aimock installs it, and runs these", allow_module_level=True)
for sdk in ("openai", "anthropic", "boto3", "google.genai"):
    pytest.importorskip(sdk, reason="the SDKs of hosted models are extras: make check-aimock runs these")

RAIN, WEATHER, CUT = "think about rain", "what is the weather in Graz", "say half of it"
SAID: list[dict[str, Any]] = [
    {"match": {"userMessage": RAIN}, "response": {"content": "It rains \\boxed{7}.", "reasoning": "Clouds are wet."}},
    {
        "match": {"userMessage": WEATHER, "hasToolResult": False},
        "response": {
            "reasoning": "I must look.", "content": "Let me look.",
            "toolCalls": [{"name": "get_weather", "arguments": {"city": "Graz"}}],
        },
    },
    {"match": {"userMessage": WEATHER, "hasToolResult": True}, "response": {"content": "It is sunny."}},
    {"match": {"userMessage": CUT}, "response": {"content": "half", "finishReason": "length"}},
    {"match": {}, "response": {"content": "The answer is \\boxed{42}.", "usage": {
        "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "input_tokens": 9, "output_tokens": 5, "promptTokenCount": 9, "candidatesTokenCount": 5,
    }}},
]  # fmt: skip
WEATHERMAN = {"name": "get_weather", "description": "The weather.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip
TOOL = {"type": "function", "function": WEATHERMAN}
CHAOS = ("--chaos-ratelimit", "0.15", "--chaos-drop", "0.15", "--chaos-disconnect", "0.15")
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture
def serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., str]]:
    """Starts the provider; gives its address, to which all keys and addresses here point."""
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    monkeypatch.setattr(keys, "_named", {})
    started: list[subprocess.Popen[bytes]] = []

    def start(*chaos: str) -> str:
        (tmp_path / "said.json").write_text(json.dumps({"fixtures": SAID}))
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            port = door.getsockname()[1]
        command = ["node", str(SERVER), "-p", str(port), "-f", "said.json", "--log-level", "silent", *chaos]
        started.append(subprocess.Popen([*command, "--journal-max", "0"], stdin=subprocess.DEVNULL))
        url = f"http://127.0.0.1:{port}"
        said = {
            "OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": f"{url}/v1", "ANTHROPIC_API_KEY": "sk-ant-0123456789",
            "ANTHROPIC_BASE_URL": url, "GEMINI_API_KEY": "AIza0123456789", "GOOGLE_GEMINI_BASE_URL": url,
            "GOOGLE_GENAI_API_VERSION": "beta", "AWS_ACCESS_KEY_ID": "AKIA0123456789", "AWS_REGION": "us-east-1",
            "AWS_SECRET_ACCESS_KEY": "secret0123456789", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
        }  # fmt: skip
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        for _ in range(600):
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    return url
            time.sleep(0.1)
        raise AssertionError("aimock did not start within a minute")

    yield start
    for process in started:
        process.terminate()
        process.wait()


def ask(model: Any, *requests: Request) -> list[Generation]:
    """Its replies, one after another."""

    async def all_of_them() -> list[Generation]:
        try:
            return [await model.generate(request) for request in requests]
        finally:
            await model.close()

    return asyncio.run(all_of_them())


def said(text: str, **params: Any) -> Request:
    return Request([{"role": "user", "content": text}], params={"max_tokens": 2_000, **params})


def journal_of(url: str) -> list[dict[str, Any]]:
    """What the provider was asked."""
    with urlopen(f"{url}/__aimock/journal") as reply:
        asked: list[dict[str, Any]] = json.load(reply)
    return asked


def test_converse_answers_thinks_calls_and_is_cut(serving: Callable[..., str]) -> None:
    url = serving()
    plain, thought, calling, cut = ask(
        Bedrock(HAIKU), said("hello"), said(RAIN), said(WEATHER, tools=[TOOL]), said(CUT)
    )
    assert (plain.completions[0].text, plain.completions[0].finish) == ("The answer is \\boxed{42}.", "stop")
    assert (plain.spend.prompt, plain.spend.completion) == (9, 5)
    assert thought.completions[0].text == "It rains \\boxed{7}.", "what it thought is not what it says"
    (call,) = calling.completions[0].tool_calls
    assert (call["name"], call["arguments"], calling.completions[0].finish) == (
        "get_weather",
        {"city": "Graz"},
        "tools",
    )
    assert cut.completions[0].finish == "length"
    assert len(journal_of(url)) == 4


def test_a_thought_goes_back_signed_beside_its_call(serving: Callable[..., str]) -> None:
    url = serving()
    asked = said(WEATHER, tools=[TOOL])
    (first,) = ask(Claude("claude-opus-5-5"), asked)
    one = first.completions[0]
    assert (one.text, one.finish) == ("Let me look.", "tools")
    assert [block["type"] for block in one.tool_calls[0]["kept"]] == ["thinking", "text", "tool_use"]
    back = [
        *asked.messages,
        {"role": "assistant", "content": one.text, "tool_calls": list(one.tool_calls)},
        {"role": "tool", "tool_call_id": one.tool_calls[0]["id"], "content": "sunny"},
    ]
    (second,) = ask(Claude("claude-opus-5-5"), Request(back, params=asked.params))
    assert second.completions[0].text == "It is sunny."
    assert len(journal_of(url)) == 2


def test_a_batch_goes_up_is_waited_for_and_comes_back(
    serving: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving()
    monkeypatch.setattr(OpenAI, "poll", 0.05)
    model = OpenAI("gpt-4o-mini")

    async def through() -> dict[str, Any]:
        try:
            batch = await model.submit({"a-1": said("hello"), "b-1": said(RAIN)})
            return {key: got async for key, got in model.collect(batch)}
        finally:
            await model.close()

    got = asyncio.run(through())
    assert sorted(got) == ["a-1", "b-1"]
    assert all(isinstance(one, Generation) and one.completions[0].text for one in got.values()), got


@pytest.mark.parametrize(
    "model", ["openai:gpt-4o-mini", "anthropic:claude-sonnet-4-6", "gemini:gemini-2.5-flash", f"bedrock:{HAIKU}"]
)
def test_replies_that_are_lost_refused_or_broken_at_random_cost_no_draw(
    serving: Callable[..., str], monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    url = serving(*CHAOS)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.01)  # waits between attempts
    made = api.run(
        model=model, dataset="pocket-math", split="easy", max_queries=5, num_candidates=4, policies="sc_fixed:n=4",
        max_tokens=2_000, concurrency=4, out_dir="results", run="r",
    )  # fmt: skip
    rows = pl.read_parquet(made.path / "candidates.parquet")
    calls = pl.read_parquet(made.path / "calls.parquet")
    assert rows.height == 20
    lost = rows.filter(pl.col("error").is_not_null()).height
    assert lost <= 2, "an attempt in 2.5 fails, and a draw has several"
    assert rows.filter(pl.col("error").is_null())["candidate_text"].unique().to_list() == ["The answer is \\boxed{42}."]
    records = [record["kind"] for record in read_journal(made.path).records]
    answered = calls.filter(status="ok").height
    assert answered <= len(journal_of(url)) <= records.count("sent")
    assert calls.height == records.count("sent"), "every attempt is a row"
