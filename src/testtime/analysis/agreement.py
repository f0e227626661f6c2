"""How verifiers' verdicts go together: what each rule said, and a first verdict beside a later one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from testtime.analysis.bootstrap import wilson


def by_method(frame: pl.DataFrame) -> pl.DataFrame:
    """What each rule of each stage said, the most frequent first.

    `frame` has `is_verified`, and where known the columns of a verdict. Columns: stage, method, right, wrong, open
    (could not tell), confidence (mean, null where none is known), saw_reference (null where rows differ or none says).
    """
    wanted = {
        "verification_verifier_name": pl.String, "verification_method": pl.String,
        "verification_confidence": pl.Float64, "verification_saw_reference": pl.Boolean,
    }  # fmt: skip
    absent = [pl.lit(None, kind).alias(name) for name, kind in wanted.items() if name not in frame.columns]
    rows = frame.with_columns(*absent).rename({"verification_verifier_name": "stage", "verification_method": "method"})
    saw, verdict = pl.col("verification_saw_reference"), pl.col("is_verified")
    return (
        rows.group_by("stage", "method", maintain_order=True)
        .agg(
            right=(verdict == True).sum(),  # noqa: E712
            wrong=(verdict == False).sum(),  # noqa: E712
            open=verdict.null_count(),
            confidence=pl.col("verification_confidence").cast(pl.Float64).mean(),
            saw_reference=pl.when(saw.n_unique() == 1).then(saw.first()),
        )
        .sort(pl.col("right") + pl.col("wrong") + pl.col("open"), descending=True, maintain_order=True)
    )


@dataclass(frozen=True)
class Agreement:
    """A first verdict and a later one on the same candidates."""

    stage: str
    """The later one's."""
    counts: Mapping[tuple[bool | None, bool | None], int]
    """(First, later) → candidates; None could not tell."""
    both: int
    """Candidates of which both say right or wrong."""
    share: float | None
    """Of those, on how many they agree."""
    low: float | None
    high: float | None


def agreement(overlay: pl.DataFrame) -> Agreement:
    """Of an overlay of verdicts: rows with `stage`, `was_verified`, `is_verified`; Wilson's interval, over rows."""
    counts = Counter(overlay.select("was_verified", "is_verified").iter_rows())
    both = sum(count for (was, now), count in counts.items() if was is not None and now is not None)
    agree = counts[True, True] + counts[False, False]
    stage = str(overlay["stage"][0]) if "stage" in overlay.columns and overlay.height else "a later stage"
    if not both:
        return Agreement(stage, counts, 0, None, None, None)
    low, high = wilson(agree / both, both)
    return Agreement(stage, counts, both, agree / both, low, high)
