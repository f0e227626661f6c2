"""Proves that the forward pass is a Llama's, and that a row's result is the same to the bit in any company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pocket_tiny as tiny
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.models.pocket import numpy_runtime
from testtime.models.pocket.backend import fastest
from testtime.models.pocket.cache import BLOCK
from testtime.models.pocket.runtime import Maker, Runtime
from testtime.models.pocket.weights import Weights, load

LENGTH = 150
KINDS = {ready.__module__.rpartition(".")[2]: ready for ready in (numpy_runtime.ready, fastest())}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return load(tiny.write(tmp_path_factory.mktemp("model")))


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, weights: Weights) -> Maker:
    return KINDS[request.param](weights)


def _logits(runtime: Runtime, texts: np.ndarray, slots: list[int]) -> np.ndarray:
    """[text, position, vocabulary] of whole texts in one go."""
    count, length = texts.shape
    runtime.cache.reserve(max(slots) + 1)
    states = runtime.forward(texts.ravel(), np.repeat(slots, length), np.tile(np.arange(length), count))
    return runtime.logits(states).reshape(count, length, -1)


def _texts(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, len(tiny.TOKENS), (count, LENGTH))


def test_logits_are_those_of_the_textbook(make: Maker) -> None:
    texts = _texts(3)
    ours = _logits(make(), texts, [0, 1, 2])
    for text, logits in zip(texts, ours, strict=True):
        wanted = tiny.reference(tiny.tensors(), text.tolist())
        np.testing.assert_allclose(logits, wanted, atol=2e-5 * np.abs(wanted).max())


def test_token_by_token_gives_the_bits_of_all_at_once(make: Maker) -> None:
    texts = _texts(5)
    whole = _logits(make(), texts, list(range(5)))
    runtime = make()
    runtime.cache.reserve(5)
    for place in range(LENGTH):
        step = runtime.logits(runtime.forward(texts[:, place].copy(), np.arange(5), np.full(5, place)))
        np.testing.assert_array_equal(step, whole[:, place])


@pytest.mark.parametrize("company", [2, 3, 16, 64])
def test_a_text_has_the_same_bits_in_any_company_and_slot(make: Maker, company: int) -> None:
    texts = _texts(company, seed=company)
    together = _logits(make(), texts, list(range(company))[::-1])
    for index in {0, company // 2, company - 1}:
        alone = _logits(make(), texts[index : index + 1], [0])
        np.testing.assert_array_equal(alone[0], together[index])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_ragged_company_and_a_used_cache_change_no_bit(weights: Weights, data: st.DataObject) -> None:
    for ready in KINDS.values():
        make = ready(weights)
        text = _texts(1)[0]
        alone = make()
        alone.cache.reserve(1)
        wanted = alone.logits(alone.forward(text, np.zeros(LENGTH, int), np.arange(LENGTH)))
        crowded = make()
        _logits(crowded, _texts(4, seed=9), [0, 1, 2, 3])  # leaves keys and values of others behind
        others = data.draw(st.lists(st.integers(0, LENGTH - 1), min_size=3, max_size=3))
        got = []
        for place in range(LENGTH):
            tokens = np.array([7, text[place], 8, 9])
            places = np.array([others[0], place, others[1], others[2]])
            got.append(crowded.logits(crowded.forward(tokens, np.arange(4), places))[1])
        np.testing.assert_array_equal(got, wanted)


def test_copied_saved_and_regrown_caches_go_on_as_if_nothing_had_happened(make: Maker) -> None:
    text, half = _texts(1)[0], BLOCK + 7
    runtime = make()
    runtime.cache.reserve(1)
    runtime.forward(text[:half], np.zeros(half, int), np.arange(half))
    saved = runtime.cache.save(0, half)
    runtime.cache.reserve(4)
    runtime.cache.copy(0, [1, 3], half)
    runtime.cache.restore(2, saved, half)
    rest = np.arange(half, LENGTH)
    ends = [runtime.forward(text[half:], np.full_like(rest, slot), rest) for slot in range(4)]
    fresh = make()
    fresh.cache.reserve(1)
    whole = fresh.forward(text, np.zeros(LENGTH, int), np.arange(LENGTH))[half:]
    for end in ends:
        np.testing.assert_array_equal(end, whole)


def test_more_rows_than_one_pass_holds_are_the_same_rows(make: Maker) -> None:
    texts = _texts(6)
    one_by_one = [_logits(make(), texts[i : i + 1], [0])[0] for i in range(6)]
    np.testing.assert_array_equal(_logits(make(), texts, list(range(6))), one_by_one)


@pytest.mark.parametrize("kind", KINDS)
def test_real_weights_too_where_they_are_shipped(kind: str) -> None:
    from testtime.models.pocket.backend import SHIPPED

    folders = [path.parent for path in Path(SHIPPED).glob("*/model.safetensors")]
    if not folders:
        pytest.skip("no shipped weights in this tree")
    for folder in folders:
        weights = load(folder)
        make = KINDS[kind](weights)
        texts = np.random.default_rng(1).integers(0, weights.config.vocab_size, (9, 90))
        together = _logits(make(), texts, list(range(9)))
        alone = _logits(make(), texts[4:5], [0])
        np.testing.assert_array_equal(alone[0], together[4])
