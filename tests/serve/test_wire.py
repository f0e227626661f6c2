"""The wire is OpenAI's: the official client, with strict validation, reads every reply; what comes back is what the
model says when it is asked directly; what cannot be honoured is an error of the API's form, never dropped.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Completion, Generation, Request
from testtime.models.echo import Echo
from testtime.models.pocket.backend import PocketModel
from testtime.models.scripted import Scripted
from testtime.serve.server import running

openai = pytest.importorskip("openai", reason="the openai package is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

MESSAGES = [{"role": "user", "content": "Tom has 3 apples. He buys 4 more apples. How many apples does Tom have?"}]
PARAMS = {"max_tokens": 60, "temperature": 0.8}


def direct(model: PocketModel, **how: Any) -> Generation:
    asked = {"messages": MESSAGES, "params": PARAMS} | how
    return asyncio.run(model.generate(Request(**asked)))


def chat(client: Any, **how: Any) -> Any:
    return client.chat.completions.create(**{"model": "pocket-m", "messages": MESSAGES, **PARAMS, **how})


def post(url: str, body: Any) -> Any:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(asked) as reply:
        return json.load(reply)


def test_choices_are_the_models_own_and_child_i_is_seeded_seed_plus_i(client: Any, pocket: PocketModel) -> None:
    said = chat(client, n=5, seed=11, extra_body={"return_token_ids": True})
    own = direct(pocket, n=5, seed=11)
    assert [c.message.content for c in said.choices] == [c.text for c in own.completions]
    assert [c.token_ids for c in said.choices] == [list(c.token_ids or ()) for c in own.completions]
    assert [c.index for c in said.choices] == [0, 1, 2, 3, 4]
    alone = [chat(client, seed=11 + child).choices[0].message.content for child in range(5)]
    assert alone == [c.message.content for c in said.choices]
    assert said.prompt_token_ids == list(pocket.ids(Request(MESSAGES)))


def test_usage_counts_the_prompt_once_a_request_and_every_token_written(client: Any, pocket: PocketModel) -> None:
    usage, own = chat(client, n=4, seed=2).usage, direct(pocket, n=4, seed=2).spend
    assert (usage.prompt_tokens, usage.completion_tokens) == (own.prompt, own.completion)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens_details.reasoning_tokens == own.reasoning
    assert usage.prompt_tokens_details.cached_tokens <= usage.prompt_tokens


def test_each_way_to_end_is_named(client: Any) -> None:
    said = chat(client, n=40, seed=0, max_tokens=45)
    assert {c.finish_reason for c in said.choices} == {"stop", "length"}


def test_log_probabilities_are_those_of_the_drawn_token_and_the_best(client: Any, pocket: PocketModel) -> None:
    said = chat(client, seed=3, logprobs=True, top_logprobs=4).choices[0]
    (own,) = direct(pocket, seed=3, params=PARAMS | {"logprobs": 4}).completions
    assert "".join(token.token for token in said.logprobs.content) == said.message.content
    for token, law in zip(said.logprobs.content, own.logprobs or (), strict=True):
        drawn = next(iter(law))
        assert (token.token, token.logprob) == (drawn, pytest.approx(law[drawn]))
        best = sorted(law.values(), reverse=True)[:4]
        assert [top.logprob for top in token.top_logprobs] == pytest.approx(best)
    assert chat(client, seed=3).choices[0].logprobs is None
    assert chat(client, seed=3, logprobs=True).choices[0].logprobs.content[0].top_logprobs == []


def test_a_stream_says_what_a_whole_reply_says(client: Any) -> None:
    how = {"n": 2, "seed": 5, "logprobs": True, "top_logprobs": 2}
    whole = chat(client, **how)
    texts, ends, laws = ["", ""], [None, None], [[], []]
    for chunk in (stream := list(chat(client, stream=True, stream_options={"include_usage": True}, **how))):
        for one in chunk.choices:
            texts[one.index] += one.delta.content or ""
            ends[one.index] = one.finish_reason or ends[one.index]
            laws[one.index] += one.logprobs.content if one.logprobs else []
    assert texts == [c.message.content for c in whole.choices]
    assert ends == [c.finish_reason for c in whole.choices]
    assert laws == [c.logprobs.content for c in whole.choices]
    assert stream[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert max(len(one.delta.content or "") for c in stream for one in c.choices) < 40


def test_going_on_from_the_assistants_text_equals_never_having_stopped(client: Any, pocket: PocketModel) -> None:
    whole = chat(client, seed=8).choices[0].message.content
    ids = direct(pocket, seed=8).completions[0].token_ids or ()
    begun = "".join(pocket.pieces(ids[:9]))
    go_on = {"continue_final_message": True, "add_generation_prompt": False}
    said = [*MESSAGES, {"role": "assistant", "content": begun}]
    rest = chat(client, messages=said, seed=8, max_tokens=60 - 9, extra_body=go_on)
    assert begun + rest.choices[0].message.content == whole


def test_a_raw_prompt_is_what_the_chat_template_makes(client: Any, pocket: PocketModel, url: str) -> None:
    root = url.removesuffix("/v1")
    tokens = post(f"{root}/tokenize", {"model": "pocket-m", "messages": MESSAGES})
    assert tokens["tokens"] == list(pocket.ids(Request(MESSAGES)))
    assert (tokens["count"], tokens["max_model_len"]) == (len(tokens["tokens"]), pocket.context)
    prompt = post(f"{root}/detokenize", {"tokens": tokens["tokens"]})["prompt"]
    assert post(f"{root}/tokenize", {"prompt": prompt})["tokens"] == tokens["tokens"]
    chatted = chat(client, seed=4).choices[0].message.content
    for raw in (prompt, tokens["tokens"]):
        said = client.completions.create(model="pocket-m", prompt=raw, seed=4, **PARAMS)
        assert said.choices[0].text == chatted
    several = client.completions.create(model="pocket-m", prompt=[prompt, prompt], n=2, seed=4, **PARAMS)
    assert [c.text for c in several.choices[:2]] == [c.text for c in several.choices[2:]]
    assert [c.index for c in several.choices] == [0, 1, 2, 3]
    assert several.usage.prompt_tokens == 2 * len(tokens["tokens"])


@pytest.mark.parametrize("most", [0, 3])
def test_an_echoed_prompt_has_the_scores_of_teacher_forcing(pocket: PocketModel, url: str, most: int) -> None:
    ids = pocket.ids(Request(MESSAGES))
    # the wire's first token has no probability (null), which the strict client's types do not know
    body = {"model": "pocket-m", "prompt": ids, "echo": True, "max_tokens": 0, "logprobs": most}
    said = post(f"{url}/completions", body)["choices"][0]
    (own,) = asyncio.run(pocket.score(Request((), ids[:1]), [ids[1:]]))
    assert said["logprobs"]["token_logprobs"][0] is None
    assert said["logprobs"]["token_logprobs"][1:] == pytest.approx(list(own))
    assert said["text"] == "".join(said["logprobs"]["tokens"]) == "".join(pocket.pieces(ids))
    tops = said["logprobs"]["top_logprobs"][1:]
    assert all(max(1, most) <= len(top) <= most + 1 for top in tops)
    offsets = said["logprobs"]["text_offset"]
    assert [said["text"][at:].startswith(token) for at, token in zip(offsets, said["logprobs"]["tokens"], strict=True)]
    more = post(f"{url}/completions", body | {"max_tokens": 5, "seed": 1})["choices"][0]
    assert more["logprobs"]["token_logprobs"][: len(ids)] == said["logprobs"]["token_logprobs"]
    assert more["text"].startswith(said["text"])


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "an unknown model": ({"model": "gpt-9"}, 404, "'gpt-9' does not exist"),
    "no choices": ({"n": 0}, 400, "n: .*greater than or equal to 1"),
    "a text for a number": ({"seed": "7"}, 400, "seed"),
    "an unknown field": ({"extra_body": {"best_friend": 1}}, 400, "best_friend"),
    "a penalty": ({"presence_penalty": 1.0}, 400, "presence_penalty"),
    "a biased token": ({"logit_bias": {"5": 1}}, 400, "logit_bias"),
    "a schema": ({"response_format": {"type": "json_object"}}, 400, "response_format"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "pocket models have no tools"),
    "alternatives without logprobs": ({"top_logprobs": 3}, 400, "needs logprobs"),
    "too hot": ({"temperature": 1000}, 400, "temperature must be"),
    "a long prompt": ({"messages": [{"role": "user", "content": "7 " * 2000}]}, 400, "more than the context"),
    "a picture": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "only text"),
    "no message": ({"messages": []}, 400, "messages"),
    "going on from the user": ({"extra_body": {"continue_final_message": True}}, 400, "must be the assistant's"),
    "no opening": ({"extra_body": {"add_generation_prompt": False}}, 400, "continue_final_message"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_honoured_is_an_error_of_the_apis_form(client: Any, what: str) -> None:
    how, status, said = BAD[what]
    with pytest.raises(openai.APIStatusError, match=said) as caught:
        chat(client, **how)
    assert caught.value.status_code == status
    assert caught.value.type == "invalid_request_error"


def test_a_body_that_is_no_json_and_a_path_that_is_not_there_are_errors_too(client: Any, url: str) -> None:
    for path, body, status in [("/chat/completions", b"{", 400), ("/embeddings", b"{}", 404)]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url + path, body))
        with caught.value as reply:
            assert reply.code == status
            assert json.load(reply)["error"]["type"] == "invalid_request_error"


def test_the_models_are_listed(client: Any, pocket: PocketModel) -> None:
    assert [one.id for one in client.models.list().data] == ["pocket-m"]
    assert client.models.retrieve("pocket-m").max_model_len == pocket.context
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_many_clients_at_once_get_what_each_would_get_alone(url: str, pocket: PocketModel) -> None:
    own = [c.text for c in direct(pocket, n=200, seed=500).completions]
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client, ThreadPoolExecutor(64) as pool:
        said = list(pool.map(lambda at: chat(client, seed=500 + at).choices[0].message.content, range(200)))
    assert said == own


def test_a_client_that_goes_away_cancels_its_request(pocket: PocketModel, url: str) -> None:
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=0.05)
    with client, pytest.raises(openai.APITimeoutError):
        chat(client, n=2_000, temperature=2.0, max_tokens=900, seed=1)
    for _ in range(400):
        if not any(lane.load for lane in pocket._lanes):
            return
        time.sleep(0.05)
    pytest.fail("the model still writes for nobody")


def test_refusals_filters_and_tool_calls_have_their_own_words() -> None:
    call = {"id": "c1", "name": "add", "arguments": {"a": 1}}
    script = {
        "refuse": Completion("I will not", "refusal", 3),
        "filter": Completion("", "filter", 0),
        "call": Completion("", "tools", 2, tool_calls=[call]),
        "fail": ModelError("out of memory"),
        "busy": ModelError("come back", retry=True),
    }
    model = Scripted(lambda request, _: script[str(request.messages[0]["content"])])
    with running(model) as url, openai.OpenAI(
        base_url=url, api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:  # fmt: skip

        def ask(word: str, **how: Any) -> Any:
            return client.chat.completions.create(model="1", messages=[{"role": "user", "content": word}], **how)

        said = ask("refuse").choices[0]
        assert (said.message.refusal, said.message.content, said.finish_reason) == ("I will not", None, "stop")
        assert ask("filter").choices[0].finish_reason == "content_filter"
        said = ask("call").choices[0]
        assert (said.finish_reason, said.message.tool_calls[0].function.arguments) == ("tool_calls", '{"a":1}')
        streamed = list(ask("call", stream=True))
        assert streamed[0].choices[0].delta.tool_calls[0].function.name == "add"
        for word, status in {"fail": 500, "busy": 503}.items():
            with pytest.raises(openai.InternalServerError) as caught:
                ask(word)
            assert caught.value.status_code == status


def test_a_model_without_tokens_says_so_where_they_are_asked_for() -> None:
    with running(Echo("1"), name="parrot") as url:
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            said = client.chat.completions.create(model="parrot", messages=[{"role": "user", "content": "hi you"}])
            assert said.choices[0].message.content == "hi you"
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(f"{url.removesuffix('/v1')}/tokenize", {"prompt": "hi"})
        with caught.value as reply:
            assert "does not show its tokens" in json.load(reply)["error"]["message"]


def test_a_port_that_is_taken_is_one_line_and_a_stopped_server_frees_it() -> None:
    before = threading.active_count()
    with running(Echo("1")) as url:
        port = int(url.split(":")[2].partition("/")[0])
        taken = pytest.raises(BadInput, match=f"cannot listen on 127.0.0.1:{port} .*give another --port")
        with taken, running(Echo("1"), port=port):
            pass
    with running(Echo("1"), port=port) as again:
        assert again == url
    with pytest.raises(BadInput, match="70000 is no port"), running(Echo("1"), port=70000):
        pass
    assert threading.active_count() <= before
