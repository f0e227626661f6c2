"""`testtime forecast`: maj@k and pass@k beyond the draws of a pool."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json, Whole


def forecast(
    *pools: Annotated[str, Parameter(help="Pools with gold answers.")],
    to: Annotated[Whole, Parameter(help="The largest k.")],
    seed: Annotated[Whole, Parameter(help="Seed of the bootstrap.")] = 0,
    json: Json = False,
) -> None:
    """Forecast maj@k and pass@k beyond the draws of a pool, with intervals."""
    from testtime import advice
    from testtime.cli import show
    from testtime.figures import advice as shown

    table = advice.forecast(pools, to, seed=seed)
    if json:
        show.json(table)
        return
    show.tables(shown.forecast(table))
    show.next_step(shlex.join(["testtime", "recommend", *pools, "--budget", f"{to}draws"]))
