"""`testtime inspect`: what is in a pool, before a number from it is trusted."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def inspect(
    *pools: Annotated[str, Parameter(help="Answers files, run folders, candidates.parquet files, or globs of them.")],
) -> None:
    """Say what is in a pool."""
    from testtime import api
    from testtime.cli import show
    from testtime.figures import tables

    for pool in api.load(pools).pools:
        for arm in api.inspected(pool):
            show.tables([tables.frame(arm.facts, arm.title), *(tables.frame(t, h) for h, t in arm.tables)])
        show.notes(pool.notes)
    show.next_step(f"testtime replay {' '.join(pools)}")
