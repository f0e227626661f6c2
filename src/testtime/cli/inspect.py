"""`testtime inspect`: what is in a pool, before a number from it is trusted."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter


def inspect(
    *pools: Annotated[str, Parameter(help="Answers files, run folders, candidates.parquet files, or globs of them.")],
) -> None:
    """Say what is in a pool."""
    from testtime import api
    from testtime.cli import show
    from testtime.figures.inspection import inspection

    loaded = api.load(pools)
    for pool in loaded.pools:
        show.tables(inspection(pool))
    show.notes(loaded.notes)
    show.next_step(f"testtime replay {shlex.join(pools)}")
