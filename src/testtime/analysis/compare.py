"""Comparisons, all of them paired: the same problems met by both sides, in every resample too.

`paired` sets one policy or run beside another; against.py sets every setting beside the curve of a base
policy, at equal spend and at equal accuracy. Two 0/1 columns over the same problems also get the exact
sign test, Holm-corrected over all the rows of one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import (
    LEVEL,
    RESAMPLES,
    difference_interval,
    means,
    monte_carlo_error,
    percentile,
    resample,
    units_of,
)
from testtime.analysis.monitor import by_unit, settled, wealth
from testtime.analysis.table import SPENDS, floats, groups
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints

POWER = 0.8
"""The chance at which `mde` would be noticed."""
_SIDE = ("run", "model", "arm", "policy", "setting")
_PLACE = ("dataset", "split")


def paired(a: pl.DataFrame, b: pl.DataFrame, *, seed: int = 0, resamples: int = RESAMPLES) -> pl.DataFrame:
    """What b changes against a on the problems both have, one row a pair; all differences are b − a.

    `a` and `b` are outcomes. One policy each is one pair, one against several is a pair for each of the
    several, and several on both sides pair by dataset, split, policy, setting and kind. Raises BadInput
    where nothing pairs or something pairs twice. Columns, beside those that name the two sides:

    - `n` problems with a verdict on both sides; `accuracy_a`, `accuracy_b` over these; `difference` with
      `low`, `high` (95 %, `bootstrap.difference_interval`, clusters whole); `mc_error` what simulated
      orders add to its standard error.
    - `better`, `worse`: problems on which b is more, less often right. `p`: for realised outcomes the exact
      two-sided sign test of these (McNemar's on 0/1 answers), null for expected ones; problems of one cluster
      are one sign, that of their sum. `p_holm` the same corrected for all rows (Holm 1979).
    - `mde`: the difference that so many problems would have shown with a chance of 80 % at 5 % (Miller 2024).
    - `e_value`: evidence against no difference that is valid at any look (monitor.py), after the last problem;
      `settled_after`: problems, or clusters, after which a comparison that is looked at all the time could have
      ended at 5 %, null where it could not.
    - for every spend: `_a`, `_b`, `_difference`, `_low`, `_high`, a problem; null where any is unknown.
    """
    rows = [_pair(one, other, seed, resamples) for one, other in _pairs([*groups(a)], [*groups(b)])]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact p of so many wins and losses when both are equally likely; McNemar's exact test.

    >>> sign_test(8, 1)
    0.0390625
    """
    n = better + worse
    tail = sum(comb(n, i) for i in range(min(better, worse) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979), in the order given; None stays.

    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    known = sorted((p, at) for at, p in enumerate(ps) if p is not None)
    out: list[float | None] = [None] * len(ps)
    worst = 0.0
    for rank, (p, at) in enumerate(known):
        worst = max(worst, min(1.0, p * (len(known) - rank)))
        out[at] = worst
    return out


def _pairs(a: list[pl.DataFrame], b: list[pl.DataFrame]) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    if not a or not b:
        raise BadInput("a comparison without outcomes", mend="give outcomes on both sides")
    if len(a) == 1 or len(b) == 1:
        return [(one, other) for one in a for other in b]
    left, right = (_by_name(side) for side in (a, b))
    both = [(left[name], right[name]) for name in left if name in right]
    if not both:
        raise BadInput("no policy and setting on both sides", mend="compare one policy with one, or the same grid")
    return both


def _by_name(side: Sequence[pl.DataFrame]) -> dict[tuple[Any, ...], pl.DataFrame]:
    found: dict[tuple[Any, ...], pl.DataFrame] = {}
    for group in side:
        name = tuple(group[column][0] for column in (*_PLACE, "policy", "setting", "kind"))
        if name in found:
            raise BadInput(f"{name[2]}:{name[3]} is there twice on one side", mend="keep one run, model and arm a side")
        found[name] = group
    return found


def gaps(a: pl.DataFrame, b: pl.DataFrame) -> Floats:
    """[unit] b − a in chances to be right, clusters as one, in order; unknown ones left out. Raises BadInput."""
    both = _joined(a, b)
    gap = by_unit(_gap(both), units_of(both["cluster"].to_list(), both.height))
    return gap[~np.isnan(gap)]


def _joined(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    both = a.join(b, on=[*_PLACE, "query_id"], how="inner", suffix="_b", maintain_order="left", nulls_equal=True)
    if both.is_empty():
        raise BadInput(
            f"no problem in common: {_whose(a)} and {_whose(b)}", mend="compare runs over the same dataset and split"
        )
    return both


def _whose(side: pl.DataFrame) -> str:
    """`dataset/split of run`, as far as they are known and one."""
    place = "/".join(part for part in (side["dataset"][0], side["split"][0]) if part and part != "all")
    return f"{place} of {side['run'][0]}" if place else str(side["run"][0])


def _gap(both: pl.DataFrame) -> Floats:
    """[problem] nan where a side has no verdict, or its draws did not suffice."""
    gap = (floats(both["correct_b"]) - floats(both["correct"])).round(12)
    whole = (floats(both["exhausted"]) == 0) & (floats(both["exhausted_b"]) == 0)
    known: Floats = np.where(whole, gap, np.nan)
    return known


def _pair(a: pl.DataFrame, b: pl.DataFrame, seed: int, resamples: int) -> dict[str, Any]:
    both = _joined(a, b)
    unit = units_of(both["cluster"].to_list(), both.height)
    row: dict[str, Any] = {name: both[name][0] for name in _PLACE}
    row |= {f"{name}_{end}": side[name][0] for end, side in (("a", a), ("b", b)) for name in _SIDE}
    row |= _rightness(both, unit, seed, resamples)
    return row | _spending(both, unit, seed, resamples)


def _rightness(both: pl.DataFrame, unit: Ints, seed: int, resamples: int) -> dict[str, Any]:
    before, after = floats(both["correct"]), floats(both["correct_b"])
    gap = _gap(both)
    known = ~np.isnan(gap)
    if not known.any():
        return {"n": 0, "p": None}
    better, worse = int((gap > 0).sum()), int((gap < 0).sum())
    gaps = by_unit(gap[known], unit[known])
    signs = int((gaps > 0).sum()), int((gaps < 0).sum())
    low, high = difference_interval(gap, unit, seed=seed, resamples=resamples)
    realised = both["kind"][0] == both["kind_b"][0] == "realised"
    return {
        "n": int(known.sum()), "accuracy_a": before[known].mean(), "accuracy_b": after[known].mean(),
        "difference": gap[known].mean(), "low": _finite(low), "high": _finite(high),
        "mc_error": monte_carlo_error((floats(both["correct_var"]) + floats(both["correct_var_b"]))[known]),
        "better": better, "worse": worse, "p": sign_test(*signs) if realised else None,
        "mde": _detectable(gap[known], unit[known]), **_watched(gaps),
    }  # fmt: skip


def _watched(gaps: Floats) -> dict[str, Any]:
    """What looking after every problem, or cluster, in their order, would have shown."""
    ended = int(settled(gaps))
    return {"e_value": float(wealth(gaps)[-1]), "settled_after": ended or None}


def _detectable(gap: Floats, unit: Ints) -> float | None:
    """The smallest true difference noticed with a chance of `POWER`; standard error over units."""
    influence = np.bincount(unit, weights=gap - gap.mean())
    number = len(np.unique(unit))
    if number < 2 or not influence.any():  # no spread seen is no proof that there is none
        return None
    error = sqrt(float((influence**2).sum()) * number / (number - 1)) / len(gap)
    normal = NormalDist()
    return (normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(POWER)) * error


def _spending(both: pl.DataFrame, unit: Ints, seed: int, resamples: int) -> dict[str, Any]:
    """Every spend of both sides and their difference with its interval, all of them over the same resamples."""
    before, after = (np.stack([floats(both[spend + end]) for spend in SPENDS], axis=1) for end in ("", "_b"))
    sampled = means(resample(unit, seed, resamples), after - before)
    out: dict[str, Any] = {}
    for at, spend in enumerate(SPENDS):
        a, b = float(before[:, at].mean()), float(after[:, at].mean())
        out |= {f"{spend}_a": _finite(a), f"{spend}_b": _finite(b), f"{spend}_difference": _finite(b - a)}
        if np.isfinite(b - a):
            out[f"{spend}_low"], out[f"{spend}_high"] = percentile(sampled[:, at])
    return out


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


_SCHEMA: dict[str, Any] = (
    dict.fromkeys((*_PLACE, *(f"{name}_{end}" for end in "ab" for name in _SIDE)), pl.String)
    | {"n": pl.Int64}
    | dict.fromkeys(("accuracy_a", "accuracy_b", "difference", "low", "high", "mc_error"), pl.Float64)
    | {"better": pl.Int64, "worse": pl.Int64}
    | dict.fromkeys(("p", "p_holm", "mde", "e_value"), pl.Float64)
    | {"settled_after": pl.Int64}
    | {f"{spend}_{end}": pl.Float64 for spend in SPENDS for end in ("a", "b", "difference", "low", "high")}
)
