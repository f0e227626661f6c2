"""Which problems the page shows: a seeded sample of every kind of problem, and how many of each kind there are."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from testtime.analysis.audit import shares
from testtime.core.seeds import rng_of

STATES = ("all right", "some right", "none right", "no verdict")
"""What a problem's candidates are together."""


def facts(frame: pl.DataFrame) -> pl.DataFrame:
    """A row a problem, in order of appearance: split, state (STATES), `apart` (several answers), `refused`, `failed`.

    `frame` is candidates without texts; marked retries are not counted. A failed draw is not right.
    """
    wanted = {"split": pl.String, "is_verified": pl.Boolean, "answer_key": pl.String, "refusal_is_refusal": pl.Boolean,
              "error": pl.String, "is_retry": pl.Boolean}  # fmt: skip
    absent = [pl.lit(None, kind).alias(name) for name, kind in wanted.items() if name not in frame.columns]
    rows = frame.with_columns(*absent).filter(pl.col("is_retry").fill_null(False).not_())
    right = pl.col("is_verified").fill_null(False)
    state = (
        pl.when(pl.col("is_verified").is_null().all()).then(pl.lit(STATES[3]))
        .when(right.all()).then(pl.lit(STATES[0]))
        .when(right.any()).then(pl.lit(STATES[1]))
        .otherwise(pl.lit(STATES[2]))
    )  # fmt: skip
    return rows.group_by("query_id", maintain_order=True).agg(
        split=pl.col("split").first().fill_null(""),
        state=state,
        apart=pl.col("answer_key").drop_nulls().n_unique() > 1,
        refused=pl.col("refusal_is_refusal").fill_null(False).any(),
        failed=pl.col("error").is_not_null().any(),
    )


def chosen(problems: pl.DataFrame, most: int, seed: int = 0) -> tuple[list[str], list[tuple[str, int, int]]]:
    """(Up to `most` problems in seeded order, [(stratum, of it chosen, of it there)]) of what `facts` gives.

    A stratum is a split and a state. Each has at least one problem, the rest go by size.
    """
    dice = rng_of(seed, "report")
    rows = problems.with_columns(_dice=pl.Series(dice.random(problems.height)))
    groups = rows.sort("_dice").partition_by("split", "state", maintain_order=True)
    groups = sorted(groups, key=lambda group: (group["split"][0], STATES.index(group["state"][0])))
    counts = shares([group.height for group in groups], min(most, problems.height))
    taken = [group.head(count) for group, count in zip(groups, counts, strict=True)]
    strata = [(_name(g), count, g.height) for g, count in zip(groups, counts, strict=True)]
    return (pl.concat(taken).sort("_dice")["query_id"].to_list() if taken else []), strata


def _name(group: pl.DataFrame) -> str:
    return ", ".join(part for part in (group["split"][0], group["state"][0]) if part)


def stated(strata: Sequence[tuple[str, int, int]]) -> str:
    """The sample in words.

    >>> stated([("easy, all right", 3, 40), ("easy, none right", 1, 1)])
    'easy, all right: 3 of 40; easy, none right: 1 of 1'
    """
    return "; ".join(f"{name}: {shown:,} of {there:,}" for name, shown, there in strata)
