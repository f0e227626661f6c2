"""`testtime policies`: a policy by itself, what it learns of a pool, or one that is designed."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from testtime.cli import Json, Whole
from testtime.cli.flags import settings_of
from testtime.grid import left_open, single

MOST_DRAWS = 40
BESIDE = frozenset({"delta", "max_n", "draws", "error", "like", "json", "debug", "help", "version"})
Settings: Any = settings_of(("policy",), BESIDE, str)
NO_SETTINGS = Settings()


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
    delta: Annotated[
        float | None,
        Parameter(help="Error of the bound that a table prints beside the draws, and of the policy. [0.05]"),
    ] = None,
    max_n: Annotated[Whole | None, Parameter(help="Most draws of the policy, or of a design. [40]")] = None,
    draws: Annotated[float | None, Parameter(help="Design for this mean of draws.")] = None,
    error: Annotated[float | None, Parameter(help="Design for this chance of another answer than all max_n.")] = None,
    like: Annotated[str | None, Parameter(help="Design for problems like this pool's.")] = None,
    json: Json = False,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
) -> None:
    """Say what a policy does by itself, fit one to a pool, or design one for a budget or an error."""
    from testtime import advice
    from testtime.cli import show
    from testtime.core.errors import BadInput

    if what == "design":
        found = advice.design(MOST_DRAWS if max_n is None else max_n, draws, error, like)
        if json:
            show.json(found)
            return
        show.notes([f"{found['draws']:.2f} draws, {found['error']:.3%} other answers, under the prior"])
        show.console().print(found["policy"], soft_wrap=True)
        show.next_step(shlex.join(["testtime", "policies", "table", found["policy"]]))
        return
    if policy is None:
        raise BadInput(f"policies {what} needs a policy", mend="as in: testtime policies table curtail --max_n 40")
    policy = _whole(policy, dataclasses.asdict(settings), delta, max_n)
    if what in ("fit", "risk"):
        _of_pools(what, policy, pools, json=json)
        return
    if pools:
        raise BadInput("a table reads no pool", where=" ".join(pools), mend="leave it out; risk and fit read pools")
    _table(policy, delta, json=json)


def _of_pools(what: str, policy: str, pools: Sequence[str], *, json: bool) -> None:
    """What a policy learns of pools, or how right it is where it is most sure."""
    from testtime import advice
    from testtime.cli import show
    from testtime.figures import advice as shown

    if what == "fit":
        policy = advice.fit(policy, pools)
        if json:
            show.json({"policy": policy})
            return
        show.console().print(policy, soft_wrap=True)
    else:
        ranked = advice.risk(policy, pools)
        if json:
            show.json([{"run": run, **shown.risk_of(one)} for run, one in ranked])
            return
        show.tables([table for run, one in ranked for table in shown.risk(run, one)])
    show.next_step(shlex.join(["testtime", "replay", *pools, "--policies", policy]))


def _table(policy: str, delta: float | None, *, json: bool) -> None:
    """Where a policy stops and how it does."""
    from testtime import advice
    from testtime.cli import show
    from testtime.figures import advice as shown

    edge, behaviour = advice.rule_table(policy, delta)
    if json:
        show.json({"boundary": edge, "behaviour": behaviour})
        return
    show.tables(shown.rule(edge, behaviour))
    show.next_step(
        f"testtime run --model pocket-m --dataset pocket-math --max_queries 40 --policies {shlex.quote(policy)}"
    )


def _whole(policy: str, settings: Mapping[str, Any], delta: float | None, max_n: int | None) -> str:
    """The policy with the settings typed beside it. What needs `max_n` and has none gets 40."""
    left = left_open("policy", policy)
    if max_n is None and "max_n" in left and left["max_n"][1] is None:
        max_n = MOST_DRAWS
    given: dict[str, float | None] = {"max_n": max_n, "delta": delta if "delta" in left else None}
    return single("policy", policy, {**settings, **{key: f"{one}" for key, one in given.items() if one is not None}})
