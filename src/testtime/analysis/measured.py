"""What a policy that was executed alone really took, from the ledger of its calls.

A replay models time and energy as sums over draws; where draws shared a request, or ran side by side, that is
not what happened. Here each problem gets what its own calls took. Attempts that failed have no known cost and are
left out, as in the pool; their number is in calls.parquet.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from testtime.core.spend import total

_SPENDS = {"seconds": "seconds", "usd": "usd", "joules": "joules"}


def measured(outcomes: pl.DataFrame, calls: Path) -> pl.DataFrame:
    """The outcomes of one policy with the time, dollars and joules of each problem's calls, marked as measured.

    `seconds` are those of all its calls together; `critical_seconds` those in which any of them was in flight,
    with the run's other problems beside it. What any of its calls leaves unknown is null.
    """
    ledger = pl.read_parquet(calls).filter(pl.col("status") == "ok")
    by_query: dict[str, list[dict[str, Any]]] = {}
    for call in ledger.iter_rows(named=True):
        for query in {_query(served) for served in call["serves"]}:
            by_query.setdefault(query, []).append(call)
    rows = [_row(by_query.get(query, [])) for query in outcomes["query_id"]]
    columns = [pl.Series(name, [row[name] for row in rows], pl.Float64) for name in (*_SPENDS, "critical_seconds")]
    return outcomes.with_columns(*columns, measured=pl.lit(True)).select(outcomes.columns)


def _query(served: str) -> str:
    """The problem of a draw's id, `arm/problem/number`; problems may have slashes in their names."""
    return served.partition("/")[2].rpartition("/")[0]


def _row(calls: list[dict[str, Any]]) -> dict[str, float | None]:
    if not calls:
        return dict.fromkeys((*_SPENDS, "critical_seconds"))
    sums = {name: total(call[column] for call in calls).value for name, column in _SPENDS.items()}
    return {**sums, "critical_seconds": covered((call["started"], call["ended"]) for call in calls)}


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals.

    >>> covered([(0, 2), (1, 3), (10, 11)])
    4.0
    """
    length, reached = 0.0, float("-inf")
    for started, ended in sorted(spans):
        length += max(0.0, ended - max(started, reached))
        reached = max(reached, ended)
    return length
