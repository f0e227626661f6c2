"""How many problems and draws settle a comparison, from a pilot (Miller 2024, arXiv 2411.00640, with both parts of
the variance estimated).

A problem's chances to be answered right by a and by b are x and y. Run once, each is a coin; run K times, their
mean. The difference over n problems has variance (ω² + (σ_a² + σ_b²) / K) / n where the problems are the same for
both, with ω² = Var(y − x) and σ² = E x(1 − x); with other problems on each side ω² is Var x + Var y. Problems of one
source vary together: their clusters are summed before they are squared, and more of them are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import units_of
from testtime.analysis.table import floats
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints

MOST = 1e12
"""Problems that nobody has."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Variances:
    """What a pilot says of two policies; all of one problem."""

    paired: float
    """ω²: how the difference varies from problem to problem."""
    unpaired: float
    """Var x + Var y."""
    within: float
    """σ_a² + σ_b²: what one run of each adds."""
    difference: float
    """Mean of y − x in the pilot."""
    problems: int

    @classmethod
    def of(cls, x: Floats, y: Floats, unit: Ints | None = None) -> Variances:
        """From chances [problem] to be right, and the cluster of each. Raises BadInput for fewer than two problems, or
        clusters, known to both.
        """
        known = ~np.isnan(x) & ~np.isnan(y)
        x, y = x[known], y[known]
        unit = np.arange(len(x)) if unit is None else np.unique(unit[known], return_inverse=True)[1]
        if len(x) < 2:
            raise BadInput("a pilot of fewer than two problems", mend="give a pool with verdicts on more problems")
        if not unit.any():
            raise BadInput("all problems of the pilot are of one cluster", mend="give a pool of more")
        return cls(
            paired=_spread(y - x, unit),
            unpaired=_spread(x, unit) + _spread(y, unit),
            within=float((x * (1 - x)).mean() + (y * (1 - y)).mean()),
            difference=float((y - x).mean()),
            problems=len(x),
        )

    def one(self, *, paired: bool, runs: int | None) -> float:
        """The variance of one problem's measured difference; `runs` None: chances are known, as over a whole pool."""
        return (self.paired if paired else self.unpaired) + (self.within / runs if runs else 0.0)


def _spread(values: Floats, unit: Ints) -> float:
    """Their variance, where each is a cluster by itself; else what n problems in such clusters leave of n times it."""
    sums = np.bincount(unit, weights=values - values.mean())
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1) / len(values)


def questions(variance: float, effect: float, power: float = 0.8, level: float = 0.95) -> int:
    """The fewest problems with which a true difference of `effect` (a part of 1) is noticed with chance `power`.

    Raises BadInput for an effect outside 0 … 1, or one so small that no number of problems shows it.

    >>> questions(0.25, 0.01)
    19623
    """
    if not 0 < effect <= 1:
        raise BadInput(f"an effect of {effect}", mend="give a part of 1, or points: 1pt")
    z = _NORMAL.inv_cdf((1 + level) / 2) + _NORMAL.inv_cdf(power)
    wanted = variance * z * z / effect**2
    if wanted > MOST:
        raise BadInput(f"an effect of {effect:g} is too small to be seen", mend="give a larger one")
    return max(ceil(wanted), 2)


def noticed(variance: float, effect: float, n: int, level: float = 0.95) -> float:
    """The chance to notice it with n problems."""
    return 1 - _NORMAL.cdf(_NORMAL.inv_cdf((1 + level) / 2) - effect / sqrt(variance / n))


def plan(a: pl.DataFrame, b: pl.DataFrame, effect: float, power: float = 0.8) -> pl.DataFrame:
    """Designs that settle a comparison, from pilot outcomes of the two policies on common problems, a row a design.

    `design` paired or unpaired; `runs` of each policy on a problem, null for the whole pool's exact chances;
    `questions`, of each side where unpaired; `draws` in all; `power` with as many questions as the pilot has. All three
    are null for a design of which the pilot shows no spread: that is no proof that there is none.
    Raises BadInput where they share no problem, or no design has a spread.
    """
    both = a.join(b, on=["dataset", "split", "query_id"], how="inner", suffix="_b", nulls_equal=True)
    if both.is_empty():
        raise BadInput("the two sides share no problem", mend="give one pilot, or two over the same problems")
    unit = units_of(both["cluster"].to_list(), both.height)
    variances = Variances.of(floats(both["correct"]), floats(both["correct_b"]), unit)
    each = float((both["candidates"] + both["candidates_b"]).mean() or 0)  # type: ignore[arg-type]
    rows = []
    for paired in (True, False):
        for runs in (1, 2, 4, 8, None):
            variance = variances.one(paired=paired, runs=runs)
            n = questions(variance, effect, power) if variance > 0 else None
            rows.append(
                {
                    "design": "paired" if paired else "unpaired",
                    "runs": runs,
                    "questions": n,
                    "draws": None if runs is None or n is None else round(n * runs * each),
                    "power": None if n is None else noticed(variance, effect, variances.problems),
                }
            )
    if all(row["questions"] is None for row in rows):
        what = "the pilot answers all of its problems alike, with no spread to plan from"
        raise BadInput(what, mend="give one of more problems, or of harder ones")
    return pl.DataFrame(
        rows,
        schema={"design": pl.String, "runs": pl.Int64, "questions": pl.Int64, "draws": pl.Int64, "power": pl.Float64},
    )
