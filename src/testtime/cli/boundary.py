"""`testtime boundary`: where a stopping rule of counts stops."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def boundary(
    policy: Annotated[
        str,
        Parameter(help="A policy with a stopping rule, as in adaptive_margin:stop_rule=beta,threshold=0.95,max_n=40."),
    ],
    /,
) -> None:
    """Print where a stopping rule of counts stops."""
    from testtime import api
    from testtime.cli import show
    from testtime.figures import tables

    show.tables([tables.boundary(api.boundary(policy))])
