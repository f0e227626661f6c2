"""What a curve over budgets says, metric by metric: its shape with intervals, the two nulls, the fits, a verdict.

The verdict of one metric, at 5 %:

    too few budgets   fewer than three
    flat              no change beyond chance (`p_change` of the flat null)
    falling           a change, and the curve's highest value comes before its lowest
    sharp             a rise that is not even (`p_sharp` of the smooth null) and half of which one doubling brings
    smooth            every other rise
    rising            a rise of too few problems to say which of the two

Where several curves are read, the p-values of one metric are corrected for their number (Holm 1979) before the verdict.

Sharp in accuracy and not in a continuous metric is what a threshold makes of a smooth change; sharp in both is a jump
of what the model knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import Interval, accuracy_interval, percentile, resample, units_of
from testtime.analysis.compare import holm
from testtime.analysis.emergence import FEWEST, MEASURES, Shape, shape_of
from testtime.analysis.emergence_curves import ACCURACY, METRICS, NEGENTROPY, PROBABILITY, Curves
from testtime.analysis.emergence_fit import Fit, fits
from testtime.analysis.emergence_null import RESAMPLES, flat_null, smooth_null
from testtime.core.history import Floats, Ints
from testtime.core.progress import steps
from testtime.core.seeds import rng_of

ALPHA = 0.05
HALF = 0.5
"""The share of the whole rise that one doubling of a sharp curve brings at least."""
BOUNDED = ("breakthroughness", "linearity", "skewness", "largest_jump", "improvement")
"""Measures whose interval is given."""
VERDICTS = ("too few budgets", "flat", "falling", "rising", "smooth", "sharp")


@dataclass(frozen=True, eq=False)
class Reading:
    """One metric of one set of curves."""

    curves: Curves
    metric: str
    mean: Floats
    """[budget] over problems and completions."""
    intervals: Sequence[Interval]
    """[budget] of the mean, over problems."""
    shape: Shape
    """Of the mean curve."""
    bounds: Mapping[str, Interval]
    """Measure → its interval over problems."""
    p_change: float
    p_jump: float
    p_sharp: float
    p_each: Floats
    """[problem] of the flat null."""
    fits: Sequence[Fit]
    p_change_holm: float
    """Corrected for the number of curves that were read with it, as is the next."""
    p_sharp_holm: float

    @property
    def verdict(self) -> str:
        """One of VERDICTS, of the corrected p-values."""
        return verdict_of(self.shape, self.mean, self.p_change_holm, self.p_sharp_holm)


def read_all(several: Sequence[Curves], seed: int = 0) -> list[Reading]:
    """All metrics of several curves, each metric's p-values corrected for the number of curves that have it.

    The more curves the more resamples, so that the correction alone never makes a clear jump a doubtful one.
    """
    resamples = max(RESAMPLES, 40 * len(several) - 1)
    asked = [(curves, metric) for curves in several for metric in curves.metrics]
    readings = [read(curves, metric, seed, resamples) for curves, metric in steps(asked, "curves")]
    for metric in dict.fromkeys(one.metric for one in readings):
        places = [at for at, one in enumerate(readings) if one.metric == metric]
        changes = holm([_finite(readings[at].p_change) for at in places])
        sharps = holm([_finite(readings[at].p_sharp) for at in places])
        for at, change, sharp in zip(places, changes, sharps, strict=True):
            readings[at] = replace(
                readings[at],
                p_change_holm=np.nan if change is None else change,
                p_sharp_holm=np.nan if sharp is None else sharp,
            )
    return readings


def read(curves: Curves, metric: str, seed: int = 0, resamples: int = RESAMPLES) -> Reading:
    """All that is computed of one metric of one set of curves, which needs no correction."""
    outcomes = curves.values[metric]
    each = outcomes.mean(axis=2)
    known = ~np.isnan(each).any(axis=1)
    unit = units_of(curves.clusters, len(curves.problems))
    each, unit = each[known], unit[known]
    mean = each.mean(axis=0) if len(each) else np.full(len(curves.budgets), np.nan)
    shape = shape_of(mean, curves.budgets)
    flat = flat_null(outcomes, seed, resamples)
    p_sharp = smooth_null(each, unit, seed, resamples, budgets=curves.budgets)
    return Reading(
        curves,
        metric,
        mean,
        [_interval(each[:, at], unit, metric, seed) for at in range(len(curves.budgets))],
        shape,
        _bounds(each, unit, seed),
        flat.p_change,
        flat.p,
        p_sharp,
        flat.p_each,
        fits(each, curves.budgets),
        flat.p_change,
        p_sharp,
    )


def verdict_of(shape: Shape, mean: Floats, p_change: float, p_sharp: float) -> str:
    """One of VERDICTS."""
    values = shape.values
    if values["improvement"] is None or len(mean) < FEWEST:
        return "too few budgets"
    if shape.reason == "flat" or not p_change <= ALPHA:
        return "flat"
    if values["improvement"] < 0:
        return "falling"
    if isnan(p_sharp):
        return "rising"
    share = (values["largest_jump"] or 0.0) / values["improvement"]
    return "sharp" if p_sharp <= ALPHA and share >= HALF else "smooth"


def together(readings: Sequence[Reading]) -> str:
    """What the metrics of one set of curves say together, in a sentence."""
    said = {reading.metric: reading.verdict for reading in readings}
    discrete, continuous = said.get(ACCURACY), said.get(PROBABILITY, said.get("log_prob"))
    if discrete is None or continuous is None:
        return f"{discrete or continuous} in {ACCURACY if discrete else PROBABILITY}; the other was not measured"
    if discrete == continuous:
        return f"{discrete} in accuracy and in probability"
    return f"{discrete} in accuracy, {continuous} in probability"


def table(all_curves: Sequence[Curves], seed: int = 0) -> tuple[pl.DataFrame, list[Reading]]:
    """One row a (curves, metric), and the readings it was made of. Columns: `row_of`."""
    readings = read_all(all_curves, seed)
    return pl.DataFrame([row_of(reading) for reading in readings], infer_schema_length=None), readings


def row_of(reading: Reading) -> dict[str, object]:
    """A reading as a row: first and last value, every measure, bounds, p-values, the best fit, the verdict."""
    curves, shape = reading.curves, reading.shape
    row: dict[str, object] = {
        "run": curves.run, "model": curves.model, "dataset": curves.dataset, "split": curves.split,
        "decoding": curves.decoding, "metric": reading.metric, "n_problems": len(curves.problems),
        "n_completions": reading.curves.values[reading.metric].shape[2], "n_budgets": len(curves.budgets),
        "first_budget": curves.budgets[0], "last_budget": curves.budgets[-1],
        "first": _finite(reading.mean[0]), "last": _finite(reading.mean[-1]),
    }  # fmt: skip
    for name in MEASURES:
        row[name] = _finite(shape.values[name])
        if name in BOUNDED:
            low, high = reading.bounds[name]
            row |= {f"{name}_low": _finite(low), f"{name}_high": _finite(high)}
    best = reading.fits[0] if reading.fits else None
    return row | {
        "capped": shape.capped,
        "reason": shape.reason,
        "jump_from": shape.jump_from,
        "jump_to": shape.jump_to,
        "p_change": _finite(reading.p_change),
        "p_jump": _finite(reading.p_jump),
        "p_sharp": _finite(reading.p_sharp),
        "p_change_holm": _finite(reading.p_change_holm),
        "p_sharp_holm": _finite(reading.p_sharp_holm),
        "best_fit": best.model if best else None,
        "best_fit_place": best.place if best else None,
        **{f"bic_{fit.model.replace('-', '_')}": fit.bic for fit in sorted(reading.fits, key=lambda one: one.model)},
        "verdict": reading.verdict,
    }


def each_problem(reading: Reading, seed: int = 0) -> pl.DataFrame:
    """One row a problem: every measure of its own curve, its largest jump, and p of the flat null.

    `breakthroughness` and `largest_jump` have 95 % intervals over its completions, null where it has only one.
    """
    curves = reading.curves
    bounds = _bounds_of_each(curves.values[reading.metric], seed)
    rows = []
    for at, (problem, curve) in enumerate(zip(curves.problems, curves.each(reading.metric), strict=True)):
        shape = shape_of(curve, curves.budgets)
        rows.append({
            "query_id": problem, "metric": reading.metric, **{name: _finite(shape.values[name]) for name in MEASURES},
            **{f"{name}_{end}": _finite(found[side][at]) for name, found in bounds.items()
               for side, end in enumerate(("low", "high"))},
            "jump_from": shape.jump_from, "jump_to": shape.jump_to, "reason": shape.reason, "capped": shape.capped,
            "p_jump": _finite(reading.p_each[at]),
        })  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


EACH = ("breakthroughness", "largest_jump")
"""Measures of single problems that have an interval."""


def _bounds_of_each(outcomes: Floats, seed: int, resamples: int = 400) -> dict[str, Floats]:
    """Measure → [low and high, problem]: completions drawn anew, the same for all budgets of a problem."""
    problems, budgets, completions = outcomes.shape
    if completions < 2 or budgets < FEWEST:
        return {name: np.full((2, problems), np.nan) for name in EACH}
    share = np.full(completions, 1 / completions)
    drawn = rng_of(seed, "emergence", "completions").multinomial(completions, share, size=resamples) / completions
    curves = np.einsum("rc,pbc->rpb", drawn, outcomes)
    return {name: np.quantile(MEASURES[name](curves), [0.025, 0.975], axis=0) for name in EACH}


def _interval(values: Floats, unit: Ints, metric: str, seed: int) -> Interval:
    if metric in (ACCURACY, PROBABILITY):
        return accuracy_interval(values, unit, seed=seed)
    weights = resample(unit, seed)
    return percentile(weights @ values / weights.sum(axis=1)) if len(values) > 1 else (np.nan, np.nan)


def _bounds(each: Floats, unit: Ints, seed: int) -> dict[str, Interval]:
    """95 % percentile intervals of the measures of the mean curve, problems resampled."""
    if len(each) < 2 or each.shape[1] < FEWEST:
        return dict.fromkeys(BOUNDED, (np.nan, np.nan))
    _, unit = np.unique(unit, return_inverse=True)
    weights = resample(unit, seed)
    curves = weights @ each / weights.sum(axis=1, keepdims=True)
    return {name: percentile(MEASURES[name](curves)) for name in BOUNDED}


def _finite(value: float | None) -> float | None:
    """None for what is unknown."""
    return None if value is None or isnan(value) else float(value)


__all__ = [
    "METRICS",
    "NEGENTROPY",
    "Reading",
    "each_problem",
    "read",
    "read_all",
    "row_of",
    "table",
    "together",
    "verdict_of",
]
