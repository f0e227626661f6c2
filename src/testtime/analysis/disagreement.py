"""Which problems a pool's candidates agree on least: where to look first."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from testtime.core.history import ABSTAINS, Ints
from testtime.store.pool import Draws, Pool


def divided(pool: Pool) -> pl.DataFrame:
    """One row a (problem, arm), the least agreed on first.

    Columns: query_id, split, arm, draws, answers (distinct ones), leading (share of the draws that gave the most
    voted answer), answer (its key), right (of those judged), judged.
    """
    rows = [
        _row(pool, label, draws, problem)
        for label, draws in pool.arms.items()
        for problem in range(len(pool.problems))
        if draws.size[problem]
    ]
    return pl.DataFrame(rows, infer_schema_length=None).sort("leading", maintain_order=True)


def _row(pool: Pool, label: str, draws: Draws, problem: int) -> dict[str, Any]:
    size = int(draws.size[problem])
    codes: Ints = draws.codes[problem, :size]
    right = draws.right[problem, :size]
    counts = np.bincount(codes[codes > ABSTAINS].astype(int))
    known = ~np.isnan(right)
    return {
        "query_id": pool.problems[problem],
        "split": pool.splits[problem],
        "arm": label,
        "draws": size,
        "answers": int((counts > 0).sum()),
        "leading": float(counts.max(initial=0)) / size,
        "answer": pool.keys[problem][int(counts.argmax())] if counts.size and pool.keys else None,
        "right": int(right[known].sum()),
        "judged": int(known.sum()),
    }
