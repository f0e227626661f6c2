"""Proves the backend's promises: a candidate depends on its request and seed alone, going on equals never having
stopped, stops and limits cut where they say, scores are the model's, and what cannot be honoured is one line.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pocket_tiny as tiny
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Completion, Generation, Request
from testtime.models.pocket import numpy_runtime
from testtime.models.pocket.backend import PocketModel, fastest
from testtime.models.pocket.lane import Lane

END, CONTEXT = 2, tiny.SIZES["max_position_embeddings"]
KINDS = {ready.__module__.rpartition(".")[2]: ready for ready in (numpy_runtime.ready, fastest())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("model"), spread=0.35)


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, folder: Path) -> PocketModel:
    return PocketModel("tiny", folder=folder, threads=2, ready=KINDS[request.param])


def ask(
    text: str = "How many apples has Tom?", *, prefix: Any = "", n: int = 1, seed: int = 0, **params: Any
) -> Request:
    params = {"max_tokens": 40, "temperature": 1.0} | params
    return Request([{"role": "user", "content": text}], prefix=prefix, n=n, seed=seed, params=params)


def run(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    async def together() -> list[Any]:
        return await asyncio.gather(*work)

    return asyncio.run(together())


def one(model: PocketModel, request: Request) -> Completion:
    (generation,) = run(model.generate(request))
    return generation.completions[0]


def prompt_ids(model: PocketModel, request: Request) -> list[int]:
    return model.tokenizer.prompt(request.messages)


MIXED = [
    ask("Tom has 3 apples.", seed=1), ask("Tom has 3 apples.", seed=2, temperature=0.5, top_p=0.9),
    ask("How many pears?", seed=3, top_k=5, logprobs=2), ask("gives " * 60, seed=4, max_tokens=9),
    ask("a", seed=5, temperature=0), ask("So is the", seed=6, stop=["apples"], temperature=2.0),
    ask("pears", seed=7, prefix="<think>So"), ask("is 7 a?", seed=8, max_tokens=120),
]  # fmt: skip


@pytest.mark.parametrize("company", [3, 16, 64])
def test_a_candidate_is_the_same_alone_and_in_any_company(model: PocketModel, company: int) -> None:
    alone = [one(model, request) for request in MIXED]
    crowd = [MIXED[index % len(MIXED)] for index in range(company)]
    others = [ask("Tom gives 4", seed=900 + index, max_tokens=1 + index % 7) for index in range(company)]
    together = run(*(model.generate(request) for pair in zip(crowd, others, strict=True) for request in pair))[::2]
    for index, generation in enumerate(together):
        assert generation.completions[0] == alone[index % len(MIXED)]


def test_one_thread_or_three_and_a_cold_start_change_nothing(folder: Path, model: PocketModel) -> None:
    for threads in (1, 3):
        fresh = PocketModel("tiny", folder=folder, threads=threads, ready=model.ready)
        assert [one(fresh, request) for request in MIXED] == [one(model, request) for request in MIXED]


def test_child_i_is_seeded_seed_plus_i_however_many_are_asked_for(model: PocketModel) -> None:
    (many,) = run(model.generate(ask(n=70, seed=5)))
    singles = run(*(model.generate(ask(seed=5 + child)) for child in range(70)))
    assert [c.token_ids for c in many.completions] == [g.completions[0].token_ids for g in singles]
    assert len({c.text for c in many.completions}) > 35


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 59), as_text=st.booleans())
def test_going_on_equals_never_having_stopped(folder: Path, seed: int, cut: int, as_text: bool) -> None:
    model = _shared(folder)
    whole = one(model, ask(seed=seed, max_tokens=60))
    ids = whole.token_ids or ()
    kept = ids[: min(cut, len(ids))]
    prefix = model.tokenizer.decode(kept) if as_text else kept
    if as_text and model.tokenizer.encode_exactly(str(prefix)) != list(kept):
        return  # words joined so that the text reads as other tokens: only ids can say it
    if len(kept) == 60:
        return
    rest = one(model, ask(seed=seed, max_tokens=60 - len(kept), prefix=prefix))
    assert (*kept, *(rest.token_ids or ())) == ids
    assert model.tokenizer.decode(kept) + rest.text == whole.text
    assert rest.finish == whole.finish


_models: dict[Path, PocketModel] = {}


def _shared(folder: Path) -> PocketModel:
    return _models.setdefault(folder, PocketModel("tiny", folder=folder))


def test_a_continuation_reuses_what_was_kept(model: PocketModel) -> None:
    (many,) = run(model.generate(ask("Tom gives Tom 77 apples.", n=40, max_tokens=30)))
    ids = next(c.token_ids or () for c in many.completions if c.finish == "length")
    request = ask("Tom gives Tom 77 apples.", prefix=ids)
    before = model.kept.reused
    (generation,) = run(model.generate(request))
    assert generation.spend.prompt == len(prompt_ids(model, request)) + 30
    assert model.kept.reused - before == generation.spend.prompt - 1


def test_spend_is_the_requests_own_whatever_was_kept_of_others(model: PocketModel) -> None:
    request = ask("Tom has 3 pears.", n=3, seed=4)
    model.kept.clear()
    cold, warm = (run(model.generate(request))[0].spend for _ in range(2))
    crowd = run(*(model.generate(r) for r in (*MIXED, request, ask("Tom has 3 pears.", n=40))))[len(MIXED)].spend
    for spend in (warm, crowd):
        assert replace(spend, seconds=None) == replace(cold, seconds=None)
    assert cold.cached == 0


def test_draws_follow_the_models_own_law(model: PocketModel) -> None:
    draws = 3_000
    (generation,) = run(model.generate(ask(n=draws, max_tokens=2, logprobs=0)))
    (laws,) = run(model.score(ask(), [(0,)], full=True))
    law = np.exp(laws[0][0])
    firsts = [model.tokenizer.ids["<|end|>"] if not c.token_ids else c.token_ids[0] for c in generation.completions]
    seen, expected = np.bincount(firsts, minlength=len(law)), law * draws
    rare = expected < 10
    seen, expected = np.append(seen[~rare], seen[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-6


def _plain_stop(text: str, stops: Sequence[str]) -> str:
    found = [text.find(stop) for stop in stops if stop in text]
    return text[: min(found)] if found else text


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_stop_strings_cut_before_their_first_appearance_also_across_tokens(
    folder: Path, seed: int, data: st.DataObject
) -> None:
    model = _shared(folder)
    whole = one(model, ask(seed=seed))
    if len(whole.text) < 3:
        return
    low = data.draw(st.integers(0, len(whole.text) - 1))
    stop = whole.text[low : low + data.draw(st.integers(1, 12))]
    stops = [stop, "never said"]
    cut = one(model, ask(seed=seed, stop=stops))
    assert cut.text == _plain_stop(whole.text, [stop])
    assert cut.finish == "stop"
    ids = cut.token_ids or ()
    assert ids == (whole.token_ids or ())[: len(ids)]
    assert cut.text.startswith(model.tokenizer.decode(ids))
    assert len(ids) < (cut.tokens or 0) <= (whole.tokens or 0)


def test_each_way_to_end_is_named(model: PocketModel) -> None:
    (many,) = run(model.generate(ask(n=60, max_tokens=25)))
    assert {c.finish for c in many.completions} == {"stop", "length"}
    for c in many.completions:
        ended = c.finish == "stop"
        assert c.tokens == len(c.token_ids or ()) + ended
        assert (c.tokens == 25) or ended
        assert END not in (c.token_ids or ())
        assert c.text == model.tokenizer.decode(c.token_ids or ())
    assert many.spend.completion == sum(c.tokens or 0 for c in many.completions)


def test_the_end_of_the_context_is_a_limit(model: PocketModel) -> None:
    long = ask("a" + " a" * 200, temperature=2.0, max_tokens=None)
    (many,) = run(model.generate(Request(long.messages, n=20, seed=1, params={"temperature": 2.0})))
    room = CONTEXT - len(prompt_ids(model, long))
    assert max(c.tokens or 0 for c in many.completions) <= room
    assert all(c.tokens == room for c in many.completions if c.finish == "length")


def test_logprobs_are_the_models_own_of_the_drawn_and_the_best_tokens(model: PocketModel) -> None:
    request = ask(seed=3, temperature=0.6, top_p=0.8, logprobs=4)
    drawn = one(model, request)
    ids = drawn.token_ids or ()
    (laws,) = run(model.score(request, [ids], full=True))
    assert drawn.logprobs is not None
    assert len(drawn.logprobs) == len(ids)
    for token, named, law in zip(ids, drawn.logprobs, laws[0], strict=True):
        best = {model.tokenizer.tokens[index] for index in np.argsort(-law)[:4]}
        assert set(named) == best | {model.tokenizer.tokens[token]}
        assert next(iter(named)) == model.tokenizer.tokens[token]
        assert all(value == pytest.approx(law[model.tokenizer.ids[name]]) for name, value in named.items())


def _brute(model: PocketModel, folder: Path, request: Request, text: tuple[int, ...]) -> np.ndarray:
    start = [*prompt_ids(model, request), *model.tokenizer.encode_exactly(str(request.prefix))]
    logits = tiny.reference(tiny.tensors(spread=0.35), [*start, *text])[len(start) - 1 : len(start) + len(text) - 1]
    return (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), max_size=6).map(tuple), min_size=1, max_size=12))
def test_scores_are_brute_force_whatever_the_texts_share(folder: Path, texts: list[tuple[int, ...]]) -> None:
    model, request = _shared(folder), ask(prefix="<think>So")
    scores, laws = run(model.score(request, texts), model.score(request, texts, full=True))
    for text, score, law in zip(texts, scores, laws, strict=True):
        wanted = _brute(model, folder, request, text)
        np.testing.assert_allclose(law, wanted, atol=2e-4)
        np.testing.assert_allclose(score, wanted[np.arange(len(text)), list(text)], atol=2e-4)


def test_a_solution_set_is_scored_like_its_members_and_sums_to_their_mass(model: PocketModel) -> None:
    answers = [f"{value:03d}" for value in range(1000)]
    (scores,) = run(model.score(ask(prefix="\\boxed{"), answers))
    singles = run(*(model.score(ask(prefix="\\boxed{"), [answer]) for answer in answers[::97]))
    for whole, single in zip(scores[::97], singles, strict=True):
        np.testing.assert_array_equal(whole, single[0])
    mass = sum(np.exp(score.sum()) for score in scores)
    (laws,) = run(model.score(ask(prefix="\\boxed{"), ["0"], full=True))
    digits = [model.tokenizer.ids[digit] for digit in "0123456789"]
    assert 0 < mass < np.exp(laws[0][0][digits]).sum()


def test_states_are_those_of_the_textbook_law_and_bounded(model: PocketModel, folder: Path) -> None:
    ids = tuple(model.tokenizer.encode_exactly("So Tom has 7 apples. How many pears is 7?"))
    request = ask(prefix=ids)
    (found,) = run(model.states(request, range(len(ids) + 1)))
    (laws,) = run(model.score(ask(), [(*ids, END)], full=True))
    p = np.exp(laws[0])
    entropy = -(p * np.log2(p)).sum(1)
    np.testing.assert_allclose(found["entropy"], entropy, atol=1e-6)
    np.testing.assert_allclose(found["varentropy"], (p * (np.log2(p) + entropy[:, None]) ** 2).sum(1), atol=1e-6)
    np.testing.assert_allclose(found["top_prob"], p.max(1), atol=1e-6)
    lengths = len(prompt_ids(model, request)) + np.arange(len(ids) + 1)
    assert (found["attn_entropy"] <= np.log2(lengths)).all()
    for name in ("attn_entropy", "attn_varentropy", "agreement", "interaction_strength"):
        assert (found[name] > 0).all()


BAD = {
    "tools": (ask(tools=[]), "no tools"),
    "no completions": (ask(n=0), "n must be"),
    "a negative temperature": (ask(temperature=-1), "temperature"),
    "top_p of nothing": (ask(top_p=0), "top_p"),
    "half a token": (ask(max_tokens=1.5), "max_tokens"),
    "an empty stop": (ask(stop=[""]), "stop"),
    "a prompt beyond the context": (ask("a" + " a" * 300), f"more than the context of {CONTEXT}"),
    "an unknown token id": (ask(prefix=(3, 999)), "unknown token id 999"),
    "an unknown token": (ask(prefix="So zebra"), "unknown token ' zebra'"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_honoured_is_one_line_before_and_at_the_call(model: PocketModel, what: str) -> None:
    request, named = BAD[what]
    why = model.refuses(request)
    assert why is not None
    assert named in why
    assert "\n" not in why
    with pytest.raises(ModelError, match=re.escape(why)):
        run(model.generate(request))


def test_the_good_is_not_refused_and_an_unknown_model_names_those_there(model: PocketModel) -> None:
    assert [model.refuses(request) for request in MIXED] == [None] * len(MIXED)
    with pytest.raises(BadInput, match="unknown pocket model 'pocket-z'"):
        PocketModel("pocket-z")
    with pytest.raises(ModelError, match="position 9 is outside"):
        run(model.states(ask(prefix="So"), [9]))


def test_a_tokenizer_of_another_size_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path)
    table = tiny.tokenizer()
    table["model"]["vocab"]["zebra"] = len(tiny.TOKENS)
    (folder / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(BadInput, match=f"has {len(tiny.TOKENS) + 1} tokens, the model {len(tiny.TOKENS)}"):
        PocketModel("tiny", folder=folder)


def test_a_cancelled_request_frees_its_rows_between_tokens_and_harms_no_neighbour(model: PocketModel) -> None:
    async def race() -> Generation:
        endless = [asyncio.create_task(model.generate(ask(n=200, seed=50 * i, max_tokens=200))) for i in range(4)]
        await asyncio.sleep(0.01)
        neighbour = asyncio.create_task(model.generate(MIXED[0]))
        await asyncio.sleep(0)
        for task in endless:
            task.cancel()
        await asyncio.gather(*endless, return_exceptions=True)
        return await neighbour

    assert asyncio.run(race()).completions[0] == one(model, MIXED[0])
    for thread in threading.enumerate():
        if thread.name == "pocket":
            thread.join(10)
    assert [lane.load for lane in model._lanes] == [0, 0]


def test_a_lane_that_dies_tells_everyone_and_the_next_request_finds_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PocketModel("tiny", folder=folder, threads=1)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with monkeypatch.context() as broken:
        broken.setattr(Lane, "_step", _no_memory)
        with pytest.raises(MemoryError):
            run(model.generate(ask()), model.generate(ask(n=50)), model.score(ask(), ["So"]))
    assert one(model, MIXED[0]) == one(_shared(folder), MIXED[0])


def _no_memory(_: Lane) -> None:
    raise MemoryError


def test_spend_counts_every_token_and_shares_the_work_of_the_threads(model: PocketModel) -> None:
    requests = [ask(seed=31 * i, n=3) for i in range(6)]
    generations = run(*(model.generate(request) for request in requests))
    for request, generation in zip(requests, generations, strict=True):
        spend = generation.spend
        assert spend.prompt == len(prompt_ids(model, request))
        assert spend.completion == sum(c.tokens or 0 for c in generation.completions)
        assert spend.seconds is not None
        assert spend.seconds > 0
        assert (spend.usd, spend.joules) == (None, None)


def test_thinking_is_counted_up_to_its_end(model: PocketModel) -> None:
    think, end = model.tokenizer.ids["<think>"], model.tokenizer.ids["</think>"]
    assert model._thinking((), [think, 20, end, 21]) == 3
    assert model._thinking((think, 20), [21, end, 22]) == 2
    assert model._thinking((think,), [21, 22]) == 2
    assert model._thinking((think, 20, end), [21, 22]) == 0
    assert model._thinking((), [21, 22]) == 0
