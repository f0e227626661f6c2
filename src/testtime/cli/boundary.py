"""`testtime boundary`: where a stopping rule of counts stops."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Annotated, Any

from cyclopts import Parameter

from testtime.cli import Json
from testtime.cli.flags import settings_of
from testtime.grid import single

Settings: Any = settings_of(("policy",), frozenset({"json", "debug", "help", "version"}), str)
NO_SETTINGS = Settings()


def boundary(
    policy: Annotated[
        str,
        Parameter(help="A policy with a stopping rule, as in adaptive_margin:stop_rule=beta,threshold=0.95,max_n=40."),
    ],
    /,
    *,
    json: Json = False,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
) -> None:
    """Print where a stopping rule of counts stops."""
    from testtime import api
    from testtime.cli import show
    from testtime.figures import tables

    policy = single("policy", policy, dataclasses.asdict(settings))
    table = api.boundary(policy)
    if json:
        show.json(table)
        return
    show.tables([tables.boundary(table)])
    show.next_step(shlex.join(["testtime", "policies", "table", policy]))
