"""Replay: every policy on one pool, as if it had asked for the draws itself. No model, no network, no tokens.

A policy plays a pool in many orders or in the one of issue (`play`). `outcomes` says what each policy gives
on each problem: exactly where a closed form or a dynamic programme exists, else over orders that all share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import polars as pl

from testtime.analysis.closed import by_law, fixed
from testtime.analysis.outcomes import Books, Result, frame_of
from testtime.analysis.play import Played, play
from testtime.core.errors import Refused
from testtime.core.protocols import Policy
from testtime.store.pool import Pool

BLOCK = 2_000
"""Problems replayed together: memory is bounded by what their orders need, whatever the pool's size."""


def outcomes(
    pool: Pool,
    policies: Sequence[Policy],
    *,
    orders: int = 100,
    seed: int = 0,
    realised: bool = False,
    exact: bool = True,
) -> pl.DataFrame:
    """What each policy gives on each problem: one row a (arm, policy, problem), columns as `store.outcomes.OUTCOMES`.

    Expected outcomes are over all orders of each problem's sampled draws (those below the floor): exactly for
    policies of a fixed n and for rules of counts with at most 20,000 states on the problem, else over `orders`
    seeded orders, the same for every policy, with the Monte Carlo variance of `correct` beside it. `exact=False`
    plays the orders also where a rule's law is known. Realised outcomes take the draws in issue order, in one
    world, and print the answer. A policy with arms of its own runs over those; any other on every arm by itself.

    Where the pool ends before the policy does, in some order, results are null and `exhausted` is the share.
    Raises Refused for an arm or a column that the pool lacks.
    """
    whole = any(policy.across for policy in policies)
    size = len(pool.problems) if whole else BLOCK
    parts = [pool.part(slice(first, first + size)) for first in range(0, len(pool.problems), max(size, 1))] or [pool]
    worlds = None if realised else orders
    tables = [_outcomes(Books(part.worlds(worlds, seed)), policies, realised=realised, exact=exact) for part in parts]
    if len(tables) == 1:
        return tables[0]
    blocks = [(table, len(part.problems)) for table, part in zip(tables, parts, strict=True)]
    results = tables[0].height // blocks[0][1]
    return pl.concat(table.slice(at * rows, rows) for at in range(results) for table, rows in blocks)


def _outcomes(books: Books, policies: Sequence[Policy], *, realised: bool, exact: bool) -> pl.DataFrame:
    pool, results = books.worlds.pool, []
    for labels, among in _plan(pool, policies):
        known = {} if realised or len(labels) > 1 else fixed(books, labels[0], among)
        laws = {} if realised or len(labels) > 1 or not exact else by_law(books, labels[0], among)
        for at, policy in enumerate(among):
            result = known.get(at)
            if result is None:
                result = _played(books, policy, labels, laws.get(at))
            results.append((labels, policy, result))
    return frame_of(books, results)


def _played(books: Books, policy: Policy, labels: Sequence[str], law: tuple[Result, list[bool]] | None) -> Result:
    """The outcome over the worlds, with the exact law's where it is known. Rounds have no law: they are played."""
    if law is not None and all(law[1]) and not books.pays_rounds(labels):
        return law[0]
    result = books.weigh(play(policy, books.worlds, labels), policy, labels)
    return result if law is None else result.replaced(law[0], np.array(law[1]))


def has_gold(pool: Pool) -> bool:
    """Whether any draw of the pool has a verdict: without one there is no accuracy to speak of."""
    return any(not np.isnan(draws.right).all() for draws in pool.arms.values())


def _plan(pool: Pool, policies: Sequence[Policy]) -> list[tuple[tuple[str, ...], list[Policy]]]:
    """Which policies run over which arms. Raises Refused for an arm or a column that is not there."""
    alone = [policy for policy in policies if not policy.arms]
    plan: list[tuple[tuple[str, ...], list[Policy]]] = [((label,), alone) for label in pool.arms if alone]
    plan += [(tuple(policy.arms), [policy]) for policy in policies if policy.arms]
    for labels, among in plan:
        for policy, label in product(among, labels):
            _refuse(pool, policy, label)
    return plan


def _refuse(pool: Pool, policy: Policy, label: str) -> None:
    if label not in pool.arms:
        raise Refused(f"{policy.name} needs the arm {label!r}", where=pool.run, mend=f"it has: {', '.join(pool.arms)}")
    if missing := policy.needs - pool.arms[label].columns.keys():
        have = ", ".join(sorted(pool.arms[label].columns)) or "none"
        raise Refused(f"no column {min(missing)!r}, which {policy.name} needs", where=pool.run, mend=f"it has: {have}")


__all__ = ["Played", "has_gold", "outcomes", "play"]
