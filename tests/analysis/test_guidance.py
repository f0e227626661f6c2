"""A grid of guided settings: its table counts every row, equal cost is met exactly, and the promise of the chosen
setting is measured on problems it was not chosen on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.guidance import DIALS, Settings, at_equal_cost, grid_table, recommend, turn
from testtime.analysis.logistic import auc, fit, held_out, ranked
from testtime.core.errors import BadInput


def rows(settings: dict[tuple[str, str, str], tuple[float, list[float | None]]]) -> pl.DataFrame:
    """(c, k, trigger) → (oracle tokens, right by problem; None: a draw that was not parsed)."""
    found: list[dict[str, Any]] = [
        {
            "c": c, "k": k, "trigger": trigger, "query_id": f"q{at}", "correct": right or 0.0,
            "parsed": right is not None, "consultations": 1.0, "oracle_tokens": tokens, "base_tokens": 90.0,
            "flops": None, "usd": 0.0, "seconds": 1.0,
        }
        for (c, k, trigger), (tokens, rights) in settings.items() for at, right in enumerate(rights)
    ]  # fmt: skip
    return pl.DataFrame(found, schema_overrides={"flops": pl.Float64})


TWO = {
    ("0", "0", "never"): (0.0, [0.0, 0.0, 1.0, 0.0]),
    ("1", "9", "random cheat_probability=0.1"): (4.0, [0.0, 0.0, 1.0, 1.0]),
    ("1", "9", "entropy threshold=1"): (8.0, [1.0, 1.0, 1.0, 1.0]),
    ("inf", "inf", "always"): (100.0, [1.0, 1.0, 1.0, 1.0]),
}


def test_unparsed_rows_stay_in_the_denominator() -> None:
    table = grid_table(rows({("1", "1", "random"): (1.0, [1.0, None, None, 0.0])}))
    (row,) = table.iter_rows(named=True)
    assert (row["accuracy"], row["n"], row["parsed"]) == (0.25, 4, 0.5)
    assert (row["parsed_accuracy"], row["parsed_n"]) == (0.5, 2)
    assert row["low"] < 0.25 < row["high"]
    assert row["flops"] is None, "unknown is not zero"


def test_triggers_are_compared_at_exactly_equal_cost() -> None:
    found = at_equal_cost(Settings.of(rows(TWO)), "oracle_tokens", 4.0)
    by = {row["trigger"]: row for row in found.iter_rows(named=True)}
    assert by["random"]["accuracy"] == 0.5
    assert by["entropy"]["accuracy"] == pytest.approx((0.25 + 1.0) / 2), "half way from the base alone"
    assert by["entropy"]["gain"] == pytest.approx(0.125)
    assert by["random"]["gain"] is None
    assert at_equal_cost(Settings.of(rows(TWO)), "oracle_tokens", 500.0).is_empty(), "nobody spends so much"


def test_a_setting_within_the_budget_is_recommended() -> None:
    settings = Settings.of(rows(TWO))
    choice = recommend(settings, 10.0)
    assert choice.name == ("1", "9", "entropy threshold=1")
    assert choice.tokens <= 10
    assert recommend(settings, 0.0).name == ("0", "0", "never")
    with pytest.raises(BadInput, match="the least is 0"):
        recommend(settings, -1.0)


def test_the_choice_among_many_equal_settings_does_not_flatter_itself() -> None:
    """Thirty coins: the best of them looks good on the problems it was chosen on, and is a coin on others."""
    rng, flattered, honest = np.random.default_rng(0), [], []
    for seed in range(30):
        right = (rng.random((30, 40)) < 0.5).astype(float)
        costs = {"oracle_tokens": np.ones((30, 40))}
        settings = Settings([(str(at), "1", "random") for at in range(30)], right, costs, [str(at) for at in range(40)])
        flattered.append(right.mean(axis=1).max())
        honest.append(recommend(settings, 5.0, seed=seed).accuracy)
    assert np.mean(flattered) > 0.62
    assert np.mean(honest) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("trigger", sorted(DIALS))
def test_a_dial_covers_the_scale_and_bisection_finds_a_target(trigger: str) -> None:
    values = [float(DIALS[trigger].value(at / 20)) for at in range(21)]
    rises = values[-1] > values[0]
    assert values == sorted(values, reverse=not rises)
    tried: list[tuple[float, float]] = []
    for _ in range(12):
        at = turn(tried, 30.0)
        tried.append((at, 100 * at**2))
    assert tried[-1][1] == pytest.approx(30, abs=0.2)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.integers(0, 1000))
def test_auc_is_the_share_of_pairs_in_order(values: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).random(len(values)) < 0.5
    scores = np.array(values, dtype=float)
    pairs = [(one > other) + (one == other) / 2 for one in scores[labels] for other in scores[~labels]]
    found = auc(scores, labels)
    assert found == (pytest.approx(np.mean(pairs)) if pairs else None)
    assert ranked(scores).sum() == pytest.approx(len(values) * (len(values) + 1) / 2)


def test_a_logistic_law_is_found_again_and_separable_data_stay_finite() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 2)) * [1.0, 5.0]
    labels = rng.random(4000) < 1 / (1 + np.exp(-(-1 + 2 * features[:, 0] - 0.3 * features[:, 1])))
    assert fit(features, labels) == pytest.approx([-1, 2, -0.3], abs=0.15)
    assert np.isfinite(fit(features, features[:, 0] > 0)).all()


def test_held_out_chances_of_noise_tell_nothing() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(2000, 3)), rng.random(2000) < 0.3
    chances = held_out(features, labels, np.repeat(np.arange(200), 10))
    assert auc(chances, labels) == pytest.approx(0.5, abs=0.04)
