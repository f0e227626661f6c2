"""How well a budget is kept and what it buys: Control, Scaling and Performance of Muennighoff et al. (s1, 2025).

Over a set of runs A with compute a and accuracy f(a):

    Control      share of runs with a_min ≤ a ≤ a_max
    Scaling      mean over pairs b > a of (f(b) − f(a)) / (b − a), a slope; of a line its own
    Performance  max f
"""

from __future__ import annotations

from itertools import combinations
from math import nan

import numpy as np

from testtime.analysis.emergence_curves import ACCURACY, Curves
from testtime.core.history import Floats

PER = 1000
"""Scaling is in percentage points for each so many tokens."""


def control(achieved: Floats, low: Floats | float, high: Floats | float) -> float:
    """The share of runs whose compute lies within its limits; unknown (nan) ones are left out.

    >>> control(np.array([100.0, 90.0, 130.0]), 80, 120)
    0.6666666666666666
    """
    known = ~np.isnan(achieved)
    within = (achieved >= low) & (achieved <= high)
    return float(within[known].mean()) if known.any() else nan


def scaling(compute: Floats, accuracy: Floats) -> float:
    """The mean slope over all pairs of runs of different compute; nan where there is none.

    >>> scaling(np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.4]))
    0.1
    """
    points = [(a, f) for a, f in zip(compute.tolist(), accuracy.tolist(), strict=True) if not np.isnan(a + f)]
    slopes = [(g - f) / (b - a) for (a, f), (b, g) in combinations(sorted(points), 2) if b > a]
    return float(np.mean(slopes)) if slopes else nan


def of_curves(curves: Curves) -> dict[str, object]:
    """The three of one set of curves, a run each budget, and how long thoughts really were.

    `control` is the share of draws that keep within the budget, `filled` the share that use it wholly; `scaling`
    is in points for each 1,000 tokens really thought.
    """
    accuracy = np.nanmean(curves.values[ACCURACY], axis=(0, 2))
    row: dict[str, object] = {"run": curves.run, "model": curves.model, "dataset": curves.dataset}
    row |= {"split": curves.split, "decoding": curves.decoding, "performance": float(accuracy.max())}
    if "thinking_tokens" not in curves.values:
        return row | {"control": None, "filled": None, "scaling": None, "thinking_tokens": None}
    thought = curves.values["thinking_tokens"]
    limits = np.array(curves.budgets, dtype=float)[None, :, None]
    means = np.nanmean(thought, axis=(0, 2))
    slope = scaling(means, accuracy)
    return row | {
        "control": control(thought, 0.0, np.broadcast_to(limits, thought.shape)),
        "filled": control(thought, np.broadcast_to(limits, thought.shape), np.inf),
        "scaling": None if np.isnan(slope) else 100 * PER * slope,
        "thinking_tokens": [float(one) for one in means],
    }
