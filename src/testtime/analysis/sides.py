"""Pools set beside each other: what a candidate, the first one, any and the vote of N are worth on each, paired.

The rows that `testtime compare` prints are those of `compare.paired`, over the outcomes of four policies: one
candidate in expectation, and, as issued, the first candidate, the vote of N, and any of N. N is the smallest floor,
so that no side has more draws than another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import means, percentile, resample, units_of
from testtime.analysis.compare import gaps, holm, paired
from testtime.analysis.monitor import power, settled, wealth
from testtime.analysis.replay import has_gold, outcomes
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints
from testtime.core.strings import parse
from testtime.store.frame import SPENDS
from testtime.store.pool import Pool

MEASURES = ("a candidate", "the first candidate", "vote of N", "any of N")
COSTS = ("quality_total_response_length", "refused", "usd", "persona_markers", "persona_constraint_violations")
"""Columns whose means are set beside each other where both pools know them: what a persona costs, and shows."""
OTHERWISE = {"refusal_is_refusal": "refused"}
"""Further columns of candidates.parquet that a pool calls otherwise."""
ALL = "all"
"""The one group where nothing is grouped."""


def set_beside(pools: Sequence[Pool], *, by: str | None = None, seed: int = 0) -> pl.DataFrame:
    """Every pool against the first, on the problems both have: one row a (group, measure, pool).

    `by` = "split" compares within each split. Columns are those of `compare.paired`, led by `measure` (MEASURES, N
    filled in) and `side`, the name of the pool; Holm's correction is over all rows. Raises BadInput: fewer than two
    pools, an arm that is not alone, no verdicts, no problem in common.
    """
    if len(pools) < 2:
        raise BadInput("a comparison needs two pools", mend="name another file or run folder")
    if by not in (None, "split"):
        raise BadInput(f"cannot compare by {by!r}", mend="compare by split")
    n = min(draws.sampled for pool in pools for draws in pool.arms.values())
    first, *others = [_outcomes(pool, n, by) for pool in pools]
    found = []
    for name, other in zip(names_of(pools)[1:], others, strict=True):
        for measure, side in first.items():
            table = paired(side, other[measure], seed=seed)
            found.append(table.with_columns(measure=pl.lit(measure.replace("N", str(n))), side=pl.lit(name)))
    rows = pl.concat(found).select("measure", "side", pl.exclude("measure", "side"))
    return rows.with_columns(p_holm=pl.Series(holm(rows["p"].to_list()), dtype=pl.Float64))


def watched(
    pools: Sequence[Pool], effect: float, alpha: float = 0.05, *, by: str | None = None, seed: int = 0
) -> pl.DataFrame:
    """The same comparisons as if looked at after every problem, which may end at any look: one row a (measure, pool).

    `problems` in common, `difference` so far, `e_value` (evidence against none, at 1/α it is settled), `settled_after`
    so many problems; of a true difference of `effect`: `power`, the chance to end within so many, `mean_after`, and
    `power_fixed` of one look at the end. At most α of comparisons of equals ever end. Raises BadInput.
    """
    n = min(draws.sampled for pool in pools for draws in pool.arms.values())
    first, *others = [_outcomes(pool, n, by) for pool in pools]
    rows = []
    for name, other in zip(names_of(pools)[1:], others, strict=True):
        for measure, side in first.items():
            gap = gaps(side, other[measure])
            ended, could = int(settled(gap, alpha)), power(gap, effect, alpha=alpha, seed=seed)
            rows.append({
                "measure": measure.replace("N", str(n)), "side": name, "problems": len(gap),
                "difference": float(gap.mean()), "e_value": float(wealth(gap)[-1]), "settled_after": ended or None,
                "power": could.settles, "mean_after": could.after, "power_fixed": could.fixed,
            })  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"settled_after": pl.Int64})


def names_of(pools: Sequence[Pool]) -> list[str]:
    """The pools' names, numbered where two are called alike."""
    names: list[str] = []
    for pool in pools:
        names.append(pool.run if pool.run not in names else f"{pool.run} ({len(names) + 1})")
    return names


def _outcomes(pool: Pool, n: int, by: str | None) -> dict[str, pl.DataFrame]:
    """Measure → outcomes of one pool, of one dataset and, unless grouped, of one split."""
    if len(pool.arms) > 1:
        arms = ", ".join(pool.arms)
        raise BadInput(f"it has {len(pool.arms)} arms ({arms})", where=pool.run, mend="compare pools of one arm")
    if not has_gold(pool):
        raise BadInput("no answer is known to be right or wrong", where=pool.run, mend="give each row its `gold`")
    one, vote, some = (parse("policy", text) for text in ("sc_fixed:n=1", f"sc_fixed:n={n}", _any(n)))
    tables = [outcomes(pool, [one]), *(outcomes(pool, [policy], realised=True) for policy in (one, vote, some))]
    place = [pl.lit("").alias("dataset"), *([] if by else [pl.lit(ALL).alias("split")])]
    return {measure: table.with_columns(*place) for measure, table in zip(MEASURES, tables, strict=True)}


def _any(n: int) -> str:
    return f"best_of_n:n={n},by=oracle(is_verified)"


def columns_beside(
    pools: Sequence[Pool], columns: Sequence[str], *, by: str | None = None, seed: int = 0
) -> pl.DataFrame:
    """Means of number columns a draw, every pool against the first on common problems; differences with 95 % intervals.

    One row a (column, pool), or a (column, pool, split): `column, side, split, n, a, b, difference, low, high`; n
    counts problems of which both say it. Clusters are resampled whole. Raises BadInput for a column that a pool lacks.
    """
    place = {query: at for at, query in enumerate(pools[0].problems)}
    rows = []
    for name in columns:
        first, *others = [_by_problem(pool, name) for pool in pools]
        for side, other in zip(names_of(pools)[1:], others, strict=True):
            common = [query for query in first if query in other and not np.isnan(first[query] + other[query])]
            if not common:
                raise BadInput(f"no problem in common of which both say {name}", where=side)
            groups: dict[str, list[str]] = {}
            for query in common:
                groups.setdefault(pools[0].splits[place[query]] if by else ALL, []).append(query)
            for split, queries in groups.items():
                a, b = (np.array([values[query] for query in queries]) for values in (first, other))
                clusters = pools[0].clusters and [pools[0].clusters[place[query]] for query in queries]
                found = _difference(a, b, units_of(clusters or None, len(queries)), seed)
                rows.append({"column": name, "side": side, "split": split, "n": len(queries), **found})
    return pl.DataFrame(rows)


def known_to_all(pools: Sequence[Pool], columns: Sequence[str] = COSTS) -> list[str]:
    """Those of the columns that each pool and the first say of some problem that both have."""
    return [name for name in columns if all(_both_say(pools[0], other, name) for other in pools[1:])]


def _both_say(first: Pool, other: Pool, name: str) -> bool:
    if not all(name in draws.columns for pool in (first, other) for draws in pool.arms.values()):
        return False
    a, b = _by_problem(first, name), _by_problem(other, name)
    return any(query in b and not np.isnan(a[query] + b[query]) for query in a)


def _difference(a: Floats, b: Floats, unit: Ints, seed: int) -> dict[str, float]:
    gap = b - a
    sampled = means(resample(unit, seed), gap[:, None])
    low, high = percentile(sampled[:, 0])
    return {"a": a.mean(), "b": b.mean(), "difference": gap.mean(), "low": low, "high": high}


def _names(name: str) -> tuple[str, ...]:
    """What a pool may call a column of candidates.parquet."""
    return SPENDS.get(name, name), OTHERWISE.get(name, name), f"oracle({name})"


def _by_problem(pool: Pool, name: str) -> dict[str, float]:
    """query_id → mean of a column over its sampled draws; nan where none says it."""
    (draws,) = pool.arms.values()
    called = next((one for one in (name, *_names(name)) if one in draws.columns), None)
    if called is None:
        have = ", ".join(sorted(draws.columns))
        raise BadInput(f"no column {name!r}", where=pool.run, mend=f"it has: {have}")
    values = draws.columns[called][:, : draws.sampled]
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1)
    averages = np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)
    return dict(zip(pool.problems, averages.tolist(), strict=True))
