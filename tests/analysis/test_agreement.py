"""Counts of verdicts are the counts of the rows, and agreement is over those that both stages judged."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.agreement import agreement, by_method

verdict = st.sampled_from([True, False, None])


@given(st.lists(st.tuples(st.sampled_from(["key", "number", None]), verdict), min_size=1, max_size=40))
def test_rules_are_counted_row_by_row(rows: list[tuple[str | None, bool | None]]) -> None:
    schema = {"verification_method": pl.String, "is_verified": pl.Boolean}
    found = by_method(pl.DataFrame(rows, schema=schema, orient="row"))
    counts = Counter(rows)
    for row in found.iter_rows(named=True):
        said = (row["right"], row["wrong"], row["open"])
        assert said == tuple(counts[row["method"], value] for value in (True, False, None))
        assert row["confidence"] is None
    assert found.height == len({method for method, _ in rows})


@given(st.lists(st.tuples(verdict, verdict), max_size=40))
def test_agreement_is_over_candidates_that_both_judged(pairs: list[tuple[bool | None, bool | None]]) -> None:
    schema = {"was_verified": pl.Boolean, "is_verified": pl.Boolean}
    found = agreement(pl.DataFrame(pairs, schema=schema, orient="row").with_columns(stage=pl.lit("judge")))
    both = [pair for pair in pairs if None not in pair]
    assert found.both == len(both)
    assert sum(found.counts.values()) == len(pairs)
    if both:
        assert found.share == pytest.approx(sum(a == b for a, b in both) / len(both))
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.share <= found.high
    else:
        assert found.share is None
