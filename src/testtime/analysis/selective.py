"""Which answers to trust: the error among the most certain share of problems, for every share (risk and coverage).

Problems are ranked by how certain a policy is of their answers. The risk at coverage c is the share of wrong answers
among the first c; AURC is its mean over all coverages, the smaller the better (Geifman and El-Yaniv 2017). A ranking
that knows nothing has the overall error as its AURC; the best ranking of the same answers puts all right ones first.
Equal certainties stand in any order: their errors are spread evenly over their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import Interval, percentile, resample, units_of
from testtime.analysis.table import floats
from testtime.core.errors import BadInput
from testtime.core.history import Floats

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Coverages that are shown."""


@dataclass(frozen=True, eq=False)
class Selective:
    """One policy's answers, the most certain first."""

    problems: int
    risk: Floats
    """[problem] the error among so many of the most certain ones."""
    aurc: float
    interval: Interval
    """Of the AURC, 95 %, over problems, clusters whole."""
    best: float
    """The AURC of the best ranking of these answers; the error itself is that of none."""
    certified: int
    """Problems whose answer is certified, of which `false` are wrong."""
    false: int

    @property
    def error(self) -> float:
        """Of all answers."""
        return float(self.risk[-1])

    @property
    def excess(self) -> float:
        """AURC beyond the best ranking's, as a share of what no ranking has: 0 is perfect, 1 is by chance."""
        return (self.aurc - self.best) / (self.error - self.best) if self.error > self.best else 0.0

    def at(self, share: float) -> float:
        """The risk at a coverage, of at least one problem."""
        return float(self.risk[max(round(share * self.problems), 1) - 1])


def risks(wrong: Floats, certainty: Floats, weight: Floats | None = None) -> Floats:
    """[problem] the expected error among so many of the most certain; weights are whole numbers of copies.

    >>> risks(np.array([0.0, 1.0, 0.0]), np.array([3.0, 1.0, 1.0])).tolist()
    [0.0, 0.25, 0.3333333333333333]
    """
    if weight is not None:
        at = np.repeat(np.arange(len(wrong)), weight.astype(np.int64))
        wrong, certainty = wrong[at], certainty[at]
    _, block, count = np.unique(-certainty, return_inverse=True, return_counts=True)
    spread = (np.bincount(block, weights=wrong) / count)[np.sort(block)]
    found: Floats = np.cumsum(spread) / np.arange(1, len(wrong) + 1)
    return found


def selective(outcomes: pl.DataFrame, *, seed: int = 0, resamples: int = 1000) -> Selective:
    """Of realised outcomes of one policy that says how sure it is (`e_value`). Raises BadInput where it does not.

    Problems without a verdict are left out; one without an answer is wrong, and its e-value is what it is.
    """
    known = outcomes.filter(pl.col("correct").is_not_null() & pl.col("e_value").is_not_null())
    if known.is_empty():
        policy = outcomes["policy"][0] if outcomes.height else "a policy"
        if (outcomes["exhausted"].fill_null(0) > 0).any():
            raise BadInput(f"{policy} would need more draws than the pool has", mend="lower its max_n")
        raise BadInput(f"{policy} does not say how sure its answers are", mend="take certified")
    wrong, sure = 1 - floats(known["correct"]), floats(known["e_value"])
    unit = units_of(known["cluster"].to_list(), known.height)
    weights = resample(unit, seed, resamples)
    sampled = np.array([risks(wrong, sure, weight).mean() for weight in weights if weight.any()])
    risk = risks(wrong, sure)
    done = floats(known["certified"]) == 1
    return Selective(
        known.height, risk, float(risk.mean()), percentile(sampled), float(risks(wrong, -wrong).mean()),
        int(done.sum()), round(float(wrong[done].sum())),
    )  # fmt: skip


def rows_of(found: Selective, shares: Sequence[float] = SHARES) -> pl.DataFrame:
    """One row a coverage: `coverage, problems, risk`."""
    return pl.DataFrame(
        {"coverage": list(shares), "problems": [max(round(one * found.problems), 1) for one in shares],
         "risk": [found.at(one) for one in shares]}
    )  # fmt: skip
