"""Outcomes by hand, for the tests of what is made from outcomes."""

from __future__ import annotations

import polars as pl
import pytest

_ROW = {
    "run": "R", "provider": "fake", "model": "m", "dataset": "sums", "split": "test", "arm": "base",
    "decoding": "plain", "temperature": 0.7, "policy": "sc_fixed", "setting": "n=1", "query_id": "0",
    "cluster": None, "kind": "expected", "method": "exact", "answer": None, "correct": 1.0, "answered": 1.0,
    "agreement": 1.0, "grade": "uncertified", "e_value": None, "certified": None,
    "truncated": 0.0, "candidates": 1.0, "rounds": 1.0, "gen_tokens": 10.0, "total_tokens": 15.0, "seconds": 1.0,
    "critical_seconds": 1.0, "usd": None, "joules": None, "correct_var": 0.0, "exhausted": 0.0, "measured": False,
}  # fmt: skip
_TEXT = ("cluster", "answer")


@pytest.fixture
def make_outcomes():
    """`make_outcomes([correct, …], setting="n=2", gen_tokens=[…])`: a row a problem; lists are by problem."""

    def make(correct, **columns):
        n = len(correct)
        columns = {"correct": correct, "query_id": [str(i) for i in range(n)], **columns}
        data = {k: columns.get(k, v) for k, v in _ROW.items()}
        kinds = {k: type(v) if v is not None else str if k in _TEXT else float for k, v in _ROW.items()}
        wide = {k: v if isinstance(v, list) else [v] * n for k, v in data.items()}
        return pl.DataFrame(wide, schema=kinds, strict=False)

    return make
