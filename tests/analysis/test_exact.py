"""Proves that the exact law equals playing the rule on every order of a small pool, and agrees with simulation."""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.analysis.estimators import key_rightness, maj_at_k
from testtime.analysis.exact import law, laws
from testtime.analysis.lattice import count_states, lattice
from testtime.core.history import Cells, Tally
from testtime.core.seeds import rng_of
from testtime.store.pool import codes_of


@dataclass(frozen=True)
class Rule:
    """A stopping rule of each kind the policies have, on the least number of draws `low`."""

    kind: str = "lead"
    most: int | None = None
    low: int = 2

    @property
    def reads(self):
        return (
            frozenset({"n"})
            | {
                "lead": {"v1", "v2"},
                "share": {"v1"},
                "beta": {"v1", "v2"},
                "entropy": {"voted", "spread", "distinct"},
                "dirichlet": {"top"},
                "tie": {"tied", "voted"},
                "run": {"run"},
                "never": set(),
            }[self.kind]
        )

    def stops(self, tally: Tally):
        done = tally.n >= (np.inf if self.most is None else self.most)
        return done | ((tally.n >= self.low) & getattr(self, f"_{self.kind}")(tally))

    def _lead(self, tally):
        return tally.v1 - tally.v2 >= 2

    def _share(self, tally):
        return tally.v1 >= 0.6 * tally.n

    def _beta(self, tally):
        return 2.0 ** (tally.v1 - 2 * tally.v2) >= 4

    def _entropy(self, tally):
        voted = np.maximum(tally.voted, 1)
        bits = np.log2(voted) - tally.spread / voted
        return bits <= 0.75 * np.log2(np.maximum(tally.distinct, 2)) - 1e-9

    def _dirichlet(self, tally):
        return 2 * tally.top[..., 0] > 2 + tally.top[..., 1:].sum(axis=-1)

    def _tie(self, tally):
        return (tally.tied == 1) & (tally.voted >= 2)

    def _run(self, tally):
        return tally.run >= 2

    def _never(self, tally):
        return np.zeros(np.shape(tally.n), dtype=bool)


KINDS = ("lead", "share", "beta", "entropy", "dirichlet", "tie", "never")


def play(codes, worth, rule):
    """The rule on each order (a row of codes): (correct with ties shared, correct first seen, draws, drawn by code)."""
    cells, width = Cells(codes), codes.shape[1]
    n = np.tile(np.arange(width + 1)[:, None], (1, len(codes)))
    stopped = rule.stops(Tally(lambda name: n if name == "n" else cells.prefix(name)))
    stopped[0] = False
    end = np.where(stopped.any(axis=0), stopped.argmax(axis=0), width)
    every, keys = np.arange(len(codes)), len(worth)
    seen = np.arange(width) < end[:, None]
    drawn = np.stack([((codes == c) & seen).sum(axis=1) for c in [*range(keys), -1]], axis=1)
    top = drawn[:, :-1].max(axis=1, initial=0)
    level = (drawn[:, :-1] == top[:, None]) & (top > 0)[:, None]
    shared = (level * worth).sum(axis=1) / np.maximum(level.sum(axis=1), 1)
    first = codes[every, cells.prefix("leader")[end, every]]
    seen_first = np.where(top > 0, np.append(worth, 0.0)[first], 0.0)
    return shared, seen_first, end, drawn


pools = st.lists(st.tuples(st.integers(-1, 3), st.sampled_from([0.0, 1.0])), min_size=1, max_size=6)


@settings(max_examples=120)
@given(pools, st.sampled_from(KINDS), st.sampled_from([None, 2, 3, 4, 9]))
def test_the_law_is_the_mean_over_every_order(pool, kind, most):
    codes, right = (np.array(column) for column in zip(*pool, strict=True))
    rule = Rule(kind, most)
    orders = np.array(list(itertools.permutations(range(len(pool)))))
    worth = np.zeros(codes.max() + 1 if codes.max() >= 0 else 0)
    worth[codes[codes >= 0]] = key_rightness(codes[None], right[None])[0][codes >= 0]
    shared, first, end, drawn = play(codes[orders], worth, rule)
    found = law(codes, right, rule)
    assert found.correct == pytest.approx(shared.mean(), abs=1e-12)
    assert found.correct == pytest.approx(first.mean(), abs=1e-12)  # ties first seen: the same law
    assert found.draws == pytest.approx(end.mean(), abs=1e-12)
    assert found.drawn == pytest.approx(drawn.mean(axis=0), abs=1e-12)
    assert found.answered == pytest.approx((drawn[:, :-1].sum(axis=1) > 0).mean(), abs=1e-12)
    assert found.lengths == pytest.approx(np.bincount(end, minlength=len(found.lengths)) / len(orders), abs=1e-12)
    assert found.lengths.sum() == pytest.approx(1, abs=1e-12)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-1, 5), st.sampled_from([0.0, 1.0])), min_size=1, max_size=14), st.integers(1, 14)
)
def test_a_rule_that_never_stops_early_is_maj_at_k(pool, most):
    codes, right = (np.array(column) for column in zip(*pool, strict=True))
    k = min(most, len(pool))
    found = law(codes, right, Rule("never", k))
    assert found.correct == pytest.approx(maj_at_k(codes[None], right[None], [k])[0, 0], abs=1e-12)
    assert found.draws == pytest.approx(k)
    assert found.exhausted == 0


def test_a_pool_that_ends_before_the_rule_does_is_exhausted():
    codes, right = np.array([0, 1, 0, 1]), np.array([1.0, 0.0, 1.0, 0.0])
    assert law(codes, right, Rule("never", 9)).exhausted == pytest.approx(1)
    assert law(codes, right, Rule("never", None)).exhausted == pytest.approx(1)
    assert law(codes, right, Rule("never", 4)).exhausted == 0
    assert law(codes, right, Rule("lead", 9)).exhausted == pytest.approx(2 / 3)  # unless its first two agree


def test_there_is_no_law_of_what_reads_the_order_or_has_too_many_states():
    codes, right = np.array([0, 1, 0, 2]), np.ones(4)
    assert law(codes, right, Rule("run")) is None
    assert law(codes, right, object()) is None
    assert law(codes, right, Rule("lead"), most_states=3) is None
    assert law(np.arange(100), np.zeros(100), Rule("lead", 40)) is not None  # a hundred strays are few states


def test_a_key_without_a_verdict_makes_the_chance_unknown_only_if_it_can_win():
    codes, right = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, np.nan])
    assert law(codes, right, Rule("never", 4)).correct == 1.0
    assert np.isnan(law(codes, right, Rule("never", 1)).correct)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=3, unique_by=lambda group: group[0]),
    st.integers(0, 3),
    st.integers(1, 12),
)
def test_states_are_counted_before_they_are_built(groups, abstain, levels):
    levels = min(levels, abstain + sum(c * g for c, g in groups))
    built = lattice(tuple(groups), abstain, levels)
    assert count_states(groups, abstain, levels) == len(built.drawn)
    assert built.levels == levels
    for level, (_, target, chance) in enumerate(built.arcs):
        assert (built.tally.n[target] == level + 1).all()
        states = built.starts[level + 1] - built.starts[level]
        assert chance.sum() == pytest.approx(states)  # from every state the draws sum to one


def test_states_whose_index_is_beyond_64_bits_are_too_many():
    assert count_states([(count, 1) for count in range(4, 80)], 3, 60) == np.inf


def test_draws_beyond_a_problems_own_are_not_there():
    codes, right = np.array([[0, 0, 1, 1], [0, 1, 0, 1]]), np.array([[1.0, 1.0, 0.0, 0.0]] * 2)
    ((short, whole),) = laws(codes, right, [Rule("never", 2)], sizes=np.array([2, 4]))
    assert short.correct == 1.0
    assert whole.correct == pytest.approx(law(codes[1], right[1], Rule("never", 2)).correct)


def test_the_laws_on_a_recorded_pool_agree_with_simulation(data):
    packed = (data / "consol" / "gsm_samples40_first_half.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(packed).split(b"\n") if line][:120]
    codes, _ = codes_of([[None if a is None else str(a) for a in row["answers"]] for row in rows])
    right = np.array([[float(a == row["gold"]) for a in row["answers"]] for row in rows])
    rules = [Rule(kind, 40) for kind in ("lead", "share", "entropy", "dirichlet")]
    for rule, found in zip(rules, laws(codes, right, rules), strict=True):
        gaps, spread = [], []
        for at, one in enumerate(found):
            if one is None or one.states == 41:
                continue  # too many states, or nothing to get wrong
            orders = rng_of(7, rule.kind, at).permuted(np.tile(np.arange(40), (400, 1)), axis=1)
            worth = np.zeros(codes[at].max() + 1)
            worth[codes[at]] = right[at]
            shared, _, end, _ = play(codes[at][orders], worth, rule)
            gaps += [[shared.mean() - one.correct, end.mean() - one.draws]]
            spread += [[shared.var(), end.var()]]
        error = np.sqrt(np.sum(spread, axis=0) / 400) / len(gaps)
        assert len(gaps) > 20
        assert (np.abs(np.mean(gaps, axis=0)) < 5 * error + 1e-12).all()
