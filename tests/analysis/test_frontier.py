"""Proves the areas and slopes against values worked by hand, and that their intervals resample problems together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.frontier import area, column_of, family_of, frontier, segments
from testtime.analysis.table import read_csv, summarise, to_csv
from testtime.core.errors import BadInput
from testtime.core.seeds import rng_of


@pytest.fixture
def curve(make_outcomes):
    """`curve({x: accuracy, …})` as outcomes: two problems a setting whose mean accuracy is as given."""

    def make(points, **columns):
        parts = []
        for at, (x, accuracy) in enumerate(points):
            setting = columns.get("setting", f"n={at + 1}")
            parts.append(make_outcomes([accuracy, accuracy], **(columns | {"setting": setting}), gen_tokens=float(x)))
        return pl.concat(parts)

    return make


def row(table, axis="linear", **where):
    for name, value in (where | {"axis": axis}).items():
        table = table.filter(pl.col(name) == value)
    return table.row(0, named=True)


WORKED = [(100, 0.5), (200, 0.6), (400, 0.65)]


def test_the_worked_values_of_the_definition(curve):
    found = row(frontier(curve(WORKED)))
    assert found["fa"] == pytest.approx(180)
    assert found["fa_norm"] == pytest.approx(0.6)
    assert found["mvc_segments"] == "1;0.25"
    assert found["per"] == 1000
    assert found["negative"] == 0
    assert found["mvc"] == pytest.approx(np.polyfit([100, 200, 400], [0.5, 0.6, 0.65], 1)[0] * 1000)
    doubling = row(frontier(curve(WORKED)), "log2")
    assert (doubling["fa"], doubling["fa_norm"]) == pytest.approx((0.55 + 0.625, (0.55 + 0.625) / 2))
    assert doubling["mvc_segments"] == "0.1;0.05"
    assert doubling["per"] == 1


def test_a_summary_gives_the_same_numbers_without_intervals(curve):
    outcomes = curve(WORKED)
    whole, bare = frontier(outcomes), frontier(summarise(outcomes))
    intervals = [name for name in whole.columns if name.endswith(("_low", "_high")) and name[:2] in ("fa", "mv")]
    assert bare.drop(intervals).equals(whole.drop(intervals))
    assert all(bare[name].null_count() == bare.height for name in intervals)


def test_a_table_read_back_from_its_csv_gives_the_same_frontier(curve, tmp_path):
    summary = summarise(pl.concat([curve(WORKED), curve([(800, 0.9)], setting="n=64", exhausted=1.0)]))
    to_csv(summary, tmp_path / "t.csv")
    assert frontier(read_csv(tmp_path / "t.csv")).equals(frontier(summary))
    assert segments(read_csv(tmp_path / "t.csv")).equals(segments(summary))


def test_points_come_in_any_order_and_equal_spend_is_merged_by_its_mean(curve):
    shuffled = curve([(400, 0.65), (100, 0.4), (200, 0.6), (100, 0.6)])
    assert row(frontier(shuffled))["fa"] == pytest.approx(180)
    assert row(frontier(shuffled))["points"] == 3


def test_one_point_has_no_area_and_no_slope(curve):
    found = row(frontier(curve([(100, 0.5)])))
    assert found["points"] == 1
    assert found["fa"] is found["fa_norm"] is found["mvc"] is found["mvc_segments"] is None
    assert frontier(curve([(100, None), (200, 0.5)]))["points"].to_list() == [1, 1]


def test_families_are_compared_over_the_range_they_share(curve):
    fixed = curve(WORKED)
    beta = [
        curve([(x, u)], policy="adaptive_margin", setting=f"max_n={x},stop_rule=beta")
        for x, u in ((150, 0.6), (300, 0.7))
    ]
    other = curve([(1, 0.1), (2, 0.2)], model="other")
    hard = curve([(1000, 0.1), (2000, 0.2)], split="hard")
    table = frontier(pl.concat([fixed, *beta, other, hard]))
    assert row(table, split="hard")["common_low"] == 1000, "the curves of another split are not compared with these"
    table = table.filter(pl.col("split") != "hard")
    for family in ("sc_fixed", "adaptive_margin:stop_rule=beta"):
        found = row(table, family=family, model="m")
        assert (found["common_low"], found["common_high"]) == (150, 300)
    assert row(table, family="adaptive_margin:stop_rule=beta")["fa_common"] == pytest.approx(0.65)
    # sc_fixed: .55 at 150, .6 at 200, .625 at 300
    assert row(table, family="sc_fixed", model="m")["fa_common"] == pytest.approx((0.575 * 50 + 0.6125 * 100) / 150)
    assert row(table, model="other")["common_low"] == 1


def test_a_falling_curve_is_flagged_and_its_envelope_holds_the_best(curve):
    found = row(frontier(curve([(100, 0.6), (200, 0.4), (300, 0.5)])))
    assert found["mvc_segments"] == "-2;1"
    assert found["negative"] == 1
    assert found["mvc"] == pytest.approx(-0.5)
    assert found["fa_envelope"] == pytest.approx(120)
    assert found["fa_norm_envelope"] == pytest.approx(0.6)
    assert segments(curve([(100, 0.6), (200, 0.4), (300, 0.5)]))["negative"].to_list() == [True, False]


def test_steps_are_per_thousand_tokens_and_per_doubling(curve):
    steps = segments(curve(WORKED))
    assert steps["mvc"].to_list() == pytest.approx([1.0, 0.25])
    assert steps["mvc_doubling"].to_list() == pytest.approx([0.1, 0.05])
    assert steps.select("x_from", "x_to").rows() == [(100, 200), (200, 400)]
    candidates = segments(curve(WORKED).with_columns(candidates=pl.col("gen_tokens")), "candidates")
    assert candidates["mvc"].to_list() == pytest.approx([0.001, 0.00025])


def test_an_unknown_or_free_spend_gives_no_point_or_no_doublings(curve):
    assert frontier(curve(WORKED), "dollars")["points"].to_list() == [0, 0]
    free = curve([(0, 0.5), (100, 0.6)])
    assert row(frontier(free))["fa_norm"] == pytest.approx(0.55)
    assert row(frontier(free), "log2")["fa"] is None
    assert segments(free)["mvc_doubling"].to_list() == [None]


def test_exhausted_settings_are_no_points(curve):
    outcomes = pl.concat([curve(WORKED), curve([(800, 0.9)], setting="n=64", exhausted=1.0)])
    assert row(frontier(outcomes))["x_high"] == 400


def test_the_axis_names_are_checked():
    assert column_of("tokens") == "gen_tokens"
    with pytest.raises(BadInput, match="gen_tokens"):
        column_of("gen_token")
    assert family_of("sc_fixed", "n=8") == "sc_fixed"


def test_intervals_hold_the_point_and_shrink_with_more_problems(make_outcomes):
    def outcomes(n):
        hard = rng_of(1, "hardness", n).random(n)
        return pl.concat(
            make_outcomes(
                (hard ** (4 / k) * 0.9).tolist(), setting=f"n={k}", gen_tokens=(100 * k * (1 + hard)).tolist()
            )
            for k in (1, 2, 4)
        )

    widths = []
    for n in (40, 1000):
        found = row(frontier(outcomes(n), resamples=400))
        for name in ("fa", "fa_norm", "fa_common", "fa_envelope", "mvc"):
            assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
        widths.append(found["fa_norm_high"] - found["fa_norm_low"])
    assert widths[1] < 0.4 * widths[0]


def test_settings_meet_the_same_problems_so_a_shared_hardness_cancels_in_slopes(make_outcomes):
    hard = rng_of(2, "hardness").random(300)
    parts = [
        make_outcomes((hard * 0.8 + gain).tolist(), setting=f"n={at}", gen_tokens=float(at))
        for at, gain in ((1, 0.0), (2, 0.1))
    ]
    (step,) = segments(pl.concat(parts), resamples=200).rows(named=True)
    assert step["gain_high"] - step["gain_low"] < 1e-12  # every problem gains the same
    assert step["gain"] == pytest.approx(0.1)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), min_size=2, max_size=6, unique_by=lambda p: p[0]),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_the_area_is_that_of_straight_lines_going_on_flat(points, one, two):
    low, high = min(one, two), max(one, two)
    x, height = (np.array(column) for column in zip(*sorted(points), strict=True))
    edges = np.unique(np.concatenate([[low, high], x[(x > low) & (x < high)]]))
    lines = np.interp(edges, x, height)
    ours = area(x[None], height[None], np.array([low]), np.array([high]))[0]
    assert ours == pytest.approx(((lines[1:] + lines[:-1]) / 2 * np.diff(edges)).sum(), abs=1e-6)
