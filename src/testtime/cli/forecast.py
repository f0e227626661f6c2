"""`testtime forecast`: maj@k and pass@k beyond the draws of a pool."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def forecast(
    *pools: Annotated[str, Parameter(help="Pools with gold answers.")],
    to: Annotated[int, Parameter(help="The largest k.")],
    seed: Annotated[int, Parameter(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Forecast maj@k and pass@k beyond the draws of a pool, with intervals."""
    from testtime import advice
    from testtime.cli import show
    from testtime.figures import advice as shown

    show.tables(shown.forecast(advice.forecast(pools, to, seed=seed)))
