"""The measures of a curve's shape give the published values, and say why where they say nothing."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testtime.analysis.emergence import (
    MEASURES,
    bigbench,
    capped,
    clipped,
    improvement,
    linearity,
    mean_sqrt,
    ranking,
    scaled_linearity,
    shape_of,
    skewness,
    skewness_weighted,
)

LINE, STEP, NOISY, FALLING = (
    [0, 0.25, 0.5, 0.75, 1],
    [0, 0, 0, 1, 1],
    [0.02, 0.05, 0.01, 0.9, 0.95],
    [1, 0.5, 0.2, 0.1, 0],
)


def of(curve: list[float], name: str) -> float | None:
    return shape_of(curve).values[name]


def test_worked_values_of_the_default_breakthroughness() -> None:
    assert of(STEP, "breakthroughness") == pytest.approx(1.0, abs=1e-12)
    assert of(LINE, "breakthroughness") == pytest.approx(0.25, abs=1e-12)
    by_hand = 0.94 / (sqrt(0.03) + sqrt(0.04) + sqrt(0.89) + sqrt(0.05)) ** 2
    assert of(NOISY, "breakthroughness") == pytest.approx(by_hand, abs=1e-12)
    assert round(by_hand, 3) == 0.396
    assert of(FALLING, "breakthroughness") == 0


@pytest.mark.parametrize("curve", [LINE, STEP, NOISY, FALLING, [0.1, 0.4, 0.3, 0.35, 0.9, 0.85]])
def test_every_variant_is_its_published_formula(curve: list[float]) -> None:
    """Written out anew from the definitions, to 1e-12; an infinite one is 100, a negative one 0."""
    y = np.array(curve)
    step = np.diff(y)
    n, rise = len(step), float(np.sign(y.argmax() - y.argmin()) * np.ptp(y))
    with np.errstate(divide="ignore"):
        raw = {
            "breakthroughness": rise / np.sqrt(np.abs(step)).mean() ** 2 / n**2,
            "breakthroughness_median_squared": rise / np.sqrt(np.median(step**2)),
            "breakthroughness_median_squared_i2": rise**2 / np.sqrt(np.median(step**2)),
            "breakthroughness_mean": rise / step.mean(),
            "scaled_linearity": rise / np.sqrt((step**2).mean()) / np.sqrt(n),
            "scaled_linearity_i2": rise**2 / np.sqrt((step**2).mean()) / np.sqrt(n),
        }
    for name, value in raw.items():
        assert of(curve, name) == pytest.approx(min(max(value, 0), 100), abs=1e-12), name
    assert of(curve, "linearity") == pytest.approx(rise / np.sqrt((step**2).mean()), abs=1e-12)
    assert of(curve, "breakthroughness_signed") == pytest.approx(raw["breakthroughness"], abs=1e-12)
    away = step - step.mean()
    if np.ptp(step) > 1e-12:
        skew = np.sqrt(n * (n - 1)) / (n - 2) * (away**3).mean() / (away**2).mean() ** 1.5
        assert of(curve, "skewness") == pytest.approx(skew, abs=1e-12)
        assert of(curve, "skewness_weighted") == pytest.approx(skew * np.abs(step).max(), abs=1e-12)


@pytest.mark.parametrize("n", [3, 4, 7])
def test_bigbench_on_a_line_and_on_a_step(n: int) -> None:
    line, step = np.arange(n + 1) / n, (np.arange(n + 1) > n // 2).astype(float)
    assert linearity(line) == pytest.approx(n, abs=1e-12)
    assert bigbench(line) == pytest.approx(n, abs=1e-12)
    assert linearity(step) == pytest.approx(sqrt(n), abs=1e-12)
    assert bigbench(step) == inf
    assert mean_sqrt(line) == pytest.approx(1 / n, abs=1e-12)
    assert mean_sqrt(step) == pytest.approx(1, abs=1e-12)
    assert scaled_linearity(line) == pytest.approx(sqrt(n), abs=1e-12)  # it orders like linearity, not like a jump
    assert scaled_linearity(step) == pytest.approx(1, abs=1e-12)


def test_an_infinite_breakthroughness_is_capped_and_marked() -> None:
    shape = shape_of(STEP, [8, 16, 32, 64, 128])
    assert shape.capped
    assert shape.values["breakthroughness_bigbench"] == inf
    assert shape.values["breakthroughness_bigbench_capped"] == 100
    assert shape.values["breakthroughness_median_squared"] == 100
    assert (shape.jump_from, shape.jump_to, shape.values["largest_jump"]) == (32, 64, 1)


def test_a_falling_curve_keeps_its_sign_beside_the_clipped_value() -> None:
    assert of(FALLING, "improvement") == -1
    assert of(FALLING, "breakthroughness_bigbench") == pytest.approx(-1 / sqrt(0.05), abs=1e-12)
    assert of(FALLING, "breakthroughness_signed") < 0  # type: ignore[operator]
    assert of(FALLING, "breakthroughness") == of(FALLING, "breakthroughness_median_squared") == 0
    assert shape_of(FALLING).jump_to is None


def test_a_flat_curve_is_zero_and_says_so() -> None:
    shape = shape_of([0.3] * 5)
    assert shape.reason == "flat"
    assert {shape.values[name] for name in MEASURES if "skew" not in name} == {0}
    assert shape.values["skewness"] is None


def test_too_few_budgets_say_nothing_and_unknown_budgets_are_left_out() -> None:
    assert shape_of([0, 1]).values["breakthroughness"] is None
    assert shape_of([0, float("nan"), 1]).reason == "too few budgets: 2 of at least 3"
    holed = shape_of([0, float("nan"), 0, 0, 1], [1, 2, 4, 8, 16])
    assert holed.values == shape_of([0, 0, 0, 1]).values
    assert (holed.jump_from, holed.jump_to) == (8, 16)


def test_top_k_are_indices_of_the_highest_not_ranks_of_the_first() -> None:
    assert ranking(np.array([0.0, 5.0, float("nan"), 9.0, 5.0])) == [3, 1, 4, 0, 2]


curves = st.lists(st.integers(0, 100).map(lambda value: value / 100), min_size=5, max_size=9)


@given(curves)
def test_skewness_is_that_of_scipy_without_bias(curve: list[float]) -> None:
    steps = np.diff(curve)
    ours = float(skewness(np.array(curve)))
    if np.ptp(steps) < 1e-9:
        assert np.isnan(ours)
        return
    assert ours == pytest.approx(stats.skew(steps, bias=False), abs=1e-9)
    assert float(skewness_weighted(np.array(curve))) == pytest.approx(ours * np.abs(steps).max(), abs=1e-9)


@given(curves)
def test_bounds_hold_for_every_curve(curve: list[float]) -> None:
    y = np.array(curve)
    assert abs(mean_sqrt(y)) <= 1 + 1e-9
    assert abs(linearity(y)) <= len(curve) - 1 + 1e-9
    assert 0 <= clipped(bigbench(y)) <= 100
    assert np.sign(improvement(y)) == np.sign(capped(bigbench(y)))


@given(st.lists(curves.filter(lambda curve: len(curve) == 6), min_size=1, max_size=4))
def test_many_curves_at_once_equal_one_by_one(several: list[list[float]]) -> None:
    for name, measure in MEASURES.items():
        together = measure(np.array(several))
        apart = [float(measure(np.array(curve))) for curve in several]
        np.testing.assert_allclose(together, apart, rtol=1e-12, err_msg=name)
