"""Proves that draws follow the law that temperature, top-k and top-p define, and depend on (seed, position) alone.

Significance is fixed at 1e-6 over all tests of this file: a wrong law fails, chance does not.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from testtime.models.pocket.sampling import Settings, choose, law, log_law, uniforms

ALPHA = 1e-6


def how(rows: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0) -> Settings:
    seeds = np.arange(seed, seed + rows).astype(np.uint64)
    return Settings(
        seeds, np.full(rows, temperature, np.float32), np.full(rows, top_k), np.full(rows, top_p, np.float32)
    )


def test_uniforms_are_uniform_and_independent_over_seeds_and_positions() -> None:
    seeds, places = np.meshgrid(np.arange(300).astype(np.uint64), np.arange(300))
    u = uniforms(seeds.ravel(), places.ravel()).reshape(300, 300)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=100, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > ALPHA
    for one, other in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u[1:, 1:], u[:-1, :-1]), (u[1:, :-1], u[:-1, 1:])):
        pairs = np.histogram2d(one.ravel(), other.ravel(), bins=16, range=((0, 1), (0, 1)))[0]
        assert stats.chisquare(pairs.ravel()).pvalue > ALPHA


def _mixed(x: int) -> int:
    """The finaliser of SplitMix64, in Python integers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**20))
def test_uniforms_are_the_hash_they_say(seed: int, position: int) -> None:
    golden = 0x9E3779B97F4A7C15
    wanted = _mixed((_mixed((seed * golden + golden) % 2**64) + position * golden) % 2**64) >> 32
    assert uniforms(np.array([seed], np.uint64), np.array([position]))[0] == wanted / 2**32


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(1, 0, 1), (0.8, 0, 0.9), (2, 7, 1), (0.5, 30, 0.99)])
def test_draws_follow_the_law(temperature: float, top_k: int, top_p: float) -> None:
    draws = 40_000
    logits = (np.random.default_rng(5).standard_normal(50) * 2).astype(np.float32)
    every = np.tile(logits, (draws, 1))
    chosen = choose(every, how(draws, temperature, top_k, top_p, seed=17), np.full(draws, 3))
    wanted = _law(logits.astype(float), temperature, top_k, top_p)
    assert not set(chosen) - set(np.flatnonzero(wanted))
    seen, expected = np.bincount(chosen, minlength=50), wanted * draws
    rare = expected < 10
    seen, expected = np.append(seen[~rare], seen[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    filled = expected > 0
    assert stats.chisquare(seen[filled], expected[filled]).pvalue > ALPHA


def _law(logits: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """By the definition, in float64, where no two tokens are level."""
    p = np.exp(logits / temperature - (logits / temperature).max())
    order = np.argsort(-p)
    p[order[top_k or len(p) :]] = 0
    p /= p.sum()
    before = np.cumsum(p[order]) - p[order]
    p[order[before >= top_p]] = 0
    p[order[0]] = max(p[order[0]], 1e-300)
    return p / p.sum()


finite = st.floats(-20, 20, width=32)


@settings(max_examples=200, deadline=None)
@given(arrays(np.int64, 12, elements=st.integers(-300, 300), unique=True), st.integers(0, 14), st.floats(0.01, 1))
def test_the_law_is_the_definition(steps: np.ndarray, top_k: int, top_p: float) -> None:
    logits = (steps / 16).astype(np.float32)  # apart enough that rounding makes no two level
    ours = law(logits[None], how(1, 1.0, top_k, top_p))[0].astype(float)
    ours /= ours.sum()
    wanted = _law(logits.astype(float), 1.0, min(top_k, 12), top_p)
    near = np.abs(np.cumsum(np.sort(wanted)[::-1]) - top_p).min() < 1e-5  # where rounding may decide the last token
    if not near:
        np.testing.assert_allclose(ours, wanted, atol=1e-5)


@given(arrays(np.float32, 9, elements=finite))
def test_the_narrowest_cuts_leave_the_most_probable(logits: np.ndarray) -> None:
    best = set(np.flatnonzero(np.exp(logits - logits.max()) == 1))
    for settings_ in (how(1, top_k=1), how(1, top_p=1e-6), how(1, temperature=0)):
        assert set(choose(logits[None], settings_, np.array([0]))) <= best


def test_cuts_beyond_the_vocabulary_cut_nothing() -> None:
    logits = np.random.default_rng(0).standard_normal((1, 9)).astype(np.float32)
    np.testing.assert_array_equal(law(logits, how(1, top_k=50)), law(logits, how(1)))


def test_a_row_draws_alike_whatever_its_company_asks_for() -> None:
    logits = np.random.default_rng(1).standard_normal((6, 40)).astype(np.float32)
    mixed = Settings(
        np.arange(6).astype(np.uint64), np.array([0, 1, 0.7, 1, 0, 2], np.float32), np.array([0, 3, 0, 0, 5, 0]),
        np.array([1, 1, 0.9, 1, 0.5, 1], np.float32),
    )  # fmt: skip
    places = np.array([4, 9, 2, 7, 1, 100])
    together = choose(logits, mixed, places)
    for row in range(6):
        assert choose(logits[row : row + 1], mixed.at(slice(row, row + 1)), places[row : row + 1]) == together[row]


@given(arrays(np.float32, 20, elements=st.floats(-80, 80, width=32)))
def test_log_law_is_a_law(logits: np.ndarray) -> None:
    rows = log_law(logits[None])[0]
    assert np.exp(rows).sum() == pytest.approx(1)
    np.testing.assert_allclose(rows - rows[0], (logits - logits[0]).astype(float), atol=1e-4)
