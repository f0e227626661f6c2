"""`testtime plan`: how many questions and draws settle a comparison."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json


def plan(
    *,
    pilot: Annotated[list[str], Parameter(help="A pool, or the two pools of the two sides.")],
    effect: Annotated[str, Parameter(help="The difference to notice: 1pt, or a part of 1.")],
    power: Annotated[float, Parameter(help="The chance to notice it.")] = 0.8,
    policy: Annotated[str, Parameter(help="The policy of the first side.")] = "sc_fixed:n=1",
    against: Annotated[
        str | None, Parameter(help="The policy of the second side; by default the vote over all draws of the pool.")
    ] = None,
    json: Json = False,
) -> None:
    """Say how many questions and draws settle a comparison, paired and unpaired, from a pilot."""
    from testtime import advice
    from testtime.cli import show
    from testtime.cli.flags import points
    from testtime.core.errors import BadInput
    from testtime.figures import advice as shown

    size = points(effect)
    if not 0 < power < 1:
        raise BadInput(f"a power of {power}", mend="give a chance between 0 and 1")
    table = advice.plan(pilot, size, power, policy, against)
    if json:
        show.json(table)
        return
    show.tables([shown.plan(table, size, power)])
    if len(pilot) == 1:
        show.next_step(shlex.join(["testtime", "forecast", *pilot, "--to", "64"]))
    else:
        show.next_step(shlex.join(["testtime", "compare", *pilot]))
