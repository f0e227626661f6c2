"""Which course a curve over budgets takes: flat, log-linear, piecewise log-linear, or a jump; by BIC.

Every model is fitted by least squares to y [unit, budget] over x = log2 budget, with a level of its own for each
unit (a problem), so that units may differ in difficulty without counting as noise. What the units deviate from a
common course is noise to all models alike: RSS(f) = W + units · Σ_b (m_b − f_b)², where m is the mean curve and W
the sum of squares of y_ib − ȳ_i − m_b + m̄. Then BIC = N ln(RSS / N) + k ln N and AIC = N ln(RSS / N) + 2k, with
N = units · budgets and k the parameters of the course (its level among them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from testtime.core.history import Floats

FLAT, LINEAR, PIECEWISE, JUMP = "flat", "log-linear", "piecewise-linear", "change-point"
FEWEST = 4
"""Budgets that a comparison needs: a bend or a jump is tried at each budget within."""
_LEAST = 1e-12


@dataclass(frozen=True)
class Fit:
    """One model at its best."""

    model: str
    parameters: int
    rss: float
    bic: float
    aic: float
    place: float | None
    """The budget at which the course bends, or the first one after the jump."""
    course: Floats
    """[budget] its values."""


def fits(y: Floats, budgets: Sequence[float]) -> list[Fit]:
    """All models fitted to y [unit, budget] (or one curve [budget]), the lowest BIC first.

    Empty for fewer than four budgets. Units with an unknown value (nan) are left out.
    """
    curves = np.atleast_2d(np.asarray(y, dtype=float))
    curves = curves[~np.isnan(curves).any(axis=1)]
    x = np.log2(np.asarray(budgets, dtype=float))
    if len(x) < FEWEST or not len(curves):
        return []
    mean = curves.mean(axis=0)
    away = curves - curves.mean(axis=1, keepdims=True) - mean + mean.mean()
    noise, size = float((away**2).sum()), curves.size
    found = [_best(name, x, mean, len(curves), noise, size) for name in (FLAT, LINEAR, PIECEWISE, JUMP)]
    return sorted(found, key=lambda fit: fit.bic)


_PARAMETERS = {FLAT: 1, LINEAR: 2, PIECEWISE: 4, JUMP: 3}


def _best(model: str, x: Floats, mean: Floats, units: int, noise: float, size: int) -> Fit:
    tried = []
    for place in _places(model, x):
        design = np.column_stack([np.ones_like(x), *_terms(model, x, place)])
        course = design @ np.linalg.lstsq(design, mean, rcond=None)[0]
        tried.append((float(((mean - course) ** 2).sum()), place, course))
    rest, place, course = min(tried, key=lambda one: one[0])
    rss = max(noise + units * rest, _LEAST * size)
    k = _PARAMETERS[model]
    fit = size * log(rss / size)
    where = None if place is None else float(2 ** x[place])
    return Fit(model, k, rss, fit + k * log(size), fit + 2 * k, where, course)


def _places(model: str, x: Floats) -> Sequence[int | None]:
    if model == PIECEWISE:
        return range(1, len(x) - 1)
    return range(1, len(x)) if model == JUMP else [None]


def _terms(model: str, x: Floats, place: int | None) -> list[Floats]:
    if place is None:
        return [x] if model == LINEAR else []
    if model == PIECEWISE:
        return [x, np.maximum(x - x[place], 0.0)]
    return [(np.arange(len(x)) >= place).astype(float)]
