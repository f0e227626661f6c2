"""Is a jump more than noise? Two nulls for outcomes y [problem, budget, completion], right or wrong or any score.

A flat Bernoulli curve with few completions already looks like a breakthrough, so a shape alone proves nothing.

`flat_null`    no budget matters. Within every (problem, completion) the values are dealt anew over the budgets: under
               the null each deal is as likely, whatever the problems' difficulties. The statistics are the largest
               step up between neighbouring budgets, of the mean curve and of each problem's, and the variance of the
               mean curve over the budgets: any change. Where one trace serves all budgets its neighbours agree
               more than dealt ones would: the test is then conservative.
`smooth_null`  the mean curve rises evenly in log2 of the budget. The statistic is how far a step exceeds what a
               straight line from the first value to the last gives it, at most, which no line changes; its law
               comes from resampling the problems' deviations from the mean curve, whole curves at a time, so
               dependence between budgets is kept.

p-values are (1 + hits) / (1 + resamples): never 0, and valid for any number of resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from testtime.analysis.bootstrap import resample, student
from testtime.core.history import Floats, Ints
from testtime.core.seeds import rng_of

RESAMPLES = 999
FEWEST = 10
"""Units with fewer than this say nothing of a smooth null: their deviations are too few to resample."""
_LEAST = 1e-12


@dataclass(frozen=True)
class Flat:
    """What the flat null says."""

    p: float
    """Of the mean curve's largest step up."""
    p_change: float
    """Of any change of the mean curve, up or down."""
    p_each: Floats
    """[problem] of each problem's own curve; nan where it has an unknown value."""
    statistic: float


def flat_null(y: Floats, seed: int = 0, resamples: int = RESAMPLES) -> Flat:
    """Tests that no budget matters; problems with an unknown value (nan) are left out of the mean curve."""
    known = ~np.isnan(y).any(axis=(1, 2))
    used = y[known]
    p_each = np.full(len(y), nan)
    if not len(used) or y.shape[1] < 2:
        return Flat(nan, nan, p_each, nan)
    rows = np.ascontiguousarray(used.transpose(0, 2, 1))  # [problem, completion, budget]
    own = _jump(rows.mean(axis=1))
    mean = rows.mean(axis=(0, 1))
    whole, change = float(_jump(mean)), float(mean.var())
    generator, hits, changes = rng_of(seed, "emergence", "flat"), 0, 0
    hits_each = np.zeros(len(used))
    for _ in range(resamples):
        curves = generator.permuted(rows, axis=2).mean(axis=1)
        mean = curves.mean(axis=0)
        hits += bool(_jump(mean) >= whole - _LEAST)
        changes += bool(mean.var() >= change - _LEAST)
        hits_each += _jump(curves) >= own - _LEAST
    p_each[known] = (1 + hits_each) / (1 + resamples)
    return Flat((1 + hits) / (1 + resamples), (1 + changes) / (1 + resamples), p_each, whole)


def smooth_null(
    y: Floats,
    unit: Ints | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    budgets: Sequence[float] | None = None,
) -> float:
    """P of a mean curve that rises evenly, for y [problem, budget]; nan for fewer than 10 units or three budgets.

    `unit` [problem] names the clusters that are resampled whole; `budgets` are doublings where they are not given.
    """
    known = np.asarray(~np.isnan(y).any(axis=1))
    y = y[known]
    _, unit = np.unique((np.arange(len(known)) if unit is None else unit)[known], return_inverse=True)
    units = int(unit.max(initial=-1)) + 1 if len(y) else 0
    if units < FEWEST or y.shape[1] < 3:
        return nan
    mean = y.mean(axis=0)
    away = (y - mean) * _reach(units)
    weights = resample(unit, seed, resamples)
    noise = weights @ away / weights.sum(axis=1, keepdims=True)
    widths = np.diff(np.arange(y.shape[1]) if budgets is None else np.log2(np.asarray(budgets, dtype=float)))
    widths = widths / widths.sum()
    hits = int((_excess(noise, widths) >= _excess(mean, widths) - _LEAST).sum())
    return (1 + hits) / (1 + resamples)


def _reach(units: int) -> float:
    """By how much resampled deviations from a fitted mean are too small at 5 %, as for the intervals of few units."""
    return student(0.975, units - 1) / student(0.975, 10**9) * sqrt(units / (units - 1))


def _jump(curves: Floats) -> Floats:
    out: Floats = np.diff(curves).max(axis=-1)
    return out


def _excess(curves: Floats, widths: Floats) -> Floats:
    """The most by which a step exceeds its share of the whole rise; `widths` [step] sum to 1."""
    steps = np.diff(curves)
    out: Floats = (steps - steps.sum(axis=-1, keepdims=True) * widths).max(axis=-1)
    return out
