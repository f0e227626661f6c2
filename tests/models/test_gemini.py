"""Gemini over the SDK's own transport to a local server: what is sent is what was asked, thinking is counted among the
completion, each way to end has its word, the wait that stands in an error's body is passed on, and what a model does
not take is refused before anything is sent.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fake_http import Answer, Seen, Server, serving

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Generation, Request
from testtime.models import keys
from testtime.models.gemini import Gemini

pytest.importorskip("google.genai", reason="needs the extra gemini")

HELLO = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
NEW, OLD = "gemini-3.8-flash", "gemini-2.5-flash-lite"


def candidate(text: str = "hello", finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    parts = more.pop("parts", [{"text": text}])
    return {"content": {"role": "model", "parts": parts}, "finishReason": finish, **more}


def reply(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return {
        "candidates": list(candidates), "usageMetadata": usage, "modelVersion": "gemini-x-001", "responseId": "r1",
        **more,
    }  # fmt: skip


def at(server: Server, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMINI_API_KEY", "AIza0123456789")
        patch.delenv("GOOGLE_API_KEY", raising=False)
        patch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        return asyncio.run(work())


def ask(model: str, server: Server, request: Request) -> Generation:
    async def once() -> Generation:
        gemini = Gemini(model)
        try:
            return await gemini.generate(request)
        finally:
            await gemini.close()

    got: Generation = at(server, once)
    return got


def functions(*tools: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": tool} for tool in tools]


def request(**params: Any) -> Request:
    return Request(HELLO, params={"max_tokens": 100, **params})


def test_what_is_sent_is_what_was_asked_and_nothing_more() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tool = {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}}
    with serving(Answer(reply(candidate()))) as server:
        ask(NEW, server, Request(HELLO, seed=7, params={"max_tokens": 100, "temperature": 1.0, "top_p": 1.0}))
        ask(
            NEW,
            server,
            request(stop=["Q"], schema=schema, tools=functions(tool), thinking={"effort": "low"}),
        )
        ask(
            OLD,
            server,
            Request(HELLO, n=4, seed=1, params={"temperature": 0, "top_p": 0.5, "thinking": {"tokens": 512}}),
        )
        ask(OLD, server, request(thinking={"tokens": 0}))
    sent = [one.body for one in server.seen]
    base = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"role": "user", "parts": [{"text": "be brief"}]},
    }
    assert sent[0] == base | {"generationConfig": {"maxOutputTokens": 100, "seed": 7}}
    assert sent[1]["generationConfig"] == {
        "maxOutputTokens": 100, "stopSequences": ["Q"], "responseMimeType": "application/json",
        "responseJsonSchema": schema, "thinkingConfig": {"thinking_level": "LOW"},
    }  # fmt: skip
    (declared,) = sent[1]["tools"][0]["functionDeclarations"]
    assert declared == {"name": "add", "description": "adds", "parameters_json_schema": tool["parameters"]}
    assert sent[2]["generationConfig"] == {
        "candidateCount": 4, "seed": 1, "temperature": 0, "topP": 0.5, "thinkingConfig": {"thinking_budget": 512},
    }  # fmt: skip
    assert sent[3]["generationConfig"]["thinkingConfig"] == {"thinking_budget": 0}
    assert server.seen[0].path.endswith(f"/models/{NEW}:generateContent")
    assert server.seen[0].headers["x-goog-api-key"] == "AIza0123456789"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "filter"), ("RECITATION", "filter"),
        ("PROHIBITED_CONTENT", "filter"), ("OTHER", "filter"), ("MALFORMED_FUNCTION_CALL", "stop"),
    ],
)  # fmt: skip
def test_each_way_to_end_has_its_word(reason: str, finish: str) -> None:
    with serving(Answer(reply({"finishReason": reason}))) as server:
        got = ask(NEW, server, request())
    assert (got.completions[0].finish, got.completions[0].text) == (finish, "")
    assert (got.model, got.provider_id) == ("gemini-x-001", "r1")


def test_a_blocked_prompt_is_an_answer_for_each_candidate_and_nothing_at_all_is_an_error() -> None:
    blocked = reply(promptFeedback={"blockReason": "SAFETY"})
    with serving(Answer(blocked), Answer(reply()), Answer(reply(candidate(finish=None)))) as server:
        got = ask(OLD, server, Request(HELLO, n=3))
        assert [one.finish for one in got.completions] == ["filter"] * 3
        assert got.spend.prompt == 10
        for says in ("no candidate and no reason", "ended with no reason"):
            with pytest.raises(ModelError, match=says) as caught:
                ask(OLD, server, request())
            assert caught.value.retry


@pytest.mark.filterwarnings("ignore:.*is not a valid FinishReason:UserWarning")
def test_a_reason_that_nobody_knows_is_an_error() -> None:
    with (
        serving(Answer(reply(candidate(finish="TIRED")))) as server,
        pytest.raises(ModelError, match="ended with TIRED"),
    ):
        ask(NEW, server, request())


@pytest.mark.parametrize(
    "answer", [Answer("hello", headers={"content-type": "text/plain"}), Answer([1]), Answer({"candidates": 5})]
)
def test_a_reply_that_cannot_be_read_is_an_error(answer: Answer) -> None:
    with serving(answer) as server, pytest.raises(ModelError):
        ask(NEW, server, request())


def test_thinking_is_counted_among_the_completion_and_never_in_the_text() -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 50, "cachedContentTokenCount": 4}
    parts = [{"text": "hm", "thought": True}, {"text": "hel"}, {"text": "lo"}]
    with serving(Answer(reply(candidate(parts=parts), usageMetadata=usage)), Answer(reply(candidate()))) as server:
        got, plain = ask(NEW, server, request()), ask(NEW, server, request())
    spend = got.spend
    assert (spend.prompt, spend.cached, spend.completion, spend.reasoning) == (10, 4, 55, 50)
    assert (got.completions[0].text, got.completions[0].tokens) == ("hello", 55)
    assert (plain.spend.cached, plain.spend.reasoning) == (0, 0)


def test_several_candidates_share_one_bill_with_their_own_tokens_or_unknown() -> None:
    both = reply(candidate("a", tokenCount=2), candidate("b"))
    with serving(Answer(both), Answer({**both, "usageMetadata": None})) as server:
        got, silent = (ask(OLD, server, Request(HELLO, n=2)) for _ in range(2))
    assert [(one.text, one.tokens) for one in got.completions] == [("a", 2), ("b", None)]
    assert got.spend.completion == 5
    assert (silent.spend.prompt, silent.spend.completion) == (None, None)


def test_a_tool_call_goes_back_as_it_came_signature_and_all() -> None:
    signature = base64.b64encode(b"\x00signed\xff").decode()
    parts = [{"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": signature}]
    tool = {"name": "add", "parameters": {"type": "object"}}
    with serving(Answer(reply(candidate(parts=parts))), Answer(reply(candidate()))) as server:
        said = ask(NEW, server, request(tools=functions(tool))).completions[0]
        turn = {"role": "assistant", "content": said.text, "tool_calls": said.tool_calls}
        result = {"role": "tool", "tool_call_id": said.tool_calls[0]["id"], "content": "3"}
        ask(NEW, server, Request([*HELLO, turn, result], params={"tools": functions(tool)}))
    assert (said.finish, said.text, said.tool_calls[0]["arguments"]) == ("tools", "", {"a": 1})
    _, model, answered = server.seen[1].body["contents"]
    assert model["parts"][0]["functionCall"] == {"name": "add", "args": {"a": 1}}
    assert base64.urlsafe_b64decode(model["parts"][0]["thoughtSignature"]) == b"\x00signed\xff"
    assert answered["parts"][0]["functionResponse"] == {"name": "add", "response": {"result": "3"}}


@pytest.mark.parametrize(
    ("answer", "retry", "busy", "wait", "lost"),
    [
        (
            Answer({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]}}, 429),
            True, True, 3.5, False,
        ),
        (Answer({"error": {"code": 429, "message": "slow"}}, 429, {"retry-after": "2"}), True, True, 2.0, False),
        (Answer({"error": {"code": 503, "message": "overloaded"}}, 503), True, True, None, False),
        (Answer({"error": {"code": 500, "message": "boom"}}, 500), True, False, None, False),
        (Answer({"error": {"code": 400, "message": "bad"}}, 400), False, False, None, False),
        (Answer(drop=True), True, False, None, True),
    ],
)  # fmt: skip
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
        (NEW, Request(HELLO, n=2), "gives 1 to 1 completions"),
        (OLD, Request(HELLO, n=9), "gives 1 to 8 completions"),
        (
            NEW,
            request(thinking={"tokens": 512}),
            "takes no number of thinking tokens; it has the efforts low",
        ),
        (NEW, request(thinking={"effort": "minimal"}), "has no effort 'minimal'"),
        (NEW, request(thinking={"tokens": 0}), "always thinks"),
        (OLD, request(thinking={"tokens": 100}), "thinks 512 to 24576 tokens, not 100"),
        (OLD, Request(HELLO, "so"), "cannot continue a text"),
        (OLD, request(stop=list("abcdef")), "takes 5 stops"),
    ],
)
def test_what_a_model_does_not_take_is_refused_before_anything_is_sent(model: str, asked: Request, says: str) -> None:
    assert says in (Gemini(model).refuses(asked) or "")
    with serving(Answer(reply())) as server, pytest.raises(ModelError, match="gemini"):
        ask(model, server, asked)
    assert not server.seen


def test_log_probabilities_have_the_drawn_token_first() -> None:
    laws = {
        "chosenCandidates": [{"token": "he", "tokenId": 4, "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "ha", "tokenId": 5, "logProbability": -0.4}]}],
    }
    with serving(Answer(reply(candidate(logprobsResult=laws)))) as server:
        gemini = Gemini(OLD)
        object.__setattr__(gemini.family, "logprobs", None)
        assert "has no logprobs" in (gemini.refuses(request(logprobs=1)) or "")
        (said,) = ask(OLD, server, request()).completions
    assert said.logprobs is not None
    assert list(said.logprobs[0].items()) == [("he", -0.5), ("ha", -0.4)]
    assert said.token_ids == (4,)


def test_a_batch_is_sent_whole_and_each_request_comes_back_under_its_key() -> None:
    def answer(seen: Seen) -> Answer:
        if seen.path.endswith(":batchGenerateContent"):
            return Answer({"name": "batches/b1", "metadata": {"state": "BATCH_STATE_PENDING"}})
        if len(server.seen) < 3:
            return Answer({"name": "batches/b1", "metadata": {"state": "BATCH_STATE_RUNNING"}})
        inlined = [
            {"response": reply(candidate("B")), "metadata": {"key": "b"}},
            {"error": {"code": 13, "message": "boom"}, "metadata": {"key": "a"}},
        ]
        done = {"state": "BATCH_STATE_SUCCEEDED", "output": {"inlinedResponses": {"inlinedResponses": inlined}}}
        return Answer({"name": "batches/b1", "metadata": done, "response": done["output"]})

    async def whole() -> tuple[str, dict[str, Any]]:
        gemini, later = Gemini(OLD), Gemini(OLD)
        later.poll = 0.01
        sent = await gemini.submit({"a": request(temperature=0.5), "b": request()})
        got = {key: one async for key, one in later.collect(sent)}
        for model in (gemini, later):
            await model.close()
        return sent, got

    with serving(answer) as server:
        sent, got = at(server, whole)
    assert sent == "batches/b1"
    items = server.seen[0].body["batch"]["inputConfig"]["requests"]["requests"]
    assert [item["metadata"] for item in items] == [{"key": "a"}, {"key": "b"}]
    assert items[0]["request"]["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 100}
    assert got["b"].completions[0].text == "B"
    assert (got["a"].retry, "boom" in str(got["a"])) == (True, True)


def test_a_missing_key_is_found_before_the_first_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in keys.READ["gemini"]:
        monkeypatch.delenv(name, raising=False)
    keys.use_file(None)
    with pytest.raises(BadInput, match="need the key GEMINI_API_KEY or GOOGLE_API_KEY"):
        Gemini(NEW).open()


def test_a_result_names_its_own_call_where_ids_come_again_in_each_round() -> None:
    turns: list[dict[str, Any]] = []
    for name in ("add", "subtract"):
        turns.append(
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call-0", "name": name, "arguments": {}}]}
        )
        turns.append({"role": "tool", "tool_call_id": "call-0", "content": "3"})
    with serving(Answer(reply(candidate()))) as server:
        ask(NEW, server, Request([*HELLO, *turns], params={"max_tokens": 100}))
    contents = server.seen[0].body["contents"]
    assert [contents[at]["parts"][0]["functionResponse"]["name"] for at in (2, 4)] == ["add", "subtract"]
