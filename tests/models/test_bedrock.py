"""Bedrock against AWS's own model of its API (botocore's Stubber checks what is sent and what comes): requests say what
was asked, cached tokens are part of the prompt, each way to end has its word, failures say whether to ask again, calls
that block run side by side, and what a reply holds beyond what the API's model knows is an error, not left out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fake_http import Answer, serving

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Generation, Request
from testtime.models import keys
from testtime.models.bedrock import Bedrock

boto3 = pytest.importorskip("boto3", reason="needs the extra bedrock")
stub = pytest.importorskip("botocore.stub")

HELLO = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
LLAMA, CLAUDE = "us.meta.llama3-2-3b-instruct-v1:0", "us.anthropic.claude-sonnet-4-6"


@pytest.fixture
def client() -> Iterator[Any]:
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    secrets = {"aws_access_key_id": "AKIA01234567", "aws_secret_access_key": "secret0123456"}
    made = boto3.client("bedrock-runtime", region_name="us-east-1", config=config, **secrets)
    yield made
    made.close()


def reply(text: str = "hello", stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, **more.pop("usage", {})}
    content = more.pop("content", [{"text": text}])
    message = {"role": "assistant", "content": content}
    return {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}


def ask(model: str, client: Any, *requests: Request) -> list[Generation]:
    async def all_of_them() -> list[Generation]:
        bedrock = Bedrock(model, client)
        try:
            return await asyncio.gather(*[bedrock.generate(request) for request in requests])
        finally:
            await bedrock.close()

    return asyncio.run(all_of_them())


def functions(*tools: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": tool} for tool in tools]


def request(**params: Any) -> Request:
    return Request(HELLO, params={"max_tokens": 100, **params})


def test_what_is_sent_is_what_was_asked_and_aws_accepts_it(client: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tool = {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}}
    base = {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "system": [{"text": "be brief"}]}
    cases: list[tuple[str, Request, dict[str, Any]]] = [
        (
            LLAMA,
            request(temperature=0, top_p=0.5, stop=["Q"]),
            {"inferenceConfig": {"maxTokens": 100, "temperature": 0, "topP": 0.5, "stopSequences": ["Q"]}},
        ),
        (
            CLAUDE,
            request(temperature=0.5, top_p=1.0, schema=schema, tools=functions(tool)),
            {
                "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
                "toolConfig": {
                    "tools": [
                        {
                            "toolSpec": {
                                "name": "add",
                                "description": "adds",
                                "inputSchema": {"json": tool["parameters"]},
                            }
                        }
                    ]
                },
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {"jsonSchema": {"schema": stub.ANY, "name": "answer"}},
                    }
                },
            },
        ),
        (
            CLAUDE,
            Request(HELLO, params={"max_tokens": 4000, "thinking": {"tokens": 2048}}),
            {
                "inferenceConfig": {"maxTokens": 4000},
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            },
        ),
        (
            CLAUDE,
            request(thinking={"effort": "low"}),
            {
                "inferenceConfig": {"maxTokens": 100},
                "outputConfig": {"effort": "low"},
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
            },
        ),
    ]
    for model, asked, wanted in cases:
        with stub.Stubber(client) as stubbed:
            stubbed.add_response("converse", reply(), {"modelId": model, **base, **wanted})
            (got,) = ask(model, client, asked)
            stubbed.assert_no_pending_responses()
        assert (got.completions[0].text, got.completions[0].tokens) == ("hello", 5)


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("content_filtered", "filter"),
        ("guardrail_intervened", "filter"), ("malformed_model_output", "stop"),
        ("model_context_window_exceeded", "length"),
    ],
)  # fmt: skip
def test_each_way_to_end_has_its_word(client: Any, stop: str, finish: str) -> None:
    with stub.Stubber(client) as stubbed:
        stubbed.add_response("converse", reply("", stop))
        (got,) = ask(LLAMA, client, request())
    assert got.completions[0].finish == finish


def test_cached_tokens_are_part_of_the_prompt_and_thinking_is_not_told(client: Any) -> None:
    thought = [{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}, {"text": "hello"}]
    usage = {"cacheReadInputTokens": 1000, "cacheWriteInputTokens": 200}
    with stub.Stubber(client) as stubbed:
        stubbed.add_response("converse", reply(content=thought, usage=usage))
        stubbed.add_response("converse", reply())
        (split,), (plain,) = ask(CLAUDE, client, request()), ask(CLAUDE, client, request())
    spend = split.spend
    assert (spend.prompt, spend.cached, spend.written, spend.reasoning) == (1210, 1000, 200, None)
    assert (plain.spend.prompt, plain.spend.reasoning) == (10, 0)
    assert split.completions[0].text == "hello"


def test_a_long_prompt_of_many_draws_is_marked_for_the_cache_where_there_is_one(client: Any) -> None:
    long = [{"role": "user", "content": "word " * 4000}]
    marked = [{"role": "user", "content": [{"text": stub.ANY}, {"cachePoint": {"type": "default"}}]}]
    plain = [{"role": "user", "content": [{"text": stub.ANY}]}]
    base = {"inferenceConfig": {"maxTokens": 9}}
    for model, again, sent in ((CLAUDE, True, marked), (CLAUDE, False, plain), (LLAMA, True, plain)):
        with stub.Stubber(client) as stubbed:
            stubbed.add_response("converse", reply(), {"modelId": model, "messages": sent, **base})
            ask(model, client, Request(long, params={"max_tokens": 9}, again=again))


def test_a_tool_call_goes_back_as_it_came(client: Any) -> None:
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "signed"}}},
        {"toolUse": {"toolUseId": "t1", "name": "add", "input": {"a": 1}}},
    ]
    tool = {"name": "add", "parameters": {"type": "object"}}
    with stub.Stubber(client) as stubbed:
        stubbed.add_response("converse", reply(stop="tool_use", content=blocks))
        said = ask(CLAUDE, client, request(tools=functions(tool)))[0].completions[0]
        turn = {"role": "assistant", "content": said.text, "tool_calls": said.tool_calls}
        results = [{"role": "tool", "tool_call_id": id, "content": "3"} for id in ("t1", "t2")]
        answered = [
            {"toolResult": {"toolUseId": id, "content": [{"text": "3"}]}}
            for id in ("t1", "t2")
        ]  # fmt: skip
        messages = [
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": answered},
        ]
        sent = {"modelId": CLAUDE, "messages": messages, "inferenceConfig": stub.ANY, "toolConfig": stub.ANY}
        stubbed.add_response("converse", reply(), {**sent, "system": stub.ANY})
        ask(
            CLAUDE,
            client,
            Request([*HELLO, turn, *results], params={"max_tokens": 100, "tools": functions(tool)}),
        )
    assert (said.finish, said.tool_calls[0]["arguments"]) == ("tools", {"a": 1})


@pytest.mark.parametrize(
    ("code", "status", "retry", "busy"),
    [
        ("ThrottlingException", 429, True, True), ("ServiceUnavailableException", 503, True, True),
        ("ModelNotReadyException", 429, True, True), ("InternalServerException", 500, True, False),
        ("ModelTimeoutException", 408, True, False), ("ModelErrorException", 424, True, False),
        ("ValidationException", 400, False, False), ("AccessDeniedException", 403, False, False),
        ("ResourceNotFoundException", 404, False, False),
    ],
)  # fmt: skip
def test_a_failure_says_whether_to_ask_again(client: Any, code: str, status: int, retry: bool, busy: bool) -> None:
    with stub.Stubber(client) as stubbed:
        stubbed.add_client_error("converse", code, "so it is", http_status_code=status)
        with pytest.raises(ModelError, match=f"{code}: so it is") as caught:
            ask(LLAMA, client, request())
    assert (caught.value.retry, caught.value.busy) == (retry, busy)


@pytest.mark.parametrize(
    ("model", "asked", "says"),
    [
        (LLAMA, Request(HELLO, n=2), "gives 1 to 1 completions"),
        (LLAMA, Request(HELLO, seed=1), "takes no seed"),
        (LLAMA, request(tools=[{"function": {"name": "a", "parameters": {}}}]), "has no tools"),
        (LLAMA, request(schema={"type": "object"}), "has no schema"),
        (LLAMA, request(thinking={"tokens": 100}), "takes no number of thinking tokens"),
        (LLAMA, Request(HELLO, "so"), "cannot continue a text"),
        (CLAUDE, request(temperature=0.5, top_p=0.5), "takes temperature or top_p, not both"),
        (CLAUDE, request(thinking={"tokens": 2048}), "counts thinking among max_tokens"),
        ("us.anthropic.claude-opus-5-5", request(temperature=0.5), "takes no temperature but its own"),
    ],
)
def test_what_a_model_does_not_take_is_refused_before_anything_is_sent(model: str, asked: Request, says: str) -> None:
    assert says in (Bedrock(model).refuses(asked) or "")


def test_what_the_api_s_model_does_not_know_is_an_error_and_a_broken_connection_may_be_asked_again() -> None:
    strange = reply(content=[{"text": "a"}, {"hologram": {"of": "something"}}])
    nothing, text = Answer({"stopReason": "end_turn"}), Answer("hello", headers={"content-type": "text/plain"})
    throttled = Answer({"message": "slow"}, 429, {"x-amzn-errortype": "ThrottlingException", "retry-after": "2"})
    with serving(Answer(strange), throttled, Answer(drop=True), nothing, text) as server:
        secrets = {"aws_access_key_id": "AKIA01234567", "aws_secret_access_key": "secret0123456"}
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1, "mode": "standard"})
        where = {"region_name": "us-east-1", "endpoint_url": server.url}
        client = boto3.client("bedrock-runtime", config=config, **where, **secrets)
        raised = []
        for _ in range(5):
            with pytest.raises(ModelError) as caught:
                ask(LLAMA, client, request())
            raised.append(caught.value)
        client.close()
    assert "SDK_UNKNOWN_MEMBER, which nobody asked for" in str(raised[0])
    assert (raised[1].busy, raised[1].retry_after) == (True, 2.0)
    assert (raised[2].lost, raised[2].retry) == (True, True)
    assert all(error.lost for error in raised[2:])
    assert len(server.seen) == 5


def test_calls_that_block_run_side_by_side() -> None:
    class Blocking:
        here, most, lock = 0, 0, threading.Lock()

        def converse(self, **_: Any) -> dict[str, Any]:
            with self.lock:
                self.here += 1
                self.most = max(self.most, self.here)
            deadline = time.monotonic() + 5
            while self.most < 20 and time.monotonic() < deadline:
                time.sleep(0.001)
            with self.lock:
                self.here -= 1
            return reply()

    client = Blocking()
    ask(LLAMA, client, *[request()] * 20)
    assert client.most == 20


def test_missing_credentials_and_a_missing_region_are_found_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys.use_file(None)
    with pytest.raises(BadInput, match="need AWS credentials, which are not set; set AWS_ACCESS_KEY_ID"):
        Bedrock(LLAMA).open()
    (tmp_path / ".env").write_text("AWS_ACCESS_KEY_ID=AKIA01234567\nAWS_SECRET_ACCESS_KEY=secret0123456\n")
    with pytest.raises(BadInput, match="need a region; set AWS_REGION"):
        Bedrock(LLAMA).open()
    (tmp_path / "mine").write_text("AWS_REGION=us-east-1\n")
    keys.use_file(tmp_path / "mine")
    bedrock = Bedrock(LLAMA)
    bedrock.open()
    asyncio.run(bedrock.close())
    keys.use_file(None)
