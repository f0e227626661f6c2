"""Proves that intervals hold what they promise: coverage, pairing, clusters, and no false certainty at 0/n."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from testtime.analysis import bootstrap as boot
from testtime.core.seeds import rng_of


def test_wilson_equals_scipys():
    for hits, n in ((0, 20), (3, 20), (10, 20), (20, 20), (970, 1000)):
        theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
        assert boot.wilson(hits / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_right_in_twenty_is_no_proof_of_zero():
    assert boot.accuracy_interval(np.zeros(20)) == pytest.approx(boot.wilson(0, 20))
    assert boot.accuracy_interval(np.ones(20)) == pytest.approx(boot.wilson(1, 20))
    low, high = boot.difference_interval(np.zeros(20))
    assert low == -high == pytest.approx(-boot.wilson(0, 20)[1])


def test_realised_answers_without_clusters_get_wilson_at_any_n():
    values = np.repeat([0.0, 1.0], [40, 160])
    assert boot.accuracy_interval(values) == boot.wilson(0.8, 200)


def test_the_students_quantile_is_within_one_percent():
    for freedom in (3, 4, 5, 10, 30, 1000):
        assert boot.student(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)


def test_the_bca_interval_agrees_with_scipys_on_many_problems():
    values = rng_of(3, "skewed").beta(5, 0.6, size=400)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(1))
    low, high = boot.accuracy_interval(values, resamples=9999)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    generator = rng_of(11, "coverage")
    for n, shape in ((40, (5.0, 0.6)), (120, (2.0, 0.2))):
        truth, held = shape[0] / sum(shape), 0
        for _ in range(400):
            low, high = boot.accuracy_interval(generator.beta(*shape, size=n), resamples=500)
            held += low <= truth <= high
        assert 0.91 <= held / 400 <= 0.985  # ± 3 standard errors and the approximation


def test_small_paired_samples_hold_the_truth_too():
    generator, held = rng_of(12, "pairs"), 0
    for _ in range(400):
        low, high = boot.difference_interval(
            generator.beta(4, 1, size=12) - generator.beta(3, 1, size=12), resamples=500
        )
        held += low <= 0.05 <= high
    assert 0.91 <= held / 400 <= 0.985


@pytest.mark.parametrize(("n", "up", "down"), [(30, 0.1, 0.05), (50, 0.05, 0.03), (100, 0.034, 0.024)])
def test_few_discordant_problems_still_hold_the_truth(n, up, down):
    """Coverage by enumeration of all outcomes, no simulation."""
    held = 0.0
    for better in range(n + 1):
        for worse in range(n + 1 - better):
            chance = stats.multinomial.pmf([better, worse, n - better - worse], n, [up, down, 1 - up - down])
            if chance > 1e-9:
                gap = np.repeat([1.0, -1.0, 0.0], [better, worse, n - better - worse])
                low, high = boot.difference_interval(gap)
                held += chance * (low <= up - down <= high)
    assert held > 0.945


def test_problems_of_one_cluster_count_as_one():
    values = rng_of(5, "clusters").random(60).round(3)
    alone = boot.accuracy_interval(values)
    twins = boot.accuracy_interval(np.repeat(values, 10), np.repeat(np.arange(60), 10))
    naive = boot.accuracy_interval(np.repeat(values, 10))
    assert twins == pytest.approx(alone, abs=1e-9)
    assert (naive[1] - naive[0]) < 0.5 * (twins[1] - twins[0])


def test_problems_without_a_cluster_are_units_of_their_own():
    assert boot.units_of(None, 3).tolist() == [0, 1, 2]
    assert boot.units_of(["x", "x", None], 3).tolist() == [0, 0, 1]


def test_two_policies_over_the_same_problems_meet_the_same_resamples():
    unit = np.arange(50)
    assert (boot.resample(unit, seed=4, resamples=20) == boot.resample(unit, seed=4, resamples=20)).all()
    assert (boot.resample(unit, seed=4, resamples=20) != boot.resample(unit, seed=5, resamples=20)).any()
    assert (boot.resample(unit, resamples=20).sum(axis=1) == 50).all()


def test_unknown_values_are_left_out_and_never_averaged_in():
    values = np.array([[1.0, np.nan], [0.0, np.nan], [1.0, np.nan]])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    assert boot.means(weights, values)[:, 0] == pytest.approx([2 / 3, 1])
    assert np.isnan(boot.means(weights, values)[:, 1]).all()
    assert np.isnan(boot.accuracy_interval(np.full(3, np.nan))).all()
    assert np.isnan(boot.difference_interval(np.full(3, np.nan))).all()


def test_the_monte_carlo_error_is_that_of_the_mean():
    assert boot.monte_carlo_error(np.array([0.0, 0.0])) == 0
    assert boot.monte_carlo_error(np.array([0.04, 0.0, 0.0, 0.0])) == pytest.approx(0.05)


def test_an_interval_is_the_same_however_many_resamples_are_taken_together(monkeypatch):
    values = rng_of(6, "blocks").beta(2, 1, size=1319)
    clusters = np.arange(1319) // 2
    found = [boot.accuracy_interval(values), boot.accuracy_interval(values, clusters)]
    monkeypatch.setattr(boot, "_ROWS", boot.RESAMPLES)
    assert [boot.accuracy_interval(values), boot.accuracy_interval(values, clusters)] == found


def test_resamples_are_the_multinomials_own_counts():
    drawn = rng_of(0, "bootstrap", 50).multinomial(50, np.full(50, 1 / 50), size=100)
    assert (boot.resample(np.arange(50), resamples=100) == drawn).all()
