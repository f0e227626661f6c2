"""`testtime policies`: a policy by itself, what it learns of a pool, or one that is designed."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from cyclopts import Parameter

from testtime.cli import Json, Whole


def policies(
    what: Annotated[
        Literal["table", "fit", "risk", "design"],
        Parameter(
            help="table: where it stops, draws and errors; fit: learn a prior; risk: the error among the answers it is "
            "most sure of; design: make one."
        ),
    ],
    policy: Annotated[
        str | None, Parameter(help="A policy, as in bayes:max_n=40,agreement=0.99; none for a design.")
    ] = None,
    /,
    *pools: Annotated[str, Parameter(help="What fit learns from; whose answers risk ranks.")],
    delta: Annotated[float, Parameter(help="Error of the bound that a table prints beside the draws.")] = 0.05,
    max_n: Annotated[Whole, Parameter(help="Most draws of a design.")] = 40,
    draws: Annotated[float | None, Parameter(help="Design for this mean of draws.")] = None,
    error: Annotated[float | None, Parameter(help="Design for this chance of another answer than all max_n.")] = None,
    like: Annotated[str | None, Parameter(help="Design for problems like this pool's.")] = None,
    json: Json = False,
) -> None:
    """Say what a policy does by itself, fit one to a pool, or design one for a budget or an error."""
    from testtime import advice
    from testtime.cli import show
    from testtime.core.errors import BadInput
    from testtime.figures import advice as shown

    if what == "design":
        found = advice.design(max_n, draws, error, like)
        if json:
            show.json(found)
            return
        show.notes([f"{found['draws']:.2f} draws, {found['error']:.3%} other answers, under the prior"])
        show.console().print(found["policy"], soft_wrap=True)
        show.next_step(shlex.join(["testtime", "policies", "table", found["policy"]]))
        return
    if policy is None:
        raise BadInput(f"policies {what} needs a policy", mend="as in: testtime policies table curtail:max_n=40")
    if what == "fit":
        learned = advice.fit(policy, pools)
        if json:
            show.json({"policy": learned})
            return
        show.console().print(learned, soft_wrap=True)
        show.next_step(shlex.join(["testtime", "replay", *pools, "--policies", learned]))
        return
    if what == "risk":
        ranked = advice.risk(policy, pools)
        if json:
            show.json([{"run": run, **shown.risk_of(one)} for run, one in ranked])
            return
        show.tables([table for run, one in ranked for table in shown.risk(run, one)])
        return
    edge, behaviour = advice.rule_table(policy, delta)
    if json:
        show.json({"boundary": edge, "behaviour": behaviour})
        return
    show.tables(shown.rule(edge, behaviour))
    show.next_step(f"testtime replay answers.jsonl --policies {shlex.quote(policy)}")
