"""`testtime recommend`: which model, policy and setting to deploy under a budget."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from cyclopts import Parameter

from testtime.cli import Json, Whole


def recommend(
    *pools: Annotated[str, Parameter(help="Pools over the same problems: of one model, or of several.")],
    budget: Annotated[
        str, Parameter(help="2000tok/q, 0.01usd/q, 50J/q, 3rounds, 4draws, 2s; 50usd --questions 1319 is for all.")
    ],
    questions: Annotated[Whole | None, Parameter(help="How many questions a whole budget is for.")] = None,
    policies: Annotated[list[str] | None, Parameter(help="Compare these instead of the usual ladder.")] = None,
    price: Annotated[
        str | None, Parameter(help="prompt:completion[:cached], dollars a million tokens: replaces the pool's dollars.")
    ] = None,
    way: Annotated[
        Literal["n", "calls", "cache", "batch"],
        Parameter(help="How draws are sent at that price: n-sampling, one call a draw, prompts cached, batch files."),
    ] = "n",
    prompt_tokens: Annotated[
        float | None, Parameter(help="Prompt tokens of one call, where the pool does not know them.")
    ] = None,
    joules: Annotated[
        list[str] | None,
        Parameter(help="batch:joules a token, as in 8:0.455 64:0.119 512:0.07: replaces the pool's joules."),
    ] = None,
    others: Annotated[float, Parameter(help="joules: sequences of others in the batch.")] = 0.0,
    orders: Annotated[Whole, Parameter(help="Random orders of the draws that all policies share.")] = 100,
    seed: Annotated[Whole, Parameter(help="Seed of the orders and of the bootstrap.")] = 0,
    json: Json = False,
) -> None:
    """Say which model, policy and setting to deploy under a budget, with an accuracy that is honest after choosing."""
    from testtime import advice
    from testtime.cli import show
    from testtime.figures import advice as shown

    found = advice.recommend(
        pools, budget, questions=questions, policies=policies, price=price, way=way, prompt_tokens=prompt_tokens,
        joules=joules, others=others, orders=orders, seed=seed,
    )  # fmt: skip
    if json:
        show.json({**vars(found), "optimism": found.advice.optimism, "ratio": found.ratio})
        return
    show.tables(shown.recommendation(found.advice))
    show.notes(shown.around(found.advice, found.heads, found.ratio, found.alarms))
    best = found.advice.ranked.row(0, named=True)
    show.next_step(shlex.join(["testtime", "replay", *pools, "--policies", f"{best['policy']}:{best['setting']}"]))
