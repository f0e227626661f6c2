"""Whatever a server of OpenAI's wire says, by each of its APIs, as a stream, a batch, tokens or scores, through the
official SDK: what was asked for, or a failure of that one call, never a traceback.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import hostile
import numpy as np
import pytest
from fake_http import Answer, Seen, Server
from hostile import ASK, BODIES, ERRORS, WAITS, Told, lawful, mutated, telling, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testtime.core.errors import ModelError
from testtime.core.records import Request
from testtime.core.spend import Spend
from testtime.models.openai import backend

pytest.importorskip("openai", reason="the openai package is not installed")

MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAWS = {"content": [{"token": "he", "logprob": -0.5, "bytes": None,
                     "top_logprobs": [{"token": "ha", "logprob": -0.4, "bytes": None}]}], "refusal": None}  # fmt: skip
CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": [1]}'}}
MESSAGE = {"role": "assistant", "content": "hello", "refusal": None, "reasoning": "hm", "tool_calls": [CALL]}
CHAT = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "tool_calls", "logprobs": LAWS, "token_ids": [1, 2]},
                {"index": 1, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
              "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 1}},
}  # fmt: skip
TEXT = {
    "id": "c1", "object": "text_completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "text": "hello", "finish_reason": "stop", "stop_reason": "lo", "token_ids": [1, 2],
                 "logprobs": {"tokens": ["hel", "lo"], "token_logprobs": [-0.5, -0.1], "text_offset": [0, 3],
                              "top_logprobs": [{"hel": -0.5}, {"lo": -0.1}]}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}  # fmt: skip
RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None,
    "incomplete_details": None,
    "output": [{"type": "reasoning", "id": "r", "summary": []},
               {"type": "message", "role": "assistant", "id": "m", "status": "completed",
                "content": [{"type": "output_text", "text": "hello", "annotations": []},
                            {"type": "refusal", "refusal": "no"}]},
               {"type": "function_call", "call_id": "c", "id": "f", "name": "add", "arguments": '{"a": [1]}'}],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
              "input_tokens_details": {"cached_tokens": 3}, "output_tokens_details": {"reasoning_tokens": 1}},
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {"chat": CHAT, "completions": TEXT, "responses": RESPONSE, "stream": CHAT}
NAMES = {"chat": "vllm:m", "completions": "vllm:m", "responses": "openai:gpt-5.4", "stream": "vllm:m"}


@pytest.fixture(scope="module", autouse=True)
def at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No .env of the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("home"))
        patch.setenv("OPENAI_API_KEY", "sk-0123456789")
        patch.delenv("OPENAI_BASE_URL", raising=False)
        yield


@pytest.fixture(scope="module", params=["httpx2", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both of the SDK's: what they raise has other names."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "httpx2":
            patch.setattr(backend, "find_spec", lambda name: None)
        else:
            pytest.importorskip("aiohttp", reason="comes with the extra openai")
        yield request.param


def opened(name: str, **settings: Any) -> Any:
    """What makes the model for a server."""

    def make(server: Server) -> Any:
        provider, _, model = name.partition(":")
        return backend.OpenAI(model, provider, base_url=f"{server.url}/v1", **settings)

    return make


@pytest.fixture(scope="module", params=["chat", "completions", "responses", "stream"])
def told(request: pytest.FixtureRequest, transport: str) -> Iterator[Told]:
    """A model that is asked by each API."""
    api = request.param
    settings = {"api": "chat", "stream": True} if api == "stream" else {"api": api}
    with telling(opened(NAMES[api], **settings)) as one:
        yield one


def api(told: Told) -> str:
    return "stream" if told.model.stream else str(told.model.row.api)


def asking(told: Told) -> Request:
    return Request((), "so", params=ASK.params) if api(told) == "completions" else ASK


def chunks(reply: Any) -> list[Any]:
    """A chat reply, as it is, as the events of a stream."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    if not isinstance(reply, dict) or not isinstance(reply.get("choices"), list):
        return [reply]
    said = [
        {**head, "choices": [{"delta": _indexed(one.pop("message", None)), **one} if isinstance(one, dict) else one]}
        for one in copy.deepcopy(reply["choices"])
    ]
    return [*said, {**head, "choices": [], "usage": reply.get("usage")}]


def _indexed(message: Any) -> Any:
    """As a piece of a stream, in which calls have numbers."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [{"index": at, **call} if isinstance(call, dict) else call
                                      for at, call in enumerate(calls)]}  # fmt: skip


def streamed(events: list[Any]) -> Answer:
    said = b"".join(b"data: " + (one if isinstance(one, bytes) else written(one)) + b"\n\n" for one in events)
    return Answer(said + b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"})


def answer(told: Told, reply: Any) -> Answer:
    return streamed(chunks(reply)) if api(told) == "stream" else Answer(written(reply))


def test_a_good_reply_is_read_whole(told: Told) -> None:
    got = told.hear(answer(told, GOOD[api(told)]), asking(told))
    assert not isinstance(got, ModelError)
    assert None not in (got.spend.prompt, got.spend.completion)


@MANY
@given(st.data())
def test_any_change_of_a_good_reply_gives_a_completion_or_fails_its_call(told: Told, data: st.DataObject) -> None:
    told.hear(answer(told, data.draw(mutated(GOOD[api(told)]))), asking(told))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_reply_fails_its_call_which_may_have_been_billed(told: Told, name: str) -> None:
    got = told.hear(BODIES[name], asking(told))
    assert isinstance(got, ModelError)
    assert got.lost or BODIES[name].status >= 300, str(got)


@pytest.mark.parametrize("name", BODIES)
def test_a_stream_of_such_bodies_fails_its_call(told: Told, name: str) -> None:
    if api(told) != "stream":
        pytest.skip("is no stream")
    one = BODIES[name]
    for kind in ("text/event-stream", "text/event-stream; charset=nonsense"):
        headers = {**one.headers, "content-type": kind}
        got = told.hear(Answer(one.body, one.status, headers, one.drop))
        assert isinstance(got, ModelError)
    said = one.body if isinstance(one.body, bytes) else str(one.body).encode()
    for events in ([said], [json.dumps(chunks(CHAT)[0]).encode(), said]):
        assert isinstance(told.hear(streamed(events)), ModelError)


@pytest.mark.parametrize("status", [400, 418, 429, 500, 529, 599])
def test_an_error_of_any_form_is_a_failure_with_its_status_and_a_wait_that_can_be_kept(told: Told, status: int) -> None:
    for at, body in enumerate(ERRORS):
        wait = WAITS[at % len(WAITS)]
        got = told.hear(Answer(body, status, {"retry-after": wait}), asking(told))
        assert isinstance(got, ModelError)
        assert got.retry_after is None or 0 <= got.retry_after < 10**12
        assert got.retry == (status > 418), f"{body}: {got}"


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_that_is_none_is_not_waited_for(told: Told, wait: str) -> None:
    got = told.hear(Answer("{}", 429, {"retry-after": wait, "retry-after-ms": wait}), asking(told))
    assert isinstance(got, ModelError)
    assert got.busy
    assert got.retry_after is None or 0 <= got.retry_after < 10**12


USAGES: Mapping[str, Any] = {
    "null": None, "a list": [5], "a text": "many", "a number": 5, "empty": {}, "negative": -5, "a fraction": 1.5,
    "huge": 10**30, "texts": "many", "infinite": 1e999, "lists": [5], "beyond 64 bits": 2**63, "zero": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", USAGES)
def test_a_usage_that_cannot_be_is_unknown_and_never_0_and_the_paid_text_is_kept(told: Told, name: str) -> None:
    value, reply = USAGES[name], dict(GOOD[api(told)])
    whole = name in ("null", "a list", "a text", "a number", "empty")
    reply["usage"] = value if whole else {
        one: dict.fromkeys(inner, value) if isinstance(inner, dict) else value for one, inner in reply["usage"].items()
    }  # fmt: skip
    got = told.hear(answer(told, reply), asking(told))
    assert not isinstance(got, ModelError), str(got)
    assert got.completions[0].text.endswith(("hello", "no"))
    assert got.spend == Spend()


def test_parts_larger_than_their_whole_are_unknown(told: Told) -> None:
    reply = json.loads(json.dumps(GOOD[api(told)]).replace('"cached_tokens": 3', '"cached_tokens": 11'))
    got = told.hear(answer(told, reply), asking(told))
    assert not isinstance(got, ModelError)
    assert (got.spend.prompt, got.spend.cached) == (10, None)


def test_text_of_every_plane_and_halves_of_pairs_come_as_they_are_and_go_as_they_are_or_not(told: Told) -> None:
    for text in (hostile.PLANES, "\x00", "a\ud83d"):
        said = json.loads(json.dumps(GOOD[api(told)]).replace('"hello"', json.dumps(text)))
        got = told.hear(answer(told, said), asking(told))
        if not isinstance(got, ModelError):
            assert api(told) == "responses" or got.completions[0].text.endswith(text)
        else:
            assert "\ud83d" in text, str(got)
    half = "a\ud83d"
    asked = Request((), half) if api(told) == "completions" else Request([{"role": "user", "content": half}])
    got = told.hear(answer(told, GOOD[api(told)]), asked)
    if told.server.seen:  # written as an escape
        assert half in json.dumps(told.server.seen[0].body, ensure_ascii=False)
    else:
        assert isinstance(got, ModelError)
        assert "half a character" in str(got)
        assert not got.retry


# ---- tokens and scores ----
@pytest.fixture(scope="module")
def scoring(transport: str) -> Iterator[Told]:
    with telling(opened("vllm:m")) as one:
        yield one


TOKENS = {"tokens": [1, 2, 3], "count": 3, "max_model_len": 99}
ECHO = {**TEXT, "choices": [
    {"index": at, "text": "", "finish_reason": "length",
     "logprobs": {"tokens": ["a"] * 6, "token_logprobs": [None, -1.0, -0.5, -0.25, -0.1, -0.2], "text_offset": [0] * 6}}
    for at in range(2)
]}  # fmt: skip


def scored(told: Told, tokens: Any, echo: Any) -> Any:
    """What comes of scoring two texts of three tokens each after three."""
    told.model._known_ids.clear()

    def answer(seen: Seen) -> Answer:
        return Answer(written(tokens if seen.path.endswith("/tokenize") else echo))

    return told.run(answer, lambda: told.model.score(Request(ASK.messages), ["x", "y"]))


def test_scores_are_each_text_s_own(scoring: Told) -> None:
    got = scored(scoring, TOKENS, ECHO)
    assert [law.tolist() for law in got] == [[-0.25, -0.1, -0.2]] * 2
    assert got.spend.prompt == 10


@MANY
@given(mutated({"tokens": TOKENS, "echo": ECHO}))
def test_any_change_of_tokens_or_scores_gives_those_asked_for_or_fails_its_call(scoring: Told, said: Any) -> None:
    said = said if isinstance(said, dict) else {}
    got = scored(scoring, said.get("tokens"), said.get("echo"))
    if not isinstance(got, ModelError):
        assert len(got) == 2
        assert all(law.dtype == float and law.ndim == 1 and not np.isnan(law).any() for law in got)


@pytest.mark.parametrize("tokens", [None, [], "x", {}, {"tokens": "abc"}, {"tokens": [1.5]}, {"tokens": [-1, True]}])
def test_tokens_that_are_none_are_never_remembered(scoring: Told, tokens: Any) -> None:
    got = scored(scoring, tokens, ECHO)
    assert isinstance(got, ModelError)
    assert not scoring.model._known_ids
    assert not isinstance(scored(scoring, TOKENS, ECHO), ModelError)


# ---- batches ----
@pytest.fixture(scope="module")
def batching(transport: str) -> Iterator[Told]:
    with telling(opened("openai:gpt-4o-mini")) as one:
        one.model.poll = 0.001
        yield one


LINE = {"custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": CHAT}, "error": None}
FAILED = {"custom_id": "b", "response": None, "error": {"code": "batch_expired", "message": "late"}}
REFUSED = {"custom_id": "c", "response": {"status_code": 400, "body": {"error": {"message": "bad"}}}, "error": None}
BATCH = {
    "id": "batch_1", "object": "batch", "created_at": 0, "status": "completed", "endpoint": "/v1/chat/completions",
    "completion_window": "24h", "input_file_id": "in", "output_file_id": "out", "error_file_id": "err",
    "errors": {"object": "list", "data": [{"code": "invalid", "message": "bad", "line": 1}]},
}  # fmt: skip


def batch(status: Any, lines: bytes, later: Any = BATCH) -> Any:
    """What says a batch's state, first `status`, then `later`, and its files."""
    states = iter([status])

    def answer(seen: Seen) -> Answer:
        return Answer(lines) if seen.path.endswith("/content") else Answer(written(next(states, later)))

    return answer


@MANY
@given(mutated([LINE, FAILED, REFUSED]))
def test_any_change_of_a_batch_s_results_fails_its_own_requests_at_most(batching: Told, odd: Any) -> None:
    lines = odd if isinstance(odd, list) else [odd]
    said = [*(written(line) for line in lines), b"{half", b"[]", b"", written({**LINE, "custom_id": "whole"})]
    got = batching.collect(batch(BATCH, b"\n".join(said)))
    assert isinstance(got, dict)
    assert not isinstance(got["whole"], ModelError)


@MANY
@given(mutated(BATCH), st.sampled_from(["completed", "failed", "expired"]))
def test_any_change_of_what_a_batch_is_said_to_be_is_a_question_that_failed(
    batching: Told, odd: Any, status: str
) -> None:
    if isinstance(odd, dict) and odd.get("status") == "completed":
        odd["status"] = status
    batching.collect(batch(odd, written(LINE)))


@pytest.mark.parametrize("made", ["{}", '{"id": 5}', "[]", "<html>", '{"id": null}', "null", '"x"', "", "{"])
def test_a_batch_without_a_name_was_perhaps_taken(batching: Told, made: str) -> None:
    for answer in (Answer(made), lambda seen: Answer('{"id": "f"}' if seen.path.endswith("/files") else made)):
        got = batching.run(answer, lambda: batching.model.submit({"a": ASK}))
        assert isinstance(lawful(got), ModelError)
        assert got.lost
