"""A policy that was executed has the time and the cost of its own calls: each call once, waiting apart from work,
whole sums or null, and problems named with slashes kept apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.measured import measured
from testtime.analysis.spans import covered

CALLS = [
    {"serves": ["arm/a/b/0", "arm/a/b/1"], "seconds": 2.0, "usd": 0.5, "joules": 3.0, "started": 0.0, "ended": 2.0},
    {"serves": ["arm/a/b/2"], "seconds": 1.0, "usd": 0.25, "joules": 1.0, "started": 1.0, "ended": 2.5},
    {"serves": ["arm/c/0"], "seconds": 1.0, "usd": None, "joules": 1.0, "started": 5.0, "ended": 6.0},
]


def told(folder: Path, calls: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    pl.DataFrame([{"status": "ok", **call} for call in calls]).write_parquet(folder / "calls.parquet")
    outcomes = pl.DataFrame(
        {
            "query_id": ["a/b", "c", "none"],
            "seconds": 9.0,
            "usd": 9.0,
            "joules": 9.0,
            "critical_seconds": 9.0,
            "measured": False,
        }
    )
    given = measured(outcomes, folder / "calls.parquet")
    assert given.columns == outcomes.columns
    assert given["measured"].all()
    return {row["query_id"]: row for row in given.iter_rows(named=True)}


def test_each_problem_has_what_its_own_calls_took(tmp_path: Path) -> None:
    rows = told(tmp_path, CALLS)
    assert [rows["a/b"][name] for name in ("seconds", "usd", "joules", "critical_seconds")] == [3.0, 0.75, 4.0, 2.5]
    assert [rows["c"][name] for name in ("seconds", "usd", "joules", "critical_seconds")] == [1.0, None, 1.0, 1.0]
    assert [rows["none"][name] for name in ("seconds", "usd", "joules", "critical_seconds")] == [None] * 4


def test_attempts_that_failed_add_nothing(tmp_path: Path) -> None:
    lost = {"serves": ["arm/c/0"], "status": "failed", "started": 0.0, "ended": 4.0}
    assert told(tmp_path, [*CALLS, lost]) == told(tmp_path, CALLS)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8))
def test_what_is_covered_is_counted_once(spans: list[tuple[int, int]]) -> None:
    ends = [(start, start + length) for start, length in spans]
    row = np.zeros(len(ends), dtype=int)
    started, ended = (np.array([one[at] for one in ends], dtype=float) for at in (0, 1))
    length = covered(row, started, ended, 1)[0]
    assert length == pytest.approx(len({moment for start, end in ends for moment in range(start, end)}))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 9)), max_size=12))
def test_each_row_has_its_own_union(spans: list[tuple[int, int, int]]) -> None:
    row, start, length = (np.array([one[at] for one in spans], dtype=int) for at in (0, 1, 2))
    lengths = covered(row, start.astype(float), (start + length).astype(float), 4)
    for mine in range(4):
        alone = row == mine
        assert lengths[mine] == covered(
            np.zeros(alone.sum(), int), 1.0 * start[alone], 1.0 * (start + length)[alone], 1
        )
