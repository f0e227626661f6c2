"""What the table of a run is about, where its folder holds more than was asked for last.

A folder grows to the union of what it was ever asked for, and no policy has a result over problems that lack draws.
Where one would, the table is of the problems that were asked for last, and of the policies that these can tell of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from testtime.analysis.replay import outcomes
from testtime.core.protocols import Policy
from testtime.core.strings import setting
from testtime.store.pool import Pool


@dataclass(frozen=True)
class Asked:
    """What was asked for last."""

    problems: Collection[str]
    policies: Sequence[Policy]
    floors: Mapping[str, int]
    """Arm → draws that each of these problems was due whatever came out."""
    live: bool = False
    """Its policy was executed, with draws of its own."""


def scored(pool: Pool, policies: Sequence[Policy], asked: Asked) -> tuple[pl.DataFrame, list[str]]:
    """The outcomes of all policies of a folder over all its problems, or as above; and what a reader must be told."""
    table, notes = _over(pool, policies, live=asked.live), list[str]()
    here = np.array([at for at, query in enumerate(pool.problems) if query in asked.problems], dtype=np.int64)
    short = _short(table)
    if short and 0 < here.size < len(pool.problems):
        table = _over(_deeper(pool.part(here), asked.floors), policies, live=asked.live)
        others = len(pool.problems) - here.size
        notes.append(
            f"the table is of the {here.size} problems that were asked for last; the folder's other {others} "
            f"have too few draws for {', '.join(short)}"
        )
    own = {_name(policy.name, setting(policy)) for policy in asked.policies}
    if strange := [name for name in _short(table) if name not in own]:
        table = table.filter(~_names().is_in(strange))
        notes.append(f"{', '.join(strange)}: left out, as fewer problems were drawn for it than were asked for last")
    return table, notes


def _over(pool: Pool, policies: Sequence[Policy], *, live: bool) -> pl.DataFrame:
    """Over all orders for what the floor holds; as it was executed for a policy that was given draws of its own."""
    floor = 0 if live else min(draws.sampled if draws.floor is None else draws.floor for draws in pool.arms.values())
    within = [policy for policy in policies if policy.most is not None and policy.most <= floor]
    beyond = [policy for policy in policies if policy not in within]
    frames = [outcomes(pool, within)] if within else []
    return pl.concat([*frames, outcomes(pool, beyond, realised=True)] if beyond else frames)


def _deeper(pool: Pool, floors: Mapping[str, int]) -> Pool:
    """The pool with the floors that its problems have by themselves."""
    arms = {label: replace(draws, floor=max(draws.sampled, floors.get(label, 0))) for label, draws in pool.arms.items()}
    return replace(pool, arms=arms)


def _short(table: pl.DataFrame) -> list[str]:
    """The policies that have no result, because the pool ends before they do."""
    return table.filter(pl.col("exhausted") > 0).select(_names()).to_series().unique(maintain_order=True).to_list()


def _names() -> pl.Expr:
    return pl.concat_str("policy", pl.when(pl.col("setting") != "").then(":" + pl.col("setting")), ignore_nulls=True)


def _name(policy: str, text: str) -> str:
    return f"{policy}:{text}" if text else policy
