"""Replay: every policy on one pool, as if it had asked for the draws itself. No model, no network, no tokens.

A policy plays a pool in many orders or in the one of issue (`play`). `outcomes` says what each policy gives
on each problem: exactly where a closed form or a dynamic programme exists, else over orders that all share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import cast

import numpy as np
import polars as pl

from testtime.analysis.closed import by_law, fixed
from testtime.analysis.outcomes import Books, Result, frame_of
from testtime.analysis.play import Played, play
from testtime.analysis.voteless import without_votes
from testtime.core.errors import BadInput, Refused
from testtime.core.history import Ints
from testtime.core.progress import steps
from testtime.core.protocols import Learner, Policy
from testtime.core.seeds import seed_of
from testtime.core.strings import setting
from testtime.store.pool import Pool

FOLDS = 5
"""Parts of a cross-fit."""
BLOCK = 1_000
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

    A policy that learns (`Learner`) is cross-fitted: the problems, clusters whole, are parted, and each part meets the
    policy as it is fitted to the others' sampled draws; one budget across problems then is one a part.

    Where nobody votes (`voteless`), the answer of several votes is unknown.
    Where the pool ends before the policy does, in some order, results are null and `exhausted` is the share.
    Raises Refused for an arm or a column that the pool lacks, BadInput for fewer orders than two.
    """
    if orders < 2:
        raise BadInput(f"{orders} orders tell nothing", mend="give 2 or more")
    found = _replayed(pool, policies, orders, seed, realised, exact)
    return without_votes(pool, found, policies, realised=realised)


def _replayed(
    pool: Pool, policies: Sequence[Policy], orders: int, seed: int, realised: bool, exact: bool
) -> pl.DataFrame:
    """The outcomes, an answer without a key being no answer."""
    learners = [policy for policy in policies if isinstance(policy, Learner) and policy.learns]
    if learners:
        ready = [policy for policy in policies if policy not in learners]
        frames = [_replayed(pool, ready, orders, seed, realised, exact)] if ready else []
        frames += [_crossfit(pool, learner, orders, seed, realised) for learner in learners]
        return pl.concat(frames)
    whole = any(policy.across for policy in policies)
    size = len(pool.problems) if whole else BLOCK
    parts = [pool.part(slice(first, first + size)) for first in range(0, len(pool.problems), max(size, 1))] or [pool]
    worlds = None if realised else orders
    told = steps(parts, "parts of the pool") if len(parts) > 1 else parts
    tables = [_outcomes(Books(part.worlds(worlds, seed)), policies, realised=realised, exact=exact) for part in told]
    if len(tables) == 1:
        return tables[0]
    blocks = [(table, len(part.problems)) for table, part in zip(tables, parts, strict=True)]
    results = tables[0].height // blocks[0][1]
    return pl.concat(table.slice(at * rows, rows) for at in range(results) for table, rows in blocks)


def _crossfit(pool: Pool, learner: Learner, orders: int, seed: int, realised: bool) -> pl.DataFrame:
    """The outcomes of a policy that is fitted, for each part of the problems, to all others."""
    policy = cast(Policy, learner)
    frames = []
    for label in policy.arms or tuple(pool.arms):
        _refuse(pool, policy, label)
        alone = replace(pool, arms={label: pool.arms[label]})
        draws = pool.arms[label]
        for fold in folds(pool):
            rest = np.setdiff1d(np.arange(len(pool.problems)), fold)
            if not rest.size:
                raise Refused(
                    f"{policy.name} has no other problems to learn from", where=pool.run, mend="give its prior"
                )
            columns = {name: draws.columns[name][rest, : draws.sampled] for name in policy.needs}
            fitted = learner.fitted(draws.codes[rest, : draws.sampled], columns)
            frames.append(_replayed(alone.part(fold), [fitted], orders, seed, realised, True))
    place = {query: at for at, query in enumerate(pool.problems)}
    table = pl.concat(frames).with_columns(setting=pl.lit(setting(policy)))
    order = table["query_id"].replace_strict(place, return_dtype=pl.Int64)
    return table.with_columns(_at=order).sort("arm", "_at", maintain_order=True).drop("_at")


def folds(pool: Pool) -> list[Ints]:
    """The problems in `FOLDS` parts, by a draw that depends on their names alone; a cluster stays together."""
    names = [
        query if pool.clusters is None or pool.clusters[at] is None else f"cluster {pool.clusters[at]}"
        for at, query in enumerate(pool.problems)
    ]
    units = sorted(set(names), key=lambda name: seed_of(0, "fold", name))
    part = {name: at % FOLDS for at, name in enumerate(units)}
    found = [
        np.array([at for at, name in enumerate(names) if part[name] == fold], dtype=np.int64) for fold in range(FOLDS)
    ]
    return [fold for fold in found if fold.size]


def _outcomes(books: Books, policies: Sequence[Policy], *, realised: bool, exact: bool) -> pl.DataFrame:
    pool, results = books.worlds.pool, []
    for labels, among in _plan(pool, policies):
        known = {} if realised or len(labels) > 1 else fixed(books, labels[0], among)
        laws = {} if realised or len(labels) > 1 or not exact else by_law(books, labels[0], among)
        for at, policy in enumerate(steps(among, "policies")):
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
