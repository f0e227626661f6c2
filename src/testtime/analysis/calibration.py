"""Whether a model declines what has no answer, and nothing else: refusals on broken problems beside sound ones.

A problem's rate is the mean over its sampled draws; a failed draw declines nothing. A problem and its broken versions
are a pair, and what is resampled is pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import accuracy_interval, difference_interval, units_of
from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.store.pool import Draws, Pool

MARK = "~"
"""In the id of a broken problem, between the original's and how it was broken."""
ALL = "all"
"""In place of a corruption: the mean over a problem's broken versions."""
_ENDS = ("", "_low", "_high")
_SCHEMA: dict[str, Any] = {
    "corruption": pl.String,
    "n": pl.Int64,
    **{f"{side}{end}": pl.Float64 for side in ("malformed", "sound") for end in _ENDS},
    **dict.fromkeys(("difference", "low", "high"), pl.Float64),
    "unknown": pl.Int64,
}


def calibration(pool: Pool, seed: int = 0) -> pl.DataFrame:
    """How often broken and sound problems are declined, one row a corruption and, last, one for ALL.

    Columns: `corruption`; `n` originals that were drawn in both forms; `malformed`, `sound` the rates with `_low`,
    `_high`; `difference` (malformed − sound) with `low`, `high`, paired; `unknown` texts of the pool of which nobody
    can say (withheld). Intervals are of 95 %. Raises BadInput for a pool that holds no such pairs, or several arms.
    """
    if len(pool.arms) != 1:
        raise BadInput(f"it has {len(pool.arms)} arms", where=pool.run, mend="calibrate one decoding at a time")
    (draws,) = pool.arms.values()
    rates, unknown = _rates(draws)
    sound, broken = dict[str, int](), dict[str, dict[str, list[int]]]()
    for at, query in enumerate(pool.problems):
        original, _, kind = query.partition(MARK)
        if not kind:
            sound[original] = at
        for name in (kind, ALL) if kind else ():
            broken.setdefault(name, {}).setdefault(original, []).append(at)
    if not sound or not broken:
        raise BadInput("no broken problems beside their originals", where=pool.run, mend="draw it by calibrate")
    broken[ALL] = broken.pop(ALL)
    clusters = pool.clusters or [None] * len(pool.problems)
    rows = []
    for kind, there in broken.items():
        pairs = [
            (_mean(rates[there[one]]), float(rates[sound[one]]), clusters[sound[one]]) for one in there if one in sound
        ]
        rows.append({"corruption": kind, **_paired(pairs, seed), "unknown": unknown})
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _rates(draws: Draws) -> tuple[Floats, int]:
    """[problem] share of its sampled draws that decline, nan where nobody can say; and how many texts those are."""
    declined = draws.column("refused")[:, : draws.sampled]
    return np.array([_mean(row) for row in declined]), int(np.isnan(declined).sum())


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _paired(pairs: Sequence[tuple[float, float, str | None]], seed: int) -> Mapping[str, Any]:
    """Of (broken, sound, cluster): both rates and their difference."""
    known = [pair for pair in pairs if not np.isnan(pair[0] + pair[1])]
    row: dict[str, Any] = {"n": len(known)}
    if not known:
        return row
    bad, good = np.array([pair[0] for pair in known]), np.array([pair[1] for pair in known])
    unit = units_of([cluster for _, _, cluster in known], len(known))
    for name, values in (("malformed", bad), ("sound", good)):
        low, high = accuracy_interval(values, unit, seed=seed)
        row |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    low, high = difference_interval(bad - good, unit, seed=seed)
    return row | {"difference": float((bad - good).mean()), "low": low, "high": high}
