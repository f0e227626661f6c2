"""`testtime compare`: pools beside each other, paired over the problems they share."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json, Whole


def compare(
    *pools: Annotated[str, Parameter(help="Two or more pools, as inspect takes them; all are set against the first.")],
    by: Annotated[str | None, Parameter(help="split: compare within each split.")] = None,
    columns: Annotated[
        list[str] | None,
        Parameter(help="Number columns whose means are compared too; by default length, refusals, dollars."),
    ] = None,
    monitor: Annotated[
        bool, Parameter(help="Look after every problem: whether the comparison may end here.", show_default=False)
    ] = False,
    effect: Annotated[str, Parameter(help="monitor: the true difference whose chance to be seen is told.")] = "2pt",
    alpha: Annotated[float, Parameter(help="monitor: the share of comparisons of equals that ever ends.")] = 0.05,
    seed: Annotated[Whole, Parameter(help="Seed of the resampling; by default 0.", show_default=False)] = 0,
    json: Json = False,
) -> None:
    """Say what changes from one pool to another, on the problems both have."""
    from testtime import api
    from testtime.cli import show
    from testtime.cli.flags import points
    from testtime.core.errors import BadInput
    from testtime.figures import comparison

    loaded = api.load(pools)
    table = loaded.compare(by=by, seed=seed)
    means = loaded.compare_columns(columns, by=by, seed=seed)
    if not 0 < alpha < 1:
        raise BadInput(f"alpha {alpha:g} cannot be", mend="give a share between 0 and 1")
    watched = loaded.monitor(points(effect), alpha, seed=seed) if monitor else None
    if json:
        looks = {} if watched is None else {"monitor": watched}
        show.json({"rows": table, "columns": means, **looks})
        return
    base = loaded.pools[0].run
    show.tables([comparison.legend(table, base), *comparison.comparison(table, base)])
    if means.height:
        show.tables([comparison.columns(means, base)])
    if watched is not None:
        show.tables([comparison.watched(watched, base, points(effect), alpha)])
    show.notes(loaded.notes)
    show.next_step(f"testtime replay {shlex.join(pools)}")
