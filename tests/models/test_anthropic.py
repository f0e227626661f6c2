"""Claude over the SDK's own transport to a local server: what is sent is what was asked, counts are whole however the
API splits them, each way to end has its word, failures say whether to ask again and when, and what a model does not
take is refused before anything is sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fake_http import Answer, Seen, Server, serving

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Generation, Request
from testtime.models import keys
from testtime.models.anthropic import Claude

pytest.importorskip("anthropic", reason="needs the extra anthropic")

HELLO = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
NEW, OLD, ANCIENT = "claude-opus-5-5", "claude-sonnet-4-6", "claude-haiku-4-5"


def reply(text: str = "hello", stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 5, **more.pop("usage", {})}
    content = more.pop("content", [{"type": "text", "text": text}])
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": NEW, "content": content,
        "stop_reason": stop, "stop_sequence": None, "usage": usage, **more,
    }  # fmt: skip


def ask(model: str, server: Server, *requests: Request) -> list[Generation]:
    """The replies to requests sent at once."""

    async def all_of_them() -> list[Generation]:
        claude = Claude(model)
        try:
            return await asyncio.gather(*[claude.generate(request) for request in requests])
        finally:
            await claude.close()

    return _at(server, all_of_them)


def _at(server: Server, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
        patch.setenv("ANTHROPIC_BASE_URL", server.url)
        return asyncio.run(work())


def functions(*tools: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": tool} for tool in tools]


def request(**params: Any) -> Request:
    return Request(HELLO, params={"max_tokens": 100, **params})


def test_what_is_sent_is_what_was_asked_and_nothing_more() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tool = {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}}
    with serving(Answer(reply())) as server:
        ask(NEW, server, request(temperature=1.0, top_p=1.0))
        ask(
            NEW,
            server,
            request(
                stop=["\n\nQ"],
                schema=schema,
                tools=functions(tool),
                thinking={"effort": "low"},
            ),
        )
        ask(OLD, server, request(temperature=0.5, top_p=1.0))
        ask(OLD, server, Request(HELLO, params={"max_tokens": 4000, "thinking": {"tokens": 2048}}))
        ask(OLD, server, request(thinking={"tokens": 0}))
        ask(ANCIENT, server, Request(HELLO, "I think", params={"max_tokens": 9, "temperature": 0}))
    base = {"model": NEW, "max_tokens": 100, "system": "be brief", "messages": [{"role": "user", "content": "hi"}]}
    sent = [one.body for one in server.seen]
    assert sent[0] == base
    assert sent[1] == base | {
        "stop_sequences": ["\n\nQ"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        "thinking": {"type": "adaptive"},
        "tools": [{"name": "add", "description": "adds", "input_schema": tool["parameters"]}],
    }
    assert sent[2] == base | {"model": OLD, "temperature": 0.5}
    assert sent[3]["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert sent[4]["thinking"] == {"type": "disabled"}
    assert sent[5]["messages"][-1] == {"role": "assistant", "content": "I think"}
    assert sent[5]["temperature"] == 0
    assert {one.path for one in server.seen} == {"/v1/messages"}
    assert server.seen[0].headers["authorization"] == "Bearer sk-ant-0123456789"


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "refusal"),
        ("model_context_window_exceeded", "length"),
    ],
)  # fmt: skip
def test_each_way_to_end_has_its_word(stop: str, finish: str) -> None:
    with serving(Answer(reply("", stop))) as server:
        (got,) = ask(NEW, server, request())
    assert (got.completions[0].finish, got.completions[0].text, got.model, got.provider_id) == (
        finish,
        "",
        NEW,
        "msg_1",
    )


@pytest.mark.parametrize(("stop", "again"), [(None, True), ("pause_turn", False), ("a_new_reason", False)])
def test_a_reply_that_does_not_say_why_it_ended_is_an_error(stop: str | None, again: bool) -> None:
    with serving(Answer(reply("half", stop))) as server, pytest.raises(ModelError, match="the reply ended") as caught:
        ask(NEW, server, request())
    assert caught.value.retry is again


@pytest.mark.parametrize(
    "answer", [Answer("hello", headers={"content-type": "text/plain"}), Answer({}), Answer(reply(content=None))]
)
def test_a_reply_that_is_no_message_is_an_error_and_may_have_been_billed(answer: Answer) -> None:
    with serving(answer) as server, pytest.raises(ModelError, match="the reply is no message") as caught:
        ask(NEW, server, request())
    assert caught.value.lost


def test_tokens_are_whole_however_the_api_splits_them() -> None:
    usage = {
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 200,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hello"}]
    with serving(
        Answer(reply(content=thought, usage=usage)), Answer(reply(content=thought)), Answer(reply())
    ) as server:
        split, silent, plain = (ask(NEW, server, request())[0] for _ in range(3))
    spend = split.spend
    assert (spend.prompt, spend.cached, spend.written, spend.completion, spend.reasoning) == (1210, 1000, 200, 5, 3)
    assert split.completions[0].text == "hello"
    assert split.completions[0].tokens == 5
    assert silent.spend.reasoning is None
    assert plain.spend.reasoning == 0


def test_a_tool_call_goes_back_as_it_came_signature_and_all() -> None:
    blocks = [
        {"type": "thinking", "thinking": "", "signature": "signed"},
        {"type": "text", "text": "I add."},
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
    ]
    tool = {"name": "add", "parameters": {"type": "object"}}
    with serving(Answer(reply(stop="tool_use", content=blocks)), Answer(reply())) as server:
        (first,) = ask(NEW, server, request(tools=functions(tool)))
        said = first.completions[0]
        results = [{"role": "tool", "tool_call_id": id, "content": "3"} for id in ("t1", "t2")]
        turn = {"role": "assistant", "content": said.text, "tool_calls": said.tool_calls}
        ask(
            NEW,
            server,
            Request([*HELLO, turn, *results], params={"max_tokens": 100, "tools": functions(tool)}),
        )
    assert said.finish == "tools"
    assert [(call["id"], call["name"], call["arguments"]) for call in said.tool_calls] == [("t1", "add", {"a": 1})]
    user, assistant, tools = server.seen[1].body["messages"]
    assert user == {"role": "user", "content": "hi"}
    assert assistant == {"role": "assistant", "content": blocks}
    assert [one["tool_use_id"] for one in tools["content"]] == ["t1", "t2"]


def test_calls_of_another_model_are_made_anew() -> None:
    call = {"id": "t1", "name": "add", "arguments": '{"a": 1}'}
    turns = [{"role": "assistant", "content": "I add.", "tool_calls": [call]}]
    turns += [{"role": "tool", "tool_call_id": "t1", "content": "3"}]
    with serving(Answer(reply())) as server:
        ask(NEW, server, Request([*HELLO, *turns], params={"max_tokens": 100}))
    assert server.seen[0].body["messages"][1]["content"] == [
        {"type": "text", "text": "I add."},
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
    ]


@pytest.mark.parametrize(
    ("answer", "retry", "busy", "wait", "lost"),
    [
        (Answer({"error": {"message": "slow"}}, 429, {"retry-after": "3"}), True, True, 3.0, False),
        (Answer({"error": {"message": "slow"}}, 429, {"retry-after-ms": "250"}), True, True, 0.25, False),
        (Answer({"error": {"message": "overloaded"}}, 529), True, True, None, False),
        (Answer({"error": {"message": "boom"}}, 500), True, False, None, False),
        (Answer({"error": {"message": "no"}}, 500, {"x-should-retry": "false"}), False, False, None, False),
        (Answer({"error": {"message": "bad"}}, 400), False, False, None, False),
        (Answer({"error": {"message": "key"}}, 401), False, False, None, False),
        (Answer(drop=True), True, False, None, True),
    ],
)
def test_a_failure_says_whether_to_ask_again_and_when_and_is_never_retried_here(
    answer: Answer, retry: bool, busy: bool, wait: float | None, lost: bool
) -> None:
    with serving(answer) as server, pytest.raises(ModelError) as caught:
        ask(NEW, server, request())
    error = caught.value
    assert (error.retry, error.busy, error.retry_after, error.lost) == (retry, busy, wait, lost)
    assert len(server.seen) == 1
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("model", "asked", "says"),
    [
        (NEW, request(temperature=0.7), "takes no temperature but its own: --temperature 1 --top_p 1"),
        (NEW, request(temperature=0.7, top_p=0.9), "takes no temperature and no top_p but its own"),
        (OLD, request(temperature=0.7, top_p=0.9), "takes temperature or top_p, not both"),
        (NEW, Request(HELLO, n=2, params={"max_tokens": 9}), "gives 1 to 1 completions a request, not 2"),
        (NEW, Request(HELLO, seed=1, params={"max_tokens": 9}), "takes no seed"),
        (NEW, Request(HELLO, "so", params={"max_tokens": 9}), "cannot continue a text"),
        (ANCIENT, Request(HELLO, "so ", params={"max_tokens": 9}), "ends in white space"),
        (ANCIENT, Request(HELLO, (1, 2), params={"max_tokens": 9}), "cannot continue token ids"),
        (NEW, Request(HELLO), "needs max_tokens"),
        (NEW, request(logprobs=2), "has no logprobs"),
        (NEW, request(top_k=2), "has no top_k; it knows max_tokens, temperature"),
        (NEW, request(thinking={"tokens": 2048}), "takes no number of thinking tokens; it has the efforts low, medium"),
        (NEW, request(thinking={"tokens": 0}), "always thinks"),
        (NEW, request(thinking={"effort": "huge"}), "has no effort 'huge'"),
        (OLD, request(thinking={"tokens": 2048}), "counts thinking among max_tokens: 2048 of 100"),
        (OLD, request(thinking={"tokens": 100}), "thinks 1024 to 127999 tokens, not 100"),
        (OLD, request(max_tokens=4000, thinking={"tokens": 2000}, temperature=0), "only at its own temp"),
        (NEW, request(stop=[" "]), "a text that is not blank"),
        (NEW, Request([{"role": "critic", "content": "x"}], params={"max_tokens": 9}), "needs a message to answer"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_take_is_refused_before_anything_is_sent(model: str, asked: Request, says: str) -> None:
    assert says in (Claude(model).refuses(asked) or "")
    with serving(Answer(reply())) as server, pytest.raises(ModelError, match="claude"):
        ask(model, server, asked)
    assert not server.seen


def test_a_long_prompt_of_many_draws_is_sent_once_before_the_others_and_then_read_from_the_cache() -> None:
    long = Request([{"role": "user", "content": "word " * 3000}], params={"max_tokens": 9}, again=True)
    once, short = Request(long.messages, params=long.params), Request(HELLO, params=long.params, again=True)
    with serving(lambda seen: Answer(reply())) as server:
        ask(NEW, server, *[long] * 5)
        marked, server.seen[:] = list(server.seen), []
        ask(NEW, server, once, short)
    assert all(one.body["cache_control"] == {"type": "ephemeral"} for one in marked)
    assert not any("cache_control" in one.body for one in server.seen)


def test_the_first_of_many_goes_alone_and_one_that_failed_fills_nothing() -> None:
    long = Request([{"role": "user", "content": "word " * 3000}], params={"max_tokens": 9}, again=True)
    ended: list[int] = []

    def slow(seen: Seen) -> Answer:
        ended.append(server.busiest)
        return Answer(reply()) if len(server.seen) > 1 else Answer({"error": {"message": "boom"}}, 500)

    async def all_of_them() -> list[Any]:
        claude = Claude(NEW)
        got = await asyncio.gather(*[claude.generate(long) for _ in range(6)], return_exceptions=True)
        await claude.close()
        return got

    with serving(slow) as server:
        got = _at(server, all_of_them)
    assert sum(isinstance(one, ModelError) for one in got) == 1
    assert ended[:2] == [1, 1]


def test_a_batch_is_sent_whole_and_each_request_comes_back_under_its_key() -> None:
    error = {"type": "error", "request_id": None, "error": {"type": "invalid_request_error", "message": "bad"}}
    results = {
        "a": {"type": "succeeded", "message": reply("A")},
        "b": {"type": "expired"},
        "c": {"type": "errored", "error": error},
    }
    lines = "\n".join(json.dumps({"custom_id": key, "result": result}) for key, result in results.items())

    def batch(status: str) -> dict[str, Any]:
        return {
            "id": "msgbatch_1", "type": "message_batch", "processing_status": status,
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
            "results_url": f"{server.url}/v1/messages/batches/msgbatch_1/results",
            "request_counts": {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 1},
        }  # fmt: skip

    def answer(seen: Seen) -> Answer:
        if seen.path.endswith("/results"):
            return Answer(lines, headers={"content-type": "application/x-jsonl"})
        return Answer(batch("ended" if len(server.seen) > 2 else "in_progress"))

    async def whole() -> tuple[str, dict[str, Any]]:
        claude, later = Claude(OLD), Claude(OLD)  # the second is another process, that knows the batch's id alone
        later.poll = 0.01
        sent = await claude.submit({key: request(temperature=0.5) for key in "abc"})
        got = {key: one async for key, one in later.collect(sent)}
        with pytest.raises(ModelError, match="cannot name a request of a batch"):
            await claude.submit({"a b": request()})
        await claude.close()
        await later.close()
        return sent, got

    with serving(answer) as server:
        sent, got = _at(server, whole)
    assert sent == "msgbatch_1"
    assert server.seen[0].body["requests"][0] == {
        "custom_id": "a",
        "params": {"model": OLD, "max_tokens": 100, "system": "be brief", "temperature": 0.5,
                   "messages": [{"role": "user", "content": "hi"}]},
    }  # fmt: skip
    assert got["a"].completions[0].text == "A"
    assert (str(got["b"]), got["b"].retry) == ("the batch left it expired", True)
    assert (str(got["c"]), got["c"].retry) == ("invalid_request_error: bad", False)


def test_a_missing_key_is_found_before_the_first_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    keys.use_file(None)
    with pytest.raises(BadInput, match="need the key ANTHROPIC_API_KEY"):
        Claude(NEW).open()
