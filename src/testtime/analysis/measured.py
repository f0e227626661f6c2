"""What a policy that was executed alone really took, from the ledger of its calls.

A replay models time and energy as sums over draws; where draws shared a request, or ran side by side, that is
not what happened. Here each problem gets what its own calls took. Attempts that failed have no known cost and are
left out, as in the pool; their number is in calls.parquet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from testtime.analysis.spans import covered
from testtime.core.history import Floats, Ints
from testtime.store.frame import batches

_SPENDS = ("seconds", "usd", "joules")
_COLUMNS = ("status", "serves", "started", "ended", *_SPENDS)


def measured(outcomes: pl.DataFrame, calls: Path) -> pl.DataFrame:
    """The outcomes of one policy with the time, dollars and joules of each problem's calls, marked as measured.

    `seconds` are those of all its calls together; `critical_seconds` those in which any of them was in flight,
    with the run's other problems beside it. What any of its calls leaves unknown is null.
    """
    problems = outcomes.select(query="query_id").unique(maintain_order=True).with_row_index("problem")
    sums = {name: np.zeros(problems.height) for name in _SPENDS}
    spans: list[tuple[Ints, Floats, Floats]] = [(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))]
    for batch in batches(calls, _COLUMNS):
        each = _by_problem(batch.filter(status="ok"), problems)
        at = each["problem"].to_numpy()
        for name, total in sums.items():
            total += np.bincount(at, weights=_numbers(each[name]), minlength=problems.height)
        spans.append((at, _numbers(each["started"]), _numbers(each["ended"])))
    at, started, ended = (np.concatenate(parts) for parts in zip(*spans, strict=True))
    called = np.bincount(at, minlength=problems.height) > 0
    found = {**sums, "critical_seconds": covered(at, started, ended, problems.height)}
    took = {name: pl.Series(np.where(called, total, np.nan)).fill_nan(None) for name, total in found.items()}
    known = problems.with_columns(**took)
    rows = outcomes.select(query="query_id").join(known, on="query", how="left", maintain_order="left")
    return outcomes.with_columns(rows.select(*took), measured=pl.lit(True)).select(outcomes.columns)


def _by_problem(calls: pl.DataFrame, problems: pl.DataFrame) -> pl.DataFrame:
    """The calls, once for each problem that they were made for.

    A draw's id is `arm/problem/number`; problems may have slashes in their names.
    """
    query = pl.col("serves").str.replace(r"^[^/]*/", "").str.replace(r"/[^/]*$", "")
    named = calls.with_row_index("call").explode("serves").drop_nulls("serves").with_columns(query=query)
    return named.unique(["call", "query"], maintain_order=True).join(problems, on="query", maintain_order="left")


def _numbers(values: pl.Series) -> Floats:
    """As floats, what is unknown as nan: a sum over any of it is unknown."""
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()
