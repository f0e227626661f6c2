"""From a pool to a verdict: sharp, smooth, flat or falling, by metric, with what it rests on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from emergence_pools import BUDGETS, JUMP, LINE, pool
from scipy import stats

from testtime.analysis import control, ranks
from testtime.analysis import emergence_samples as samples
from testtime.analysis.compare import holm
from testtime.analysis.emergence_curves import ACCURACY, PROBABILITY, curves_of, size_of
from testtime.analysis.emergence_table import each_problem, read, read_all, table, together
from testtime.core.errors import BadInput
from testtime.core.history import Floats


def verdict(chance: Floats, probability: Floats | None = None, **how: int) -> str:
    (curves,) = curves_of(pool(chance, probability, **how))  # type: ignore[arg-type]
    return together([read(curves, metric) for metric in curves.metrics])


def test_a_threshold_makes_a_smooth_change_look_sharp() -> None:
    """Accuracy of a long answer, p to the 10th power, from p that rises evenly: the verdict tells them apart."""
    p = 0.5 + 0.48 * np.arange(7) / 6
    assert verdict(np.where(p > 0.8, p, 0.05), p, problems=80) == "sharp in accuracy, smooth in probability"


def test_verdicts() -> None:
    assert verdict(JUMP, JUMP) == "sharp in accuracy and in probability"
    assert verdict(LINE, LINE) == "smooth in accuracy and in probability"
    assert verdict(JUMP[::-1], JUMP[::-1]) == "falling in accuracy and in probability"
    assert verdict(np.full(7, 0.3), np.full(7, 0.3)).startswith("flat in accuracy")
    assert verdict(JUMP) == "sharp in accuracy; the other was not measured"


def test_few_problems_do_not_say_how_a_curve_rises() -> None:
    assert verdict(JUMP, JUMP, problems=6, completions=20) == "rising in accuracy and in probability"


def test_many_curves_are_corrected_for_their_number_metric_by_metric() -> None:
    several = [curves_of(pool(np.full(7, 0.3), LINE, problems=20, seed=seed))[0] for seed in range(8)]
    (jump,) = curves_of(pool(JUMP, JUMP, problems=40))
    readings = read_all([*several, jump])
    for metric in (ACCURACY, PROBABILITY):
        these = [one for one in readings if one.metric == metric]
        assert [one.p_change_holm for one in these] == holm([one.p_change for one in these])
        assert [one.p_sharp_holm for one in these] == holm([one.p_sharp for one in these])
    (sharp,) = (one for one in readings if one.curves is jump and one.metric == ACCURACY)
    assert sharp.verdict == "sharp"
    assert replace(sharp, p_sharp_holm=0.06).verdict == "smooth"
    assert replace(sharp, p_change_holm=0.06).verdict == "flat"


def test_two_budgets_are_too_few() -> None:
    (curves,) = curves_of(pool(np.array([0.1, 0.9]), budgets=(8, 16)))
    reading = read(curves, ACCURACY)
    assert reading.verdict == "too few budgets"
    assert reading.shape.values["breakthroughness"] is None
    assert np.isnan(reading.p_sharp)


def test_a_row_holds_the_numbers_it_is_about() -> None:
    (curves,) = curves_of(pool(JUMP, LINE))
    frame, (accuracy, *_) = table([curves])
    row = frame.filter(metric=ACCURACY).row(0, named=True)
    right = curves.values[ACCURACY]
    assert row["first"] == pytest.approx(right[:, 0].mean())
    assert row["last"] == pytest.approx(right[:, -1].mean())
    assert (row["jump_from"], row["jump_to"]) == (64, 128)
    assert row["best_fit"] == "change-point"
    assert row["best_fit_place"] == 128
    assert row["breakthroughness_low"] <= row["breakthroughness"] <= row["breakthroughness_high"]
    assert accuracy.intervals[0][0] <= row["first"] <= accuracy.intervals[0][1]
    assert frame["metric"].to_list() == [ACCURACY, PROBABILITY, "negentropy"]


def test_arms_that_differ_in_more_than_the_budget_are_no_curve() -> None:
    one = pool(JUMP, budgets=(8,))
    with pytest.raises(BadInput, match="no curve over budgets"):
        curves_of(one)


def test_problems_have_shapes_of_their_own() -> None:
    (curves,) = curves_of(pool(JUMP, LINE))
    rows = each_problem(read(curves, PROBABILITY))
    assert rows.height == 40
    assert rows["breakthroughness"].median() == pytest.approx(1 / 6, abs=0.05)
    assert rows["p_jump"].max() <= 1
    inside = (rows["largest_jump_low"] <= rows["largest_jump"]) & (rows["largest_jump"] <= rows["largest_jump_high"])
    assert inside.mean() > 0.9
    (lonely,) = curves_of(pool(JUMP, LINE, completions=1))
    assert each_problem(read(lonely, PROBABILITY))["largest_jump_low"].null_count() == 40


def test_samplewise_scores_are_what_their_names_say() -> None:
    (curves,) = curves_of(pool(LINE, JUMP))
    found = samples.samplewise(curves)
    assert set(found) == {
        "abs_probs_breakthroughness", "abs_negent_breakthroughness", "probs_skewness", "negent_skewness", "df_probs",
        "df_entropy",
    }  # fmt: skip
    probs = curves.each(PROBABILITY)
    steps = np.diff(probs)
    by_hand = stats.skew(steps, axis=1, bias=False) * np.abs(steps).max(axis=1)
    np.testing.assert_allclose(found["probs_skewness"], by_hand, rtol=1e-9)  # type: ignore[arg-type]
    assert found["df_probs"].drop("query_id").to_numpy() == pytest.approx(probs)  # type: ignore[union-attr]
    assert [int(name) for name in found["df_probs"].columns[1:]] == list(BUDGETS)  # type: ignore[union-attr]
    assert (found["df_entropy"].drop("query_id").to_numpy() <= 0).all()  # type: ignore[union-attr]


def test_the_top_are_the_highest_and_ranks_say_so() -> None:
    (curves,) = curves_of(pool(LINE, JUMP))
    scores = samples.scores(curves, "probability_skewness")
    chosen = samples.top(curves, 4)
    assert sorted(scores[chosen], reverse=True) == sorted(scores, reverse=True)[:4]
    ranked = samples.rankings(curves).sort("rank")
    assert ranked["query_id"].to_list()[:4] == [curves.problems[at] for at in chosen]
    assert ranked["rank"].to_list() == list(range(1, 41))


def test_groups_that_differ_are_told_apart() -> None:
    sharp, even = (curves_of(pool(shape, shape, model=name))[0] for shape, name in ((JUMP, "a-7B"), (LINE, "b-1.5B")))
    rows = samples.differences([sharp, even], "model").filter(score="probability_breakthroughness").row(0, named=True)
    assert rows["p"] < 1e-6
    assert rows["chance_a_exceeds_b"] > 0.95
    assert samples.summaries([sharp, even], "size")["size"].unique().sort().to_list() == ["1.5B", "7B"]
    assert samples.agreement([sharp, even])["n"].to_list() == [40]
    assert samples.agreement([sharp, sharp])["spearman"].to_list() == [pytest.approx(1)]


def test_correlation_of_discrete_and_continuous() -> None:
    (curves,) = curves_of(pool(JUMP, JUMP))
    assert samples.correlations(curves)[PROBABILITY] > 0.98
    assert samples.correlations(curves, "2D", "spearman")[PROBABILITY] > 0.4
    with pytest.raises(BadInput, match="mode 1D or 2D"):
        samples.correlations(curves, "3D")


def test_trajectories_need_no_column_that_is_not_there() -> None:
    (curves,) = curves_of(pool(JUMP, JUMP, columns={"thinking_tokens": lambda budget: budget / 2}))
    rows = samples.trajectories([curves])
    assert rows["trait"].unique().to_list() == ["thinking_tokens"]
    assert rows["mean"][0] == 256


@pytest.mark.parametrize("seed", range(5))
def test_ranks_and_tests_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 9, 30).astype(float), rng.integers(1, 11, 25).astype(float)
    u, p = ranks.mann_whitney(x, y)
    theirs = stats.mannwhitneyu(x, y, method="asymptotic")
    assert (u, p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
    np.testing.assert_allclose(ranks.ranks(x), stats.rankdata(x))
    assert ranks.spearman(x[:25], y) == pytest.approx(stats.spearmanr(x[:25], y).statistic)
    assert ranks.pearson(x[:25], y) == pytest.approx(stats.pearsonr(x[:25], y).statistic)
    assert np.isnan(ranks.pearson(x[:25], np.ones(25)))


def test_control_scaling_performance() -> None:
    compute = np.array([10.0, 20.0, 40.0])
    assert control.scaling(compute, 0.01 * compute) == pytest.approx(0.01)  # of a line its slope
    assert control.scaling(compute[:2], np.array([0.5, 0.4])) == pytest.approx(-0.01)
    bent = control.scaling(np.array([0.0, 1, 2]), np.array([0.0, 1, 1]))
    assert bent == pytest.approx((1 + 0 + 0.5) / 3)
    assert control.control(np.array([10.0, 12, np.nan]), 0, 11) == 0.5
    (curves,) = curves_of(pool(LINE, columns={"thinking_tokens": lambda budget: min(budget, 100)}))
    row = control.of_curves(curves)
    assert (row["control"], row["filled"]) == (1.0, pytest.approx(4 / 7))
    assert row["performance"] == pytest.approx(curves.values[ACCURACY][:, -1].mean(), abs=0.1)


def test_sizes_by_name() -> None:
    assert size_of("vllm:Qwen/QwQ-32B") == 32
    assert size_of("gpt-4o-mini") is None
    assert size_of("pocket:pocket-m") == pytest.approx(0.00083)
