"""Whatever Anthropic's, Google's or Amazon's server says, through their own SDKs: a completion, or a failure of that
one call, never a traceback; what it says of tokens that cannot be is unknown, never 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import hostile
import pytest
from fake_http import Answer, Seen, Server
from hostile import ASK, BODIES, ERRORS, WAITS, Told, mutated, telling, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Request
from testtime.core.spend import Spend

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # of the SDKs, which say what they did not expect
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-0123456789", "GEMINI_API_KEY": "AIza0123456789", "AWS_ACCESS_KEY_ID": "AKIA01234567",
    "AWS_SECRET_ACCESS_KEY": "secret0123456", "AWS_REGION": "us-east-1",
}  # fmt: skip


def claude(server: Server) -> Any:
    pytest.importorskip("anthropic", reason="needs the extra anthropic")
    from testtime.models.anthropic import Claude

    return Claude("claude-sonnet-4-6")


def gemini(server: Server) -> Any:
    pytest.importorskip("google.genai", reason="needs the extra gemini")
    from testtime.models.gemini import Gemini

    return Gemini("gemini-2.5-flash-lite")


def bedrock(server: Server) -> Any:
    boto3 = pytest.importorskip("boto3", reason="needs the extra bedrock")
    from botocore.config import Config

    from testtime.models.bedrock import Bedrock

    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=20)
    where = {"region_name": "us-east-1", "endpoint_url": server.url}
    return Bedrock("us.anthropic.claude-sonnet-4-6", boto3.client("bedrock-runtime", config=config, **where))


MODELS = {"anthropic": claude, "gemini": gemini, "bedrock": bedrock}
CALL = {"a": [1, {"b": None}]}
GOOD: dict[str, Any] = {
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None,
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hello"},
                    {"type": "tool_use", "id": "t1", "name": "add", "input": CALL}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3,
                  "cache_creation_input_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}},
    },
    "gemini": {
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "hm", "thought": True}, {"text": "hello"},
                {"functionCall": {"id": "c", "name": "add", "args": CALL}, "thoughtSignature": "AAAA"}]},
            "finishReason": "STOP", "tokenCount": 5, "index": 0,
            "logprobsResult": {"chosenCandidates": [{"token": "he", "tokenId": 4, "logProbability": -0.5}],
                               "topCandidates": [{"candidates": [{"token": "ha", "logProbability": -0.4}]}]},
        }],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2,
                          "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 1, "totalTokenCount": 18},
        "modelVersion": "m-1", "responseId": "r1",
    },
    "bedrock": {
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}, {"text": "hello"},
            {"toolUse": {"toolUseId": "t1", "name": "add", "input": CALL}}]}},
        "stopReason": "end_turn", "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 1},
    },
}  # fmt: skip
USAGE = {"anthropic": "usage", "gemini": "usageMetadata", "bedrock": "usage"}


@pytest.fixture(scope="module", params=MODELS)
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    """One model of each provider, and the one server it hears."""

    def make(server: Server) -> Any:
        patch.setenv("ANTHROPIC_BASE_URL", server.url)
        patch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        return MODELS[request.param](server)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.delenv("GOOGLE_API_KEY", raising=False)
        with telling(make) as one:
            yield one


def provider(told: Told) -> str:
    return str(told.model.name.partition(":")[0])


def test_a_good_reply_is_read_whole(told: Told) -> None:
    got = told.hear(Answer(GOOD[provider(told)]))
    assert not isinstance(got, ModelError)
    assert got.completions[0].text == "hello"
    assert got.completions[0].tool_calls[0]["arguments"] == CALL
    assert None not in (got.spend.prompt, got.spend.completion)


@MANY
@given(st.data())
def test_any_change_of_a_good_reply_gives_a_completion_or_fails_its_call(told: Told, data: st.DataObject) -> None:
    told.hear(Answer(written(data.draw(mutated(GOOD[provider(told)])))))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_reply_fails_its_call_which_may_have_been_billed(told: Told, name: str) -> None:
    got = told.hear(BODIES[name])
    assert isinstance(got, ModelError)
    assert got.lost or BODIES[name].status >= 300, str(got)
    assert got.retry or BODIES[name].status >= 300


@pytest.mark.parametrize("status", [400, 418, 429, 500, 529, 599])
def test_an_error_of_any_form_is_a_failure_with_its_status_and_a_wait_that_can_be_kept(told: Told, status: int) -> None:
    for at, body in enumerate(ERRORS):
        wait = WAITS[at % len(WAITS)]
        got = told.hear(Answer(body, status, {"retry-after": wait, "x-amz-retry-after": wait}))
        assert isinstance(got, ModelError)
        assert got.retry_after is None or 0 <= got.retry_after < 10**12
        if status == 400:
            assert not got.retry or got.lost
        else:
            assert got.retry or status == 418


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_that_is_none_is_not_waited_for(told: Told, wait: str) -> None:
    got = told.hear(Answer({"error": {"message": "slow"}}, 429, {"retry-after": wait, "retry-after-ms": wait}))
    assert isinstance(got, ModelError)
    assert got.busy
    assert got.retry_after is None or 0 <= got.retry_after < 10**12


ABSENT = object()
USAGES = {
    "absent": ABSENT, "null": None, "a list": [5], "a text": "many", "a number": 5, "empty": {}, "negative": -5,
    "a fraction": 1.5, "huge": 10**30, "texts": "many", "infinite": 1e999, "lists": [5], "beyond 64 bits": 2**63,
    "zero": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", USAGES)
def test_a_usage_that_cannot_be_is_unknown_and_never_0(told: Told, name: str) -> None:
    key, value = USAGE[provider(told)], USAGES[name]
    reply = dict(GOOD[provider(told)])
    if value is ABSENT:
        del reply[key]
    elif name in ("null", "a list", "a text", "a number", "empty"):
        reply[key] = value
    else:
        reply[key] = {one: {} if isinstance(inner, dict) else value for one, inner in reply[key].items()}
    got = told.hear(Answer(written(reply)))
    if isinstance(got, ModelError):  # the SDK itself refuses the whole reply
        assert got.lost
        assert provider(told) != "anthropic"
        return
    assert got.completions[0].text == "hello"
    if (provider(told), name) != ("bedrock", "a fraction"):  # which AWS's own parser cuts to a whole number
        assert got.spend == Spend()
        assert got.completions[0].tokens is None


def test_an_address_that_is_none_is_said_before_anything_is_asked(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = {"anthropic": "ANTHROPIC_BASE_URL", "gemini": "GOOGLE_GEMINI_BASE_URL"}.get(provider(told))
    if variable is None:
        pytest.skip("finds its server by its region")
    monkeypatch.setenv(variable, "http://[bad")
    with pytest.raises(BadInput, match="is no address of a server"):
        told.model.open()


def test_text_of_every_plane_and_halves_of_pairs_come_as_they_are_and_go_as_they_are_or_not(told: Told) -> None:
    for text in (hostile.PLANES, "\x00", "a\ud83d"):
        got = told.hear(Answer(json.dumps(GOOD[provider(told)]).replace('"hello"', json.dumps(text))))
        if not isinstance(got, ModelError):
            assert got.completions[0].text == text
        else:
            assert "\ud83d" in text
            assert got.lost
    got = told.hear(Answer(GOOD[provider(told)]), Request([{"role": "user", "content": "a\ud83d"}], params=ASK.params))
    if told.server.seen:  # some SDKs write it as an escape
        assert "a\ud83d" in json.dumps(told.server.seen[0].body, ensure_ascii=False)
    else:
        assert isinstance(got, ModelError)
        assert "half a character" in str(got)
        assert not got.retry


# ---- batches ----
LINE = {"custom_id": "a", "result": {"type": "succeeded", "message": GOOD["anthropic"]}}
ERRORED = {"custom_id": "b", "result": {"type": "errored", "error": {
    "type": "error", "error": {"type": "api_error", "message": "boom"}}}}  # fmt: skip


@pytest.fixture
def batching(told: Told, monkeypatch: pytest.MonkeyPatch) -> Told:
    if provider(told) == "bedrock":
        pytest.skip("has no batches here")
    monkeypatch.setattr(told.model, "poll", 0.001)
    return told


def anthropic_batch(server: Server, lines: bytes) -> Any:
    status = {
        "id": "b-1", "type": "message_batch", "processing_status": "ended", "created_at": "2026-01-01T00:00:00Z",
        "results_url": f"{server.url}/v1/messages/batches/b-1/results",
    }  # fmt: skip

    def answer(seen: Seen) -> Answer:
        return Answer(lines) if seen.path.endswith("/results") else Answer(status)

    return answer


def gemini_batch(items: Any) -> Any:
    inlined = {"inlinedResponses": {"inlinedResponses": items}}
    done = {"state": "BATCH_STATE_SUCCEEDED", "output": inlined}
    return lambda seen: Answer(written({"name": "batches/b-1", "metadata": done, "response": inlined}))


ITEMS = [
    {"response": GOOD["gemini"], "metadata": {"key": "a"}},
    {"error": {"code": 13, "message": "boom"}, "metadata": {"key": "b"}},
]  # fmt: skip


@MANY
@given(st.data())
def test_any_change_of_a_batch_s_results_fails_its_own_requests_at_most(batching: Told, data: st.DataObject) -> None:
    if provider(batching) == "anthropic":
        odd = data.draw(mutated([LINE, ERRORED]))
        lines = odd if isinstance(odd, list) else [odd]
        good = {**LINE, "custom_id": "whole"}
        said = b"\n".join([*(written(line) for line in lines), b"{half", b"[]", b"", written(good)])
        got = batching.collect(anthropic_batch(batching.server, said))
        assert isinstance(got, dict)
        assert not isinstance(got["whole"], ModelError)
    else:
        got = batching.collect(gemini_batch(data.draw(mutated(ITEMS))))
        assert isinstance(got, (dict, ModelError))


@MANY
@given(st.data())
def test_any_change_of_what_a_batch_is_said_to_be_is_a_question_that_failed(
    batching: Told, data: st.DataObject
) -> None:
    if provider(batching) == "anthropic":
        whole = anthropic_batch(batching.server, written(LINE))
        status = data.draw(mutated(whole(Seen("/", {}, None)).body))
        asked = iter([Answer(written(status))])  # then the whole one, as an odd state is none that ends
        batching.collect(lambda seen: whole(seen) if seen.path.endswith("/results") else next(asked, whole(seen)))
    else:
        good = gemini_batch(ITEMS)
        asked = iter([Answer(written(data.draw(mutated(json.loads(good(None).body)))))])
        batching.collect(lambda seen: next(asked, good(seen)))


@pytest.mark.parametrize("made", ["{}", '{"id": 5, "name": 5}', "[]", "<html>", '{"id": null}', "null", '"x"'])
def test_a_batch_without_a_name_was_perhaps_taken(batching: Told, made: str) -> None:
    got = batching.run(Answer(made), lambda: batching.model.submit({"a": ASK}))
    assert isinstance(got, ModelError)
    assert got.lost
