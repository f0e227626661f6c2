"""Proves the curve of risk and coverage: by brute force over orders of ties, at its ends, and on recorded answers."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime import advice
from testtime.analysis.selective import risks, selective
from testtime.core.errors import BadInput

CELL = st.tuples(st.booleans(), st.integers(0, 3))


@given(st.lists(CELL, min_size=1, max_size=6))
def test_risk_is_the_mean_over_all_orders_of_equal_certainty(cells):
    wrong, sure = (np.array(column, dtype=float) for column in zip(*cells, strict=True))
    runs = []
    for order in permutations(range(len(cells))):
        if all(sure[one] >= sure[other] for one, other in pairwise(order)):
            runs.append(np.cumsum(wrong[list(order)]) / np.arange(1, len(cells) + 1))
    np.testing.assert_allclose(risks(wrong, sure), np.mean(runs, axis=0), atol=1e-12)


@given(st.lists(CELL, min_size=1, max_size=6), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_weight_is_so_many_copies(cells, copies):
    wrong, sure = (np.array(column, dtype=float) for column in zip(*cells, strict=True))
    weight = np.array(copies[: len(cells)], dtype=float)
    if weight.sum():
        at = np.repeat(np.arange(len(cells)), copies[: len(cells)])
        np.testing.assert_allclose(risks(wrong, sure, weight), risks(wrong[at], sure[at]))


def test_the_best_ranking_none_and_the_worst(make_outcomes):
    right = [1.0] * 8 + [0.0] * 2
    best = selective(make_outcomes(right, e_value=[9.0] * 8 + [1.0] * 2, certified=[1.0] * 8 + [0.0] * 2))
    assert (best.aurc, best.excess, best.certified, best.false) == (pytest.approx(best.best), pytest.approx(0), 8, 0)
    none = selective(make_outcomes(right, e_value=[1.0] * 10, certified=[0.0] * 10))
    assert (none.aurc, none.excess, none.error) == (pytest.approx(0.2), pytest.approx(1), pytest.approx(0.2))
    worst = selective(make_outcomes(right, e_value=[1.0] * 8 + [9.0] * 2, certified=[1.0] * 10))
    assert worst.aurc > none.aurc
    assert worst.false == 2
    assert best.at(0.8) == 0
    assert best.interval[0] <= best.aurc <= best.interval[1]


def test_a_policy_that_is_not_sure_of_anything_is_refused(make_outcomes):
    with pytest.raises(BadInput, match="does not say how sure"):
        selective(make_outcomes([1.0, 0.0], e_value=[None, None], certified=[None, None]))


def test_a_pool_too_small_for_the_policy_is_said_to_be_so(make_outcomes):
    short = make_outcomes([None, None]).with_columns(exhausted=pl.lit(1.0), e_value=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(BadInput, match="would need more draws than the pool has; lower its max_n"):
        selective(short)


def test_certainty_of_recorded_answers_ranks_them(tmp_path):
    """Two kinds of problems: unanimous and right, split and wrong half the time."""
    rng = np.random.default_rng(3)
    path = tmp_path / "answers.jsonl"
    lines = []
    for at in range(60):
        easy = at % 2 == 0
        answers = ["1"] * 12 if easy else rng.choice(["1", "2", "3"], 12).tolist()
        lines.append(f'{{"id": {at}, "gold": "1", "answers": {str(answers).replace(chr(39), chr(34))}}}')
    path.write_text("\n".join(lines) + "\n")
    ((run, found),) = advice.risk("certified:max_n=12", path)
    assert run == "answers"
    assert found.at(0.5) == 0
    assert found.excess < 0.7
    assert found.false == 0 < found.certified
