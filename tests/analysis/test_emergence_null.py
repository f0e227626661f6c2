"""Noise alone is seldom called a jump, a planted jump nearly always; fits prefer the course that data came from."""

from __future__ import annotations

import numpy as np
import pytest

from testtime.analysis.emergence_fit import FLAT, JUMP, LINEAR, PIECEWISE, fits
from testtime.analysis.emergence_null import flat_null, smooth_null
from testtime.core.history import Floats
from testtime.core.seeds import rng_of

BUDGETS = [2**e for e in range(3, 10)]
STEPS = np.arange(7)
COURSES = {
    "flat": np.full(7, 0.4),
    "line": 0.2 + 0.4 * STEPS / 6,
    "jump": np.where(STEPS >= 4, 0.6, 0.2),
}


def outcomes(course: str, seed: int, problems: int = 30, completions: int = 5) -> Floats:
    """Right or wrong by chance, of problems that differ in difficulty."""
    rng = rng_of(seed, "test", course)
    chance = np.clip(COURSES[course] + rng.normal(0, 0.15, (problems, 1)), 0, 1)
    return (rng.random((problems, 7, completions)) < chance[:, :, None]).astype(float)


def share(course: str, null: str, runs: int) -> float:
    """How often a null is rejected at 5 %."""
    found = 0
    for seed in range(runs):
        y = outcomes(course, seed)
        p = flat_null(y, seed, resamples=199).p if null == "flat" else smooth_null(y.mean(axis=2), seed=seed)
        found += p <= 0.05
    return found / runs


@pytest.mark.parametrize(("course", "null"), [("flat", "flat"), ("flat", "smooth"), ("line", "smooth")])
def test_false_positives_stay_at_the_nominal_level(course: str, null: str) -> None:
    assert share(course, null, 120) <= 0.11  # of 120 runs at 5 %, more than 13 happen once in 250


@pytest.mark.parametrize("null", ["flat", "smooth"])
def test_a_planted_jump_of_forty_points_is_found(null: str) -> None:
    assert share("jump", null, 40) >= 0.8


def test_budgets_that_are_no_doublings_are_weighed_by_their_width() -> None:
    """A line in log2 of uneven budgets has one step thrice as high as the others, and is even all the same."""
    budgets = [8, 16, 128, 256]
    rng = rng_of(0, "test", "uneven")
    y = 0.1 * np.log2(budgets) + rng.normal(0, 0.02, (40, 4))
    assert smooth_null(y, budgets=budgets) > 0.05
    assert smooth_null(y) <= 0.05


def test_a_flat_curve_of_few_completions_has_the_shape_of_a_breakthrough() -> None:
    """What the null is for: the shapes of single problems reach those of a planted jump."""
    y = outcomes("flat", 1, completions=3)
    each = flat_null(y, resamples=199).p_each
    assert np.diff(y.mean(axis=2)).max() >= 0.6
    assert (each <= 0.05).mean() <= 0.2


def test_a_fall_is_a_change_but_no_jump() -> None:
    found = flat_null(outcomes("jump", 0)[:, ::-1], resamples=199)
    assert found.p_change <= 0.05
    assert found.p > 0.05


def test_unknown_values_leave_their_problem_out() -> None:
    y = outcomes("jump", 0)
    holed = np.concatenate([y, np.full((1, 7, 5), np.nan)])
    with_it, without = flat_null(holed, resamples=199), flat_null(y, resamples=199)
    assert with_it.p == without.p
    assert np.isnan(with_it.p_each[-1])
    assert smooth_null(holed.mean(axis=2)) == smooth_null(y.mean(axis=2))
    assert np.isnan(smooth_null(y.mean(axis=2)[:9]))


@pytest.mark.parametrize(("course", "model"), [("flat", FLAT), ("line", LINEAR), ("jump", JUMP)])
def test_the_course_that_the_data_came_from_has_the_lowest_bic(course: str, model: str) -> None:
    found = [fits(outcomes(course, seed).mean(axis=2), BUDGETS)[0] for seed in range(10)]
    assert sum(fit.model == model for fit in found) >= 9
    if course == "jump":
        assert {fit.place for fit in found} == {BUDGETS[4]}


def test_a_bend_without_noise_is_found_where_it_is() -> None:
    bent = np.maximum(STEPS - 3, 0) * 0.2
    first = fits(bent, BUDGETS)[0]
    assert (first.model, first.place) == (PIECEWISE, BUDGETS[3])
    assert first.course == pytest.approx(bent)
    assert fits(bent[:3], BUDGETS[:3]) == []


def test_levels_of_units_do_not_count_as_noise() -> None:
    """The same curve at very different levels is as good as at one."""
    y = outcomes("line", 3).mean(axis=2)
    lifted = y + np.linspace(-5, 5, len(y))[:, None]
    assert [fit.bic for fit in fits(lifted, BUDGETS)] == pytest.approx([fit.bic for fit in fits(y, BUDGETS)])
