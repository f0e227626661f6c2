"""Proves that comparisons are paired: exact tests against scipy, curves by hand, and no noise from shared problems."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testtime.analysis.against import against
from testtime.analysis.compare import holm, paired, sign_test
from testtime.core.errors import BadInput
from testtime.core.seeds import rng_of


def only(table):
    (row,) = table.rows(named=True)
    return row


# ---- paired ----
def test_a_policy_beside_itself_differs_by_nothing_yet_not_with_certainty(make_outcomes):
    row = only(paired(make_outcomes([0.2, 1.0, 0.7] * 10), make_outcomes([0.2, 1.0, 0.7] * 10)))
    assert (row["n"], row["difference"], row["better"], row["worse"]) == (30, 0.0, 0, 0)
    assert row["mde"] is None
    assert row["low"] < 0 < row["high"]
    assert row["gen_tokens_difference"] == row["gen_tokens_low"] == row["gen_tokens_high"] == 0
    assert row["p"] is None


def test_what_all_problems_share_cancels(make_outcomes):
    hard = rng_of(1, "hardness").random(200) * 0.8
    gain = 0.05 + 0.01 * rng_of(2, "gain").random(200)
    row = only(paired(make_outcomes(hard.tolist()), make_outcomes((hard + gain).tolist())))
    assert row["difference"] == pytest.approx(gain.mean())
    assert row["low"] < gain.mean() < row["high"]
    assert row["high"] - row["low"] < 0.003  # unpaired: 0.09
    assert row["mde"] == pytest.approx((1.959964 + 0.841621) * gain.std(ddof=1) / np.sqrt(200), rel=1e-5)


def test_problems_are_matched_by_name_not_by_place_and_only_common_known_ones_count(make_outcomes):
    a = make_outcomes([1.0, 0.0, 1.0, None], query_id=["p", "q", "r", "s"])
    b = make_outcomes([1.0, 1.0, 0.0, 1.0, 1.0], query_id=["q", "r", "p", "s", "t"])
    row = only(paired(a, b))
    assert (row["n"], row["better"], row["worse"]) == (3, 1, 1)
    assert row["accuracy_a"] == row["accuracy_b"] == pytest.approx(2 / 3)


def test_realised_answers_get_mcnemars_exact_test(make_outcomes):
    before, after = [1.0] * 9 + [0.0] * 11, [1.0] * 8 + [0.0] + [1.0] * 7 + [0.0] * 4
    row = only(paired(make_outcomes(before, kind="realised"), make_outcomes(after, kind="realised")))
    assert (row["better"], row["worse"]) == (7, 1)
    assert row["p"] == row["p_holm"] == pytest.approx(stats.binomtest(1, 8).pvalue)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_equals_scipys(better, worse):
    theirs = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_test(better, worse) == pytest.approx(theirs, rel=1e-9)


def test_problems_of_one_source_are_one_sign(make_outcomes):
    """Ten passages of five questions, each answered alike: ten coins, not fifty."""
    clusters = pl.Series("cluster", [str(at // 5) for at in range(50)])
    a, b = (make_outcomes([right] * 50, kind="realised").with_columns(clusters) for right in (0.0, 1.0))
    row = only(paired(a, b))
    assert (row["better"], row["worse"]) == (50, 0)
    assert row["p"] == pytest.approx(2 / 2**10)
    mixed = make_outcomes([1.0, 0.0, 0.0, 1.0, 1.0], kind="realised").with_columns(cluster=pl.Series(list("aaabb")))
    zero = make_outcomes([0.0] * 5, kind="realised").with_columns(cluster=pl.Series(list("aaabb")))
    assert only(paired(zero, mixed))["p"] == pytest.approx(2 / 2**2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_is_step_down_and_never_lowers(ps):
    ours = holm(ps)
    order = np.argsort(ps, kind="stable")
    steps = np.minimum(1, np.maximum.accumulate([ps[at] * (len(ps) - rank) for rank, at in enumerate(order)]))
    assert [ours[at] for at in order] == pytest.approx(steps.tolist())
    assert all(corrected >= p for corrected, p in zip(ours, ps, strict=True))


def test_grids_pair_by_setting_and_one_policy_pairs_with_each_of_several(make_outcomes):
    grid = pl.concat(make_outcomes([0.5, 0.5], setting=f"n={n}", gen_tokens=float(n)) for n in (1, 2, 4))
    other = pl.concat(make_outcomes([1.0, 0.5], setting=f"n={n}", run="S") for n in (4, 2, 8))
    table = paired(grid, other)
    assert table.select("setting_a", "setting_b").rows() == [("n=2", "n=2"), ("n=4", "n=4")]
    assert set(table["run_b"]) == {"S"}
    each = paired(make_outcomes([0.5, 0.5]), other)
    assert each["setting_b"].to_list() == ["n=4", "n=2", "n=8"]


def test_simulations_error_and_unknown_spends_are_told_apart(make_outcomes):
    row = only(paired(make_outcomes([0.5, 0.9], correct_var=0.0002), make_outcomes([0.5, 1.0], usd=[0.1, None])))
    assert row["mc_error"] == pytest.approx(0.01)
    assert row["usd_a"] is row["usd_b"] is row["usd_difference"] is None


def test_an_exhausted_side_gives_no_difference(make_outcomes):
    row = only(paired(make_outcomes([1.0, 1.0]), make_outcomes([0.0, 0.0], exhausted=0.5)))
    assert row["n"] == 0
    assert row["difference"] is None


def test_what_cannot_be_paired_is_one_line_with_its_mend(make_outcomes):
    a = make_outcomes([1.0])
    two = pl.concat([a, make_outcomes([1.0], setting="n=2")])
    twice = pl.concat([two, make_outcomes([1.0], run="S")])
    strange = pl.concat([make_outcomes([1.0], setting="n=64"), make_outcomes([1.0], setting="n=65")])
    for left, right, says in (
        (a, make_outcomes([1.0], query_id=["z"]), "no problem in common"),
        (a, make_outcomes([1.0], dataset="else"), "no problem in common"),
        (two, strange, "no policy and setting on both sides"),
        (two, twice, "there twice"),
        (a, a.clear(), "without outcomes"),
    ):
        with pytest.raises(BadInput, match=says):
            paired(left, right)


# ---- against a base curve ----
@pytest.fixture
def fixed(make_outcomes):
    """The curve .5, .6, .65, .65 at 100, 200, 400, 800 tokens."""
    points = zip((1, 2, 4, 8), (0.5, 0.6, 0.65, 0.65), strict=True)
    return pl.concat(make_outcomes([u, u], setting=f"n={n}", gen_tokens=100.0 * n) for n, u in points)


@pytest.fixture
def other(make_outcomes):
    def make(accuracy, tokens, **columns):
        columns = {"policy": "adaptive_margin", "setting": "max_n=8,stop_rule=beta"} | columns
        return make_outcomes([accuracy, accuracy], gen_tokens=tokens, **columns)

    return make


def test_the_base_curve_is_straight_in_log_tokens(fixed, other):
    row = only(against(pl.concat([fixed, other(0.625, 100 * 2**0.5)])))
    assert row["base_accuracy"] == pytest.approx(0.55)
    assert row["difference"] == pytest.approx(0.075)
    assert row["base_x"] == pytest.approx(200 * 2**0.5)
    assert row["saving"] == pytest.approx(0.5)
    assert row["reading"] == "saves 50.0 % of tokens at equal accuracy [50.0, 50.0]"


def test_the_least_spend_that_reaches_an_accuracy_counts_where_the_curve_is_flat(fixed, other):
    assert only(against(pl.concat([fixed, other(0.65, 400.0)])))["saving"] == pytest.approx(0)
    assert only(against(pl.concat([fixed, other(0.65, 800.0)])))["saving"] == pytest.approx(-1)
    assert "takes 100.0 % more" in only(against(pl.concat([fixed, other(0.65, 800.0)])))["reading"]
    assert only(against(pl.concat([fixed, other(0.5, 50.0)])))["saving"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("accuracy", "tokens", "spend", "right"),
    [
        (0.7, 300.0, "within", "above"),
        (0.4, 300.0, "within", "below"),
        (0.6, 50.0, "below", "within"),
        (0.6, 900.0, "above", "within"),
    ],
)
def test_outside_the_curve_the_side_is_said_and_nothing_is_made_up(fixed, other, accuracy, tokens, spend, right):
    row = only(against(pl.concat([fixed, other(accuracy, tokens)])))
    assert (row["equal_spend"], row["equal_accuracy"]) == (spend, right)
    assert (row["difference"] is None) == (spend != "within")
    assert (row["saving"] is None) == (right != "within")
    assert ("saves" in row["reading"] or "takes" in row["reading"]) == (right == "within")


def test_what_the_base_never_reaches_is_said_with_what_its_best_costs(fixed, other):
    row = only(against(pl.concat([fixed, other(0.7, 300.0)])))
    assert row["base_best_x"] == pytest.approx(400)
    assert row["reading"].endswith("at any of its settings, with 25.0 % less tokens than at its best")


def test_a_copy_of_a_base_setting_gains_and_saves_nothing_in_any_resample(make_outcomes):
    hard = rng_of(3, "hardness").random(80)
    parts = [
        make_outcomes((hard ** (1 / n)).tolist(), setting=f"n={n}", gen_tokens=(n * (50 + 50 * hard)).tolist())
        for n in (1, 2, 4)
    ]
    copy = parts[1].with_columns(policy=pl.lit("best_of_n"))
    row = only(against(pl.concat([*parts, copy])))
    assert [row[name] for name in ("difference", "low", "high")] == pytest.approx([0, 0, 0], abs=1e-12)
    assert [row[name] for name in ("saving", "saving_low", "saving_high")] == pytest.approx([0, 0, 0], abs=1e-9)


def test_an_interval_that_leaves_the_curve_has_no_end_there(make_outcomes):
    hard = rng_of(4, "hardness").random(60)
    parts = [
        make_outcomes((hard * u).tolist(), setting=f"n={n}", gen_tokens=100.0 * n) for n, u in ((1, 0.8), (2, 1.0))
    ]
    noisy = make_outcomes(rng_of(5, "other").permutation(hard * 0.995).tolist(), policy="weighted", gen_tokens=120.0)
    row = only(against(pl.concat([*parts, noisy])))
    assert row["equal_accuracy"] == "within"
    assert row["saving_high"] is None
    assert "?" in row["reading"]


def test_places_stay_apart_and_a_lone_base_point_is_no_curve(fixed, other):
    outcomes = pl.concat([fixed, other(0.6, 100.0), other(0.6, 100.0, model="other")])
    here, there = against(outcomes).rows(named=True)
    assert here["saving"] == pytest.approx(0.5)
    assert there["model"] == "other"
    assert there["saving"] is there["equal_accuracy"] is there["reading"] is None
    lone = only(against(pl.concat([fixed.head(2), other(0.6, 100.0)])))
    assert lone["difference"] is None


def test_unknown_or_exhausted_settings_and_a_missing_base_are_not_compared(fixed, other):
    row = only(against(pl.concat([fixed, other(0.6, 100.0)]), x="usd"))
    assert row["reading"] is None
    row = only(against(pl.concat([fixed, other(0.6, 100.0, exhausted=1.0)])))
    assert row["accuracy"] is row["saving"] is None
    with pytest.raises(BadInput, match="no outcomes of sc_fixed"):
        against(other(0.6, 100.0))
    with pytest.raises(BadInput, match="x axis"):
        against(fixed, x="wishes")
