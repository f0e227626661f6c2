"""`testtime inspect`: what is in a pool, before a number from it is trusted."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json
from testtime.core.errors import BadInput


def inspect(
    *pools: Annotated[str, Parameter(help="Answers files, run folders, candidates.parquet files, or globs of them.")],
    json: Json = False,
) -> None:
    """Say what is in a pool; of several, set them side by side and compare them."""
    from testtime import sources
    from testtime.cli import show
    from testtime.figures.comparison import comparison
    from testtime.figures.inspection import inspection, plain, side_by_side

    found = sources.inspect(pools)
    if json:
        show.json([plain(one) for one in found])
        return
    notes = [f"{one.name}: {note}" for one in found for note in one.notes]
    if len(found) == 1:
        show.tables(inspection(found[0]))
    else:
        from testtime.api import load  # a pool alone does not wait for what a comparison needs

        loaded = load(pools)
        show.tables(side_by_side(found))
        try:
            show.tables(comparison(loaded.compare(), loaded.pools[0].run))
        except BadInput as error:  # other problems, or arms: they stand beside each other, and no more can be said
            notes.append(f"not compared: {error}")
    show.notes(notes)
    if any(one.mean.mean is not None for one in found):
        show.next_step(shlex.join(["testtime", "replay", *pools]))
    else:  # nothing is known to be right or wrong: policies cannot be scored
        show.next_step(shlex.join(["testtime", "show", pools[0]]))
