"""Splits whose answers have no votes: chat, talks with tools, programs whose prompts show no example to run them on.

Such answers are right or wrong by a judge's word and have no key, so a rule that counts votes hears nobody. That is no
wrong answer: what a vote of several would give is unknown there, and one candidate alone is as good as its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from testtime.core.errors import BadInput
from testtime.core.history import Bools, Floats
from testtime.core.protocols import Policy
from testtime.core.strings import setting
from testtime.store.pool import Draws, Pool


def voteless(pool: Pool) -> Bools:
    """[problem] whether it is of a split in which some answer is right, and none has a key."""
    keyed, right = (np.zeros(len(pool.problems), bool) for _ in range(2))
    for draws in pool.arms.values():
        keyed |= (draws.codes >= 0).any(axis=1)
        right |= (draws.right == 1.0).any(axis=1)
    heard = {split for split, votes in zip(pool.splits, keyed, strict=True) if votes}
    known = {split for split, verdict in zip(pool.splits, right, strict=True) if verdict}
    return np.array([split in known - heard for split in pool.splits], dtype=bool)


def voting(pool: Pool) -> Pool:
    """The pool without splits where nobody votes. Raises BadInput where nothing is left."""
    silent = voteless(pool)
    if silent.any() and silent.all():
        raise BadInput("no answer has a vote", where=pool.run, mend="pass@k alone is known: testtime inspect")
    return pool.part(np.flatnonzero(~silent)) if silent.any() else pool


def without_votes(pool: Pool, table: pl.DataFrame, policies: Sequence[Policy], *, realised: bool) -> pl.DataFrame:
    """Outcomes as they are to be read: where nobody votes, `correct` is one candidate's verdict, or null of several.

    A policy that picks by a score (`picks`) asks for no votes, and is left as it is.
    """
    silent = voteless(pool)
    if not silent.any():
        return table
    counted = [policy for policy in policies if not getattr(policy, "picks", False)]
    query = [name for name, hit in zip(pool.problems, silent, strict=True) if hit]
    verdicts = pl.concat(
        pl.DataFrame({"arm": label, "query_id": query, "_one": _of_one(draws, realised)[silent]})
        for label, draws in pool.arms.items()
    )
    names = [f"{one.name}:{setting(one)}" for one in counted]
    alone = [name for name, one in zip(names, counted, strict=True) if one.name == "sc_fixed" and _draws(one) == 1]
    said = pl.concat_str("policy", pl.lit(":"), "setting")
    there = pl.col("query_id").is_in(query)
    correct = (
        pl.when(there & said.is_in(alone))
        .then(pl.col("_one"))
        .when(there & said.is_in(names))
        .then(None)
        .otherwise("correct")
    )
    joined = table.join(verdicts, on=("arm", "query_id"), how="left", maintain_order="left")
    return joined.with_columns(correct=correct.fill_nan(None)).drop("_one")


def _draws(policy: Policy) -> int | None:
    """How many a policy draws, where that is a setting of it."""
    return getattr(policy, "n", None)


def _of_one(draws: Draws, realised: bool) -> Floats:
    """[problem] the first draw's verdict, or the mean of all that are known; nan where none is."""
    right = draws.right[:, :1] if realised else draws.right[:, : draws.sampled]
    known = ~np.isnan(right)
    counts = known.sum(axis=1)
    sums = np.where(known, right, 0.0).sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(right), np.nan), where=counts > 0))
