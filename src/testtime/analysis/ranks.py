"""Ranks, and what is computed of them: correlations, and whether one group's values are larger than another's."""

from __future__ import annotations

from math import nan, sqrt
from statistics import NormalDist

import numpy as np

from testtime.core.history import Floats

_NORMAL = NormalDist()


def ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing their mean.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    out: Floats = (last - (counts - 1) / 2)[place]
    return out


def pearson(x: Floats, y: Floats) -> float:
    """Pearson's correlation over pairs of which both are known; nan for fewer than three, or where one is constant."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 3:
        return nan
    x, y = x - x.mean(), y - y.mean()
    scale = sqrt(float((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / scale if scale > 1e-12 else nan


def spearman(x: Floats, y: Floats) -> float:
    """Pearson's correlation of the ranks, over pairs of which both are known."""
    known = np.isfinite(x) & np.isfinite(y)
    return pearson(ranks(x[known]), ranks(y[known]))


def mann_whitney(x: Floats, y: Floats) -> tuple[float, float]:
    """(U of x, two-sided p) of values in two groups, unknown ones left out.

    p by the normal approximation with corrections for ties and continuity; nan for fewer than three values a side,
    1 where all values are alike. U / (n_x n_y) is the chance that a value of x exceeds one of y, ties halved.
    """
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    n, m = len(x), len(y)
    if n < 3 or m < 3:
        return nan, nan
    both = np.concatenate([x, y])
    u = float(ranks(both)[:n].sum()) - n * (n + 1) / 2
    counts = np.unique(both, return_counts=True)[1].astype(float)
    ties = float((counts**3 - counts).sum()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - ties)
    if variance <= 1e-12:
        return u, 1.0
    z = max(abs(u - n * m / 2) - 0.5, 0.0) / sqrt(variance)
    return u, min(1.0, 2 * _NORMAL.cdf(-z))
