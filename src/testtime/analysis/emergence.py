"""Does a curve over budgets break through? The published measures of a curve's shape, each under its own name.

A curve is y [budget] over doublings of compute; Δ [step] its differences, n = budgets − 1 of them, and

    I(y) = sign(argmax y − argmin y) · (max y − min y)      0 for a flat curve

The functions take y [..., budget] and give [...]; the budgets themselves do not enter (each doubling counts
alike), so values compare only at equal numbers of budgets. `shape_of` reads one curve, unknown values left out,
with the reason where it says nothing.

Sources: BIG-bench, Srivastava et al. 2022, appendix B (linearity, breakthroughness; the latter is Schaeffer et
al.'s 2023 emergence score); the sample-wise measures of the project "test-time emergent scaling" (the others).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from testtime.core.history import Bools, Floats

FEWEST = 3
"""Budgets that a shape needs."""
CAP = 100.0
"""What an infinite breakthroughness is reported as."""
_LEAST = 1e-12
"""Differences below this are the last bits of a mean, not a change."""


def improvement(y: Floats) -> Floats:
    """I(y): the rise from the lowest to the highest value, negative where the highest comes first."""
    sign = np.sign(y.argmax(-1) - y.argmin(-1))
    span = y.max(-1) - y.min(-1)
    out: Floats = np.where(span > _LEAST, sign * span, 0.0)
    return out


def linearity(y: Floats) -> Floats:
    """BIG-bench's I / √mean(Δ²): n for a straight line, √n for a single jump, 0 for a flat curve."""
    return _ratio(improvement(y), np.sqrt((np.diff(y) ** 2).mean(-1)))


def bigbench(y: Floats) -> Floats:
    """BIG-bench's breakthroughness I / √median(Δ²), signed: n for a straight line, ±∞ where the median step is 0."""
    return _ratio(improvement(y), np.sqrt(np.median(np.diff(y) ** 2, axis=-1)))


def mean_sqrt(y: Floats) -> Floats:
    """I / (Σ √|Δ|)², signed: 1 for a single jump, 1/n for a straight line, lower with noise."""
    return _ratio(improvement(y), np.sqrt(np.abs(_steps(y))).sum(-1) ** 2)


def mean(y: Floats) -> Floats:
    """Of I to the mean step: n for every monotone curve, rising or falling; ±∞ where a curve ends where it began."""
    return _ratio(improvement(y), _steps(y).mean(-1))


def scaled_linearity(y: Floats) -> Floats:
    """Linearity / √n: √n for a straight line, 1 for a single jump. Its source calls it a breakthroughness
    (`mean_squared`), but it orders curves the other way round: the smoother, the higher.
    """
    out: Floats = linearity(y) / np.sqrt(y.shape[-1] - 1)
    return out


def squared(measure: Callable[[Floats], Floats], y: Floats) -> Floats:
    """A measure with I² in place of I, the `square_numerator` of its source: falling curves score like rising ones."""
    rise = improvement(y)
    out: Floats = np.where(rise == 0, 0.0, measure(y) * np.where(rise == 0, 1.0, rise))
    return out


def clipped(values: Floats) -> Floats:
    """As the source of the sample-wise measures reports them: within 0 and 100, so falling curves have 0."""
    out: Floats = np.clip(np.nan_to_num(values, nan=0.0, posinf=CAP, neginf=0.0), 0.0, CAP)
    return out


def capped(values: Floats) -> Floats:
    """Within −100 and 100."""
    out: Floats = np.clip(values, -CAP, CAP)
    return out


def skewness(y: Floats) -> Floats:
    """Adjusted Fisher–Pearson skewness of Δ, √(n(n − 1))/(n − 2) · m3 / m2^1.5: high for one large rise among small
    steps. nan for fewer than three steps, or where all are alike.
    """
    steps = _steps(y)
    n = steps.shape[-1]
    if n < 3:
        return np.full(y.shape[:-1], nan)
    away = steps - steps.mean(-1, keepdims=True)
    second, third = (away**2).mean(-1), (away**3).mean(-1)
    varies = second > _LEAST**2
    out: Floats = np.where(varies, third / np.where(varies, second, 1.0) ** 1.5, nan) * np.sqrt(n * (n - 1)) / (n - 2)
    return out


def skewness_weighted(y: Floats) -> Floats:
    """Skewness × max|Δ|, so that the skew of tiny steps counts for little."""
    out: Floats = skewness(y) * np.abs(_steps(y)).max(-1)
    return out


def largest_jump(y: Floats) -> Floats:
    """Max Δ."""
    out: Floats = _steps(y).max(-1)
    return out


MEASURES: Mapping[str, Callable[[Floats], Floats]] = {
    "improvement": improvement,
    "breakthroughness": lambda y: clipped(mean_sqrt(y)),
    "breakthroughness_signed": mean_sqrt,
    "breakthroughness_bigbench": bigbench,
    "breakthroughness_bigbench_capped": lambda y: capped(bigbench(y)),
    "breakthroughness_median_squared": lambda y: clipped(bigbench(y)),
    "breakthroughness_mean": lambda y: clipped(mean(y)),
    "breakthroughness_median_squared_i2": lambda y: clipped(squared(bigbench, y)),
    "linearity": linearity,
    "scaled_linearity": lambda y: clipped(scaled_linearity(y)),
    "scaled_linearity_i2": lambda y: clipped(squared(scaled_linearity, y)),
    "skewness": skewness,
    "skewness_weighted": skewness_weighted,
    "largest_jump": largest_jump,
}
"""Column → measure. `breakthroughness` is the one its source uses: `mean_sqrt`, within 0 and 100."""


@dataclass(frozen=True)
class Shape:
    """What the shape of one curve is."""

    values: Mapping[str, float | None]
    """By the names of MEASURES; None where there are too few budgets, or no skew."""
    jump_from: float | None = None
    """The budget before the largest jump."""
    jump_to: float | None = None
    """The budget after it; None for a curve without a rise."""
    reason: str | None = None
    """Why it says nothing: too few budgets, flat."""
    capped: bool = False
    """Whether BIG-bench's breakthroughness is infinite, and reported as 100."""


def shape_of(y: Sequence[float] | Floats, budgets: Sequence[float] | None = None) -> Shape:
    """The shape of one curve; budgets without a value (nan) are left out.

    >>> shape_of([0, 0.25, 0.5, 0.75, 1]).values["breakthroughness"]
    0.25
    >>> shape_of([0, 0, 0, 1, 1], [8, 16, 32, 64, 128]).jump_to
    64.0
    """
    curve = np.asarray(y, dtype=float)
    known = ~np.isnan(curve)
    curve = curve[known]
    at = np.asarray(range(len(known)) if budgets is None else budgets, dtype=float)[known]
    if len(curve) < FEWEST:
        return Shape(dict.fromkeys(MEASURES), reason=f"too few budgets: {len(curve)} of at least {FEWEST}")
    found = {name: float(measure(curve)) for name, measure in MEASURES.items()}
    values = {name: None if np.isnan(value) else value for name, value in found.items()}
    if np.ptp(curve) <= _LEAST:
        return Shape(values, reason="flat")
    step = int(np.diff(curve).argmax())
    rises = found["largest_jump"] > 0
    return Shape(
        values,
        jump_from=float(at[step]) if rises else None,
        jump_to=float(at[step + 1]) if rises else None,
        capped=bool(np.isinf(found["breakthroughness_bigbench"])),
    )


def ranking(scores: Floats) -> list[int]:
    """Indices by falling score; ties by index, unknown (nan) ones last.

    >>> ranking(np.array([0.1, nan, 0.7, 0.7]))
    [2, 3, 0, 1]
    """
    return [int(at) for at in np.lexsort((np.arange(len(scores)), -np.nan_to_num(scores, nan=-np.inf)))]


def _steps(y: Floats) -> Floats:
    steps: Floats = np.diff(y)
    steps[np.abs(steps) <= _LEAST] = 0.0
    return steps


def _ratio(over: Floats, under: Floats) -> Floats:
    """Over / under; 0 where `over` is (a flat curve), infinite with its sign where only `under` is."""
    none: Bools = np.abs(under) <= _LEAST
    value = over / np.where(none, 1.0, under)
    out: Floats = np.where(none & (over != 0), np.copysign(np.inf, over), np.where(over == 0, 0.0, value))
    return out
