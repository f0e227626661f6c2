"""Proves that votes choose what counting by hand chooses: ties shared or first seen, unknown scores never winning."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import Refused
from testtime.core.history import Ballot, Cells, Track
from testtime.policies.votes.best import Best
from testtime.policies.votes.majority import Majority
from testtime.policies.votes.weighted import WeightedVote

VOTES = st.lists(st.integers(-1, 3), min_size=1, max_size=9)
NAN = float("nan")


def track(votes: list[int], scores: list[float] | None = None) -> Track:
    columns = {} if scores is None else {"score": np.array([scores])}
    return Cells(np.array([votes], dtype=np.int16), columns).track(len(votes))


def by_answer(ballot: Ballot, votes: list[int]) -> dict[int, float]:
    shares: dict[int, float] = defaultdict(float)
    for draw, weight in zip(ballot.draw, ballot.weight, strict=True):
        shares[votes[draw]] += weight
    return dict(shares)


@given(VOTES)
def test_the_majority_shares_ties(votes: list[int]) -> None:
    counts = Counter(v for v in votes if v >= 0)
    winners = [key for key, c in counts.items() if c == max(counts.values())]
    assert by_answer(Majority().ballot(track(votes)), votes) == pytest.approx(
        {key: 1 / len(winners) for key in winners}
    )


@given(VOTES)
def test_the_majority_takes_the_first_seen(votes: list[int]) -> None:
    counts = Counter(v for v in votes if v >= 0)  # most_common keeps the order of first sight among equals
    expected = {counts.most_common(1)[0][0]: 1.0} if counts else {}
    assert by_answer(Majority("first").ballot(track(votes)), votes) == expected


@given(st.lists(st.tuples(st.integers(-1, 3), st.sampled_from([0.0, 0.5, 1.0, NAN])), min_size=1, max_size=9))
def test_best_is_the_highest_known_score(drawn: list[tuple[int, float]]) -> None:
    votes, scores = [v for v, _ in drawn], [s for _, s in drawn]
    top = max((s for s in scores if s == s), default=None)
    winners = [j for j, s in enumerate(scores) if s == top]
    shared, first = Best("score").ballot(track(votes, scores)), Best("score", "first").ballot(track(votes, scores))
    assert sorted(shared.draw) == winners
    assert list(first.draw) == winners[:1]
    assert shared.weight.sum() == pytest.approx(1.0 if winners else 0.0)


@given(VOTES)
def test_equal_scores_are_the_majority(votes: list[int]) -> None:
    weighted = WeightedVote("score").ballot(track(votes, [0.3] * len(votes)))
    assert by_answer(weighted, votes) == pytest.approx(by_answer(Majority().ballot(track(votes)), votes))


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-20, 20)), min_size=1, max_size=9))
def test_a_hot_softmax_is_the_majority_and_a_cold_one_is_best_of_n(drawn: list[tuple[int, int]]) -> None:
    votes, scores = [v for v, _ in drawn], [s / 10 for _, s in drawn]
    counts = Counter(v for v in votes if v >= 0)
    hot = by_answer(WeightedVote("score", 1e9).ballot(track(votes, scores)), votes)
    assert set(hot) <= {key for key, c in counts.items() if c == max(counts.values())}
    cold = by_answer(WeightedVote("score", 1e-3).ballot(track(votes, scores)), votes)
    top = max(scores)
    if all(v >= 0 for v in votes):
        assert set(cold) <= {v for v, s in zip(votes, scores, strict=True) if s == top}


def test_a_score_weighs_its_answer() -> None:
    votes, scores = [0, 0, 1, 2], [0.2, 0.3, 0.6, NAN]
    assert by_answer(WeightedVote("score").ballot(track(votes, scores)), votes) == {1: 1.0}
    assert by_answer(WeightedVote("score").ballot(track(votes, [NAN] * 4)), votes) == {}


def test_negative_scores_cannot_be_weights() -> None:
    with pytest.raises(Refused, match="temperature=1"):
        WeightedVote("score").ballot(track([0, 1], [-1.0, 2.0]))
