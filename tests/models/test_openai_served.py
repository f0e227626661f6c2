"""A model over HTTP is the model itself: through `testtime serve` and the official client, every completion, token id,
log-probability and score of pocket-m is what it is without them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from testtime.core.errors import ModelError
from testtime.core.records import Generation, Request
from testtime.models.naming import open_model
from testtime.models.pocket.backend import PocketModel
from testtime.serve.server import running

pytest.importorskip("openai", reason="the openai package is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

ASK = [{"role": "user", "content": "How many days are in 3 weeks and 2 days?"}]
PARAMS = {"max_tokens": 50, "temperature": 0.8, "top_p": 0.95}


@pytest.fixture(scope="module")
def pocket() -> PocketModel:
    return PocketModel("pocket-m")


@pytest.fixture(scope="module")
def url(pocket: PocketModel) -> Iterator[str]:
    with running(pocket) as address:
        yield address


def both(pocket: PocketModel, far: Any, work: Any) -> tuple[Any, Any]:
    async def go() -> tuple[Any, Any]:
        try:
            return await work(pocket), await work(far)
        finally:
            await far.close()

    return asyncio.run(go())


REQUESTS = {
    "plain": Request(ASK, seed=1, params=PARAMS),
    "greedy": Request(ASK, seed=1, params={"max_tokens": 200, "temperature": 0}),
    "many": Request(ASK, n=20, seed=3, params=PARAMS),
    "logprobs": Request(ASK, n=3, seed=4, params=PARAMS | {"logprobs": 3, "top_k": 9}),
    "stopped": Request(ASK, n=8, seed=5, params=PARAMS | {"stop": ["=", "\n"]}),
    "continued": Request(ASK, "<think>\nMay:", n=3, seed=6, params=PARAMS),
    "continued from ids": Request(ASK, (6, 11), n=3, seed=7, params=PARAMS | {"logprobs": 0}),
    "raw": Request((), "<|user|>2 + 3?<|assistant|>", n=2, seed=8, params=PARAMS),
    "raw ids": Request((), (4, 26, 5), n=2, seed=9, params=PARAMS),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_what_comes_over_the_wire_is_what_the_model_says(pocket: PocketModel, url: str, what: str) -> None:
    request = REQUESTS[what]
    here, there = both(pocket, open_model("vllm:pocket-m", {"base_url": url}), lambda one: one.generate(request))
    assert there.completions == here.completions
    assert (there.spend.prompt, there.spend.completion) == (here.spend.prompt, here.spend.completion)
    assert there.spend.reasoning == here.spend.reasoning


def test_as_a_stream_and_by_continue_final_message_too(pocket: PocketModel, url: str) -> None:
    streamed = open_model("vllm:pocket-m", {"base_url": url, "stream": True})
    here, there = both(pocket, streamed, lambda one: one.generate(Request(ASK, n=3, seed=4, params=PARAMS)))
    assert [(c.text, c.finish) for c in there.completions] == [(c.text, c.finish) for c in here.completions]
    assert there.spend.completion == here.spend.completion
    chatted = open_model("sglang:pocket-m", {"base_url": url})
    greedy = Request(ASK, "<think>\nMay:", params={"max_tokens": 60, "temperature": 0})
    here, there = both(pocket, chatted, lambda one: one.generate(greedy))
    assert there.completions[0].text == here.completions[0].text


def test_scores_are_teacher_forcing_of_the_very_text(pocket: PocketModel, url: str) -> None:
    texts = ["\nMay:002", "\nJune", "", (11, 24, 25), *(f"{value:03d}" for value in range(0, 1000, 25))]
    far = open_model("vllm:pocket-m", {"base_url": url})
    request = Request(ASK, prefix="<think>")
    here, there = both(pocket, far, lambda one: one.score(request, texts))
    for own, told in zip(here, there, strict=True):
        np.testing.assert_allclose(told, own, atol=1e-12)

    async def whole(one: Any) -> Any:
        with pytest.raises(ModelError, match="cannot score whole laws"):
            await far.score(request, texts, full=True)

    both(pocket, far, whole)


def test_one_model_serves_several_event_loops(url: str) -> None:
    far: Any = open_model("vllm:pocket-m", {"base_url": url})

    async def go() -> Generation:
        try:
            return await far.generate(REQUESTS["plain"])
        finally:
            await far.close()

    texts = {asyncio.run(go()).completions[0].text for _ in range(3)}
    assert len(texts) == 1


def test_a_refusal_of_the_server_is_an_error_for_good(url: str) -> None:
    far: Any = open_model("vllm:other", {"base_url": url})

    async def go() -> None:
        try:
            await far.generate(REQUESTS["plain"])
        finally:
            await far.close()

    with pytest.raises(ModelError, match=r"404: .*'other' does not exist; 'pocket-m' is served") as caught:
        asyncio.run(go())
    assert not caught.value.retry


def test_text_completions_have_the_chat_template_too(pocket: PocketModel, url: str) -> None:
    """`--api completions` on a conversation: the same greedy text as by chat, with and without a text to go on from."""
    far = open_model("vllm:pocket-m", {"base_url": url, "api": "completions"})
    for request in (
        Request(ASK, params={"max_tokens": 200, "temperature": 0}),
        Request(ASK, "<think>\nMay:", params={"max_tokens": 80, "temperature": 0}),
    ):
        near, over = both(pocket, far, lambda model, request=request: model.generate(request))
        assert near.completions[0].text == over.completions[0].text
        assert near.spend.prompt == over.spend.prompt
