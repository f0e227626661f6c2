"""What is sent is what was asked, in the words of the host; what comes back is read whole or is an error: nothing is
dropped, guessed, sent twice, or sent to whom it does not belong.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import fake_host
import pytest
from fake_host import Host
from fake_http import Answer, serving

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend
from testtime.models import BUILTIN
from testtime.models.naming import open_model
from testtime.models.openai import backend, failing, hosts

pytest.importorskip("openai", reason="the openai package is not installed")

KEY = "sk-planted-0123456789"
ASK = [{"role": "user", "content": "What is 2 + 3?"}]
USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


@pytest.fixture(params=["httpx2", "aiohttp"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of the SDK's: their failures have other names."""
    if request.param == "httpx2":
        monkeypatch.setattr(backend, "find_spec", lambda name: None)
    else:
        pytest.importorskip("aiohttp", reason="comes with the extra openai")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Host]:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for name in ("OPENAI_BASE_URL", "VLLM_BASE_URL", "VLLM_API_KEY", "TOGETHER_API_KEY", "OPENAI_ORG_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with fake_host.running() as one:
        yield one


def model(name: str, host: Host, **settings: Any) -> Any:
    return open_model(name, {"base_url": host.url, **settings})


def ask(one: Any, messages: Any = ASK, **how: Any) -> Generation:
    async def work() -> Generation:
        try:
            return await one.generate(Request(messages, **how))
        finally:
            await one.close()

    return asyncio.run(work())


def choice(text: str | None = "5", finish: str | None = "stop", index: int = 0, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None} | more.pop("message", {})
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": None} | more


def chat(*choices: dict[str, Any], usage: Any = USAGE) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06"}
    return head | {"choices": list(choices), "usage": usage}


def logprobs(*tokens: str) -> dict[str, Any]:
    listed = [{"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []} for token in tokens]
    return {"content": listed, "refusal": None}


# ---- what is sent ----
def test_a_chat_request_says_everything_that_was_asked_once(host: Host) -> None:
    host.say(chat(choice()))
    params = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 50, "stop": ["\n"], "logprobs": 2}
    ask(model("openai:gpt-4o", host), seed=7, params=params)
    (sent,) = host.asked
    assert sent.path == "/v1/chat/completions"
    assert sent.body == {
        "model": "gpt-4o", "messages": ASK, "seed": 7, "temperature": 0.7, "top_p": 0.9,
        "max_completion_tokens": 50, "stop": ["\n"], "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip


def test_a_reasoning_model_is_asked_by_responses_and_a_fixed_temperature_is_not_sent(host: Host) -> None:
    host.say({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.4", "status": "completed", "error": None,
        "incomplete_details": None, "output": [
            {"type": "reasoning", "id": "r", "summary": []},
            {"type": "message", "id": "m", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "5", "annotations": []}]},
        ],
        "usage": {"input_tokens": 9, "output_tokens": 70, "total_tokens": 79,
                  "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
                  "output_tokens_details": {"reasoning_tokens": 64}},
    })  # fmt: skip
    params = {"temperature": 1.0, "top_p": 1, "max_tokens": 500, "thinking": {"effort": "low"}}
    got = ask(model("openai:gpt-5.4", host), params=params)
    (sent,) = host.asked
    assert sent.path == "/v1/responses"
    assert sent.body == {
        "model": "gpt-5.4", "input": ASK, "max_output_tokens": 500, "reasoning": {"effort": "low"}, "store": False,
    }  # fmt: skip
    assert got.completions == [Completion("5", "stop", 70)]
    assert got.spend == Spend(prompt=9, cached=4, completion=70, reasoning=64)


def test_tools_and_schemas_are_asked_for_in_each_apis_own_form(host: Host) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    schema = {"title": "sum", "type": "object"}
    history = [
        *ASK, {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "add", "arguments": {"a": 2}}]},
        {"role": "tool", "tool_call_id": "c", "content": "5"},
    ]  # fmt: skip
    host.say(chat(choice(None, "tool_calls", message={
        "tool_calls": [{"id": "d", "type": "function", "function": {"name": "add", "arguments": '{"b": 3}'}},
                       {"id": "e", "type": "function", "function": {"name": "add", "arguments": "{b"}}]})))  # fmt: skip
    got = ask(model("openai:gpt-4o", host), history, params={"tools": [tool], "schema": schema})
    assert got.completions[0].finish == "tools"
    assert [call["arguments"] for call in got.completions[0].tool_calls] == [{"b": 3}, "{b"]
    sent = host.asked[0].body
    assert sent["messages"][1]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 2}'}
    assert sent["response_format"]["json_schema"]["schema"] == schema
    host.say({"id": "r", "object": "response", "created_at": 1, "model": "o3", "status": "completed", "error": None,
              "incomplete_details": None, "usage": None, "output": [
                  {"type": "function_call", "id": "f", "call_id": "d", "name": "add", "arguments": "{}"}]})  # fmt: skip
    got = ask(model("openai:o3", host), history, params={"tools": [tool], "schema": schema})
    assert (got.completions[0].finish, got.completions[0].tool_calls[0]["id"]) == ("tools", "d")
    sent = host.asked[1].body
    assert sent["tools"] == [{"type": "function", "name": "add", "parameters": {"type": "object"}}]
    assert [item.get("type", item.get("role")) for item in sent["input"]] == [
        "user", "function_call", "function_call_output",
    ]  # fmt: skip
    assert sent["text"]["format"]["schema"] == schema


def test_vllm_is_asked_for_token_ids_and_a_thinking_budget(host: Host) -> None:
    host.say(chat(choice(token_ids=[4, 5, 2], stop_reason=None), usage=USAGE | {"completion_tokens": 3}))
    got = ask(model("vllm:m", host), params={"thinking": {"tokens": 100}, "top_k": 5, "max_tokens": 9})
    sent = host.asked[0].body
    assert sent["thinking_token_budget"] == 100
    assert (sent["top_k"], sent["max_tokens"]) == (5, 9)
    assert sent["return_token_ids"] is True
    assert sent["skip_special_tokens"] is False
    assert got.completions == [Completion("5", "stop", 3, (4, 5))]


def test_a_raw_prompt_goes_to_completions_as_it_is(host: Host) -> None:
    reply = {"id": "c", "object": "text_completion", "created": 1, "model": "davinci-002", "usage": USAGE,
             "choices": [{"index": 0, "text": "5", "finish_reason": "length", "logprobs": None}]}  # fmt: skip
    host.say(reply)
    host.say(reply)
    for messages in (ASK, ()):
        assert ask(model("openai:davinci-002", host), messages, prefix=" It is").completions[0].finish == "length"
    assert [(sent.path, sent.body["prompt"]) for sent in host.asked] == [
        ("/v1/completions", "What is 2 + 3? It is"), ("/v1/completions", " It is"),
    ]  # fmt: skip


def test_a_chat_model_gets_no_raw_text_without_its_template(host: Host) -> None:
    for name in ("openai:gpt-4o", "together:m"):
        one = model(name, host, api="completions")
        why = one.refuses(Request(ASK))
        assert why is not None
        assert "chat template would be missing" in why
        with pytest.raises(ModelError, match="chat template"):
            ask(one)
    assert host.asked == []


def test_a_model_without_a_template_gets_the_text_as_it_is(host: Host) -> None:
    reply = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "usage": USAGE,
             "choices": [{"index": 0, "text": "5", "finish_reason": "stop", "logprobs": None}]}  # fmt: skip
    host.say({"error": {"message": "no chat template is given, and the tokenizer has none"}}, status=400)
    host.say(reply)
    got = ask(model("vllm:base", host, api="completions"), prefix=" It is")
    assert got.completions[0].text == "5"
    assert [sent.path for sent in host.asked] == ["/tokenize", "/v1/completions"]
    assert host.asked[1].body["prompt"] == "What is 2 + 3? It is"


# ---- what comes back ----
def test_the_prompt_of_n_choices_is_counted_once_and_their_tokens_told_apart_by_logprobs(host: Host) -> None:
    said = [
        choice("ab", logprobs=logprobs("a", "b")),
        choice("c", "length", 1, logprobs=logprobs("c")),
    ]
    for billed in (3, 4, 7):  # as listed; with the one end token; hidden tokens besides
        host.say(chat(*said, usage=USAGE | {"completion_tokens": billed}))
    one = model("openai:gpt-4o", host)
    told = [ask(one, n=2) for _ in range(3)]
    assert host.asked[0].body["logprobs"] is True
    assert [[c.tokens for c in got.completions] for got in told] == [[2, 1], [3, 1], [None, None]]
    assert [got.spend.prompt for got in told] == [9, 9, 9]


def test_cached_and_reasoning_tokens_are_parts_and_what_is_not_told_is_unknown(host: Host) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 10}}
    for usage in (USAGE | details, USAGE, None):
        host.say(chat(choice(), usage=usage))
    one = model("openai:gpt-4o", host)
    spends = [ask(one).spend for _ in range(3)]
    assert spends == [Spend(9, 6, 12, 10), Spend(9, None, 12, None), Spend()]


@pytest.mark.parametrize("usage", [[], "many", {"prompt_tokens_details": [6]}])
def test_a_usage_of_another_form_is_unknown_and_the_paid_text_is_kept(host: Host, usage: Any) -> None:
    host.say(chat(choice("5"), usage=usage))
    said = ask(model("openai:gpt-4o", host))
    assert (said.completions[0].text, said.spend) == ("5", Spend())


@pytest.mark.parametrize(
    ("said", "completion"),
    [
        (choice("5", "length"), Completion("5", "length", 12)),
        (choice("", "length"), Completion("", "length", 12)),
        (choice("", "content_filter"), Completion("", "filter", 12)),
        (choice(None, message={"refusal": "No."}), Completion("No.", "refusal", 12)),
        (choice("5", message={"reasoning": "2+3"}), Completion("<think>2+3</think>5", "stop", 12)),
        (choice("5", message={"reasoning_content": "2+3"}), Completion("<think>2+3</think>5", "stop", 12)),
        (choice(None, "length", message={"reasoning": "2+"}), Completion("<think>2+", "length", 12)),
    ],
)
def test_each_way_to_end_is_an_outcome_of_its_own(host: Host, said: Any, completion: Completion) -> None:
    host.say(chat(said))
    assert ask(model("openai:gpt-4o", host)).completions == [completion]


INCOMPLETE = {"id": "r", "object": "response", "created_at": 1, "model": "o3", "output": [], "usage": None}


@pytest.mark.parametrize(
    ("status", "finish"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "error": None}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "error": None}, "filter"),
    ],
)
def test_a_response_without_text_is_an_outcome_too(host: Host, status: Any, finish: str) -> None:
    host.say(INCOMPLETE | status)
    assert ask(model("openai:o3", host)).completions == [Completion("", finish, None)]  # type: ignore[arg-type]


def test_what_a_stop_string_cut_is_no_part_of_the_token_ids(host: Host) -> None:
    ids = {"token_ids": [7, 8, 9], "stop_reason": "\n"}
    for listed in (None, logprobs("a", "b", "\n")):
        host.say(chat(choice("ab", logprobs=listed, **ids), usage=USAGE | {"completion_tokens": 3}))
    one = model("vllm:m", host)
    bare, named = (ask(one, params=params).completions[0] for params in ({}, {"logprobs": 0}))
    assert (bare.token_ids, bare.tokens) == (None, 3)
    assert (named.token_ids, named.tokens, len(named.logprobs or ())) == ((7, 8), 3, 2)


def test_a_stream_is_put_together_to_the_same_completion(host: Host) -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    deltas = [
        (1, {"role": "assistant", "content": "x"}, None), (0, {"role": "assistant", "content": "a"}, None),
        (0, {"content": "b"}, None), (0, {}, "stop"), (1, {}, "length"),
    ]  # fmt: skip
    chunks = [head | {"choices": [{"index": i, "delta": d, "finish_reason": f}]} for i, d, f in deltas]
    chunks.append(head | {"choices": [], "usage": USAGE})
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    for sent in (events, events[:4] + events[-1:], [*events[:2], "data: {oops\n\n", *events[2:]]):
        host.say("".join(sent).encode(), content_type="text/event-stream")
    one = model("openai:gpt-4o", host, stream=True)
    got = ask(one)
    assert [(c.text, c.finish) for c in got.completions] == [("ab", "stop"), ("x", "length")]
    assert got.spend == Spend(9, None, 12, None)
    assert host.asked[0].body["stream_options"] == {"include_usage": True}
    for why in ("cut off", "no JSON"):
        with pytest.raises(ModelError, match=why) as caught:
            ask(one)
        assert caught.value.lost


# ---- failures ----
@pytest.mark.parametrize(
    ("status", "error", "headers", "said", "flags"),
    [
        (429, {"message": "slow down"}, {"retry-after": "3"}, "429: .*slow down", (True, True, 3.0)),
        (429, {"message": "slow down"}, {"retry-after-ms": "250"}, "429", (True, True, 0.25)),
        (429, {"message": "slow down"}, {}, "429", (True, True, None)),
        (429, {"message": "pay", "code": "insufficient_quota"}, {}, "429: .*pay", (False, False, None)),
        (500, {"message": "oops"}, {}, "500", (True, False, None)),
        (503, {"message": "full"}, {}, "503", (True, True, None)),
        (500, {"message": "never"}, {"x-should-retry": "false"}, "500", (False, False, None)),
        (400, {"message": "too long"}, {}, "400: .*too long", (False, False, None)),
        (401, {"message": f"bad key {KEY}"}, {}, r"401: .*bad key \[secret\]", (False, False, None)),
        (404, {"message": "no such model"}, {}, "404", (False, False, None)),
        (409, {"message": "conflict"}, {}, "409", (True, False, None)),
    ],
)
def test_an_error_says_whether_to_ask_again_and_when_and_is_sent_once(
    host: Host, status: int, error: Any, headers: dict[str, str], said: str, flags: Any
) -> None:
    host.say({"error": error}, status, **headers)
    with pytest.raises(ModelError, match=said) as caught:
        ask(model("openai:gpt-4o", host))
    raised = caught.value
    assert (raised.retry, raised.busy, raised.retry_after) == flags
    assert len(host.asked) == 1
    assert KEY not in str(raised)
    assert "\n" not in str(raised)


def test_a_date_to_come_back_at_is_seconds_from_now() -> None:
    assert failing.retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)}) == pytest.approx(60, abs=3)
    assert failing.retry_after({"retry-after": formatdate(time.time() - 60, usegmt=True)}) == 0
    assert failing.retry_after({"retry-after": "soon"}) is None


@pytest.mark.parametrize(
    ("reply", "headers", "why"),
    [
        (chat(choice("5", None)), {}, "without a finish reason"),
        (chat(choice("5", "abort")), {}, "'abort', which is not known"),
        (chat(), {}, "gave no chat reply"),
        (b"<html>busy</html>", {"content_type": "text/html"}, "gave no chat reply"),
        (b'{"id": "x", "cho', {}, "no JSON"),
        (b'{"id"', {"content_length": "500"}, "the connection broke"),
    ],
)
@pytest.mark.usefixtures("transport")
def test_a_reply_that_is_not_whole_is_lost_and_never_a_completion(
    host: Host, reply: Any, headers: dict[str, str], why: str
) -> None:
    host.say(reply, **headers)
    with pytest.raises(ModelError, match=why) as caught:
        ask(model("openai:gpt-4o", host))
    assert caught.value.lost
    assert caught.value.retry


def test_a_failed_response_says_why(host: Host) -> None:
    for code, again in (("server_error", True), ("invalid_prompt", False)):
        host.say(INCOMPLETE | {"status": "failed", "error": {"code": code, "message": "m"}, "incomplete_details": None})
        with pytest.raises(ModelError, match=f"{code}: m") as caught:
            ask(model("openai:o3", host))
        assert caught.value.retry is again


@pytest.mark.usefixtures("transport")
def test_no_reply_in_time_is_lost_and_no_server_is_not(host: Host) -> None:
    host.wait = threading.Event()
    host.say(chat(choice()))
    with pytest.raises(ModelError, match=r"no reply within 0\.2 s") as caught:
        ask(model("openai:gpt-4o", host, timeout=0.2))
    assert caught.value.lost
    host.wait.set()
    with pytest.raises(ModelError, match=r"http://127.0.0.1:9/v1 cannot be reached") as caught:
        ask(open_model("openai:gpt-4o", {"base_url": "http://127.0.0.1:9/v1"}))
    assert (caught.value.retry, caught.value.lost) == (True, False)


@pytest.mark.usefixtures("transport")
def test_a_connection_that_breaks_after_the_request_has_left_is_lost() -> None:
    with serving(Answer(drop=True)) as server, pytest.raises(ModelError, match="the connection broke") as caught:
        ask(open_model("openai:gpt-4o", {"base_url": f"{server.url}/v1"}))
    assert (caught.value.retry, caught.value.lost) == (True, True)
    assert len(server.seen) == 1  # the transport did not send it twice


# ---- keys ----
def test_openais_key_goes_to_openai_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        host.say(chat(choice()))
    ask(model("vllm:m", host))
    ask(model("openai:gpt-4o", host))
    monkeypatch.setenv("VLLM_API_KEY", "local-secret-1")
    ask(model("vllm:m", host))
    said = [sent.headers["authorization"] for sent in host.asked]
    assert said == ["Bearer none", f"Bearer {KEY}", "Bearer local-secret-1"]


def test_a_missing_key_is_one_line_before_any_call(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    for name, variable in {"openai:gpt-4o": "OPENAI_API_KEY", "together:m": "TOGETHER_API_KEY"}.items():
        with pytest.raises(BadInput, match=rf"need the key {variable}, which is not set; set it in .*\(keys: "):
            open_model(name).open()  # type: ignore[attr-defined]
    open_model("vllm:m").open()  # type: ignore[attr-defined]


# ---- which host can what ----
def test_every_host_of_the_table_is_registered_and_nothing_else_is() -> None:
    place = BUILTIN["openai"]
    assert {name for name, there in BUILTIN.items() if there == place} == set(hosts.table())
    for name in hosts.table():
        assert open_model(f"{name}:m").name == f"{name}:m"
    for row in hosts.table().values():
        for rule in (row, *row.get("models", ())):
            told_apart = {"logprobs", "token_ids"} & set(rule.get("can", ()))
            assert "n" not in rule.get("can", ()) or told_apart


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("meta-llama/Llama-3.2-1B-Instruct", 8001), ("Llama-3.2-3b", 8003), ("llama-3.1-8B-it", 8008),
        ("Llama-3.3-70B", 8070), ("pocket-m", 8000), ("Qwen2.5-0.5B", 8000), ("m-18B", 8000), ("x1b2", 8000),
    ],
)  # fmt: skip
def test_a_size_in_the_name_has_the_documented_port(host: Host, name: str, port: int) -> None:
    assert open_model(f"vllm:{name}").url == f"http://localhost:{port}/v1"  # type: ignore[attr-defined]


def test_the_address_is_the_settings_else_the_variables_else_the_hosts(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy/v1/")
    assert open_model("openai:m").url == "http://proxy/v1"  # type: ignore[attr-defined]
    assert open_model("openai:m", {"base_url": "http://mine/v1"}).url == "http://mine/v1"  # type: ignore[attr-defined]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("openai:gpt-5-mini", {"params": {"temperature": 0.7}}, "no temperature but 1: give --temperature 1 "),
    ("openai:gpt-5-mini", {"params": {"temperature": 0.7, "top_p": 0.9}}, "1: give --temperature 1 --top_p 1 "),
    ("openai:gpt-5-mini", {"n": 2}, "cannot do n"),
    ("openai:gpt-5-mini", {"seed": 1}, "takes no seed"),
    ("openai:gpt-5-mini", {"params": {"stop": ["x"]}}, "has no stop"),
    ("openai:gpt-5-mini", {"params": {"thinking": {"tokens": 5}}}, "takes thinking as effort"),
    ("openai:gpt-4o", {"prefix": "It is"}, "cannot do continuation"),
    ("openai:gpt-4o", {"n": 129}, "1 to 128 completions"),
    ("openai:gpt-4o", {"params": {"top_k": 5}}, "has no top_k"),
    ("openai:gpt-4o", {"params": {"logprobs": 21}}, "names 20 alternatives"),
    ("openai:gpt-4o", {"params": {"thinking": {"effort": "low"}}}, "cannot do thinking"),
    ("openai:davinci-002", {"messages": [*ASK, *ASK]}, "no form for 2 messages"),
    ("together:m", {"n": 2}, "cannot do n"),
    ("hyperbolic:m", {"seed": 2}, "takes no seed"),
    ("sglang:m", {"prefix": (1, 2)}, "cannot do token_ids"),
    ("vllm:m", {"messages": ()}, "nothing to go on from"),
    ("openai:gpt-4o", {"messages": (), "prefix": "x"}, "cannot do continuation"),
]


@pytest.mark.parametrize(("name", "how", "why"), REFUSED)
def test_what_a_model_cannot_honour_is_refused_before_and_at_the_call(
    host: Host, name: str, how: dict[str, Any], why: str
) -> None:
    one = model(name, host)
    said = one.refuses(Request(**({"messages": ASK} | how)))
    assert said is not None
    assert why in said
    with pytest.raises(ModelError, match=why.replace("(", r"\(")):
        ask(one, **({"messages": ASK} | how))
    assert host.asked == []


def test_seeds_need_not_be_sent(host: Host) -> None:
    one = model("vllm:m", host, send_seed=False)
    assert "seed" not in one.can
    assert one.refuses(Request(ASK, seed=1)) == "vllm:m takes no seed"


def test_a_setting_that_is_not_there_or_cannot_be_is_one_line(host: Host) -> None:
    with pytest.raises(BadInput, match=r"vllm: models have no dtype; they have base_url, api"):
        open_model("vllm:m", {"dtype": "bfloat16"})
    with pytest.raises(BadInput, match=r"echo: models have no base_url; they have no settings"):
        open_model("echo:1", {"base_url": "x"})
    with pytest.raises(BadInput, match=r"timeout=-1\.0 cannot be"):
        open_model("vllm:m", {"timeout": -1.0})


def test_another_address_than_the_host_s_own_is_somewhere_else() -> None:
    from testtime.models.openai.backend import OpenAI

    own = [OpenAI("m"), OpenAI("m", base_url="https://eu.api.openai.com/v1"), OpenAI("m", "vllm")]
    other = [
        OpenAI("m", base_url="http://127.0.0.1:8000/v1"),
        OpenAI("m", base_url="https://api.openai.com.evil.org/v1"),
    ]
    assert [one.elsewhere for one in (*own, *other)] == [False] * 3 + [True] * 2
