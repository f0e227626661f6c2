"""Policies decide in the order in which draws were issued, never in the order in which replies arrive.

Where wrong answers take longer to write, the first answers to arrive are right more often than answers are: whoever
counts votes as they arrive measures an accuracy that no vote over a sample has. The engine does not.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from plans import messages, run

from testtime.analysis.play import play
from testtime.core.records import Arm, Completion, Generation, Problem, Request
from testtime.core.seeds import digest
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.models.scripted import ALL, Scripted
from testtime.store.frame import open_pool

RIGHT, FAST, SLOW = 0.55, 0.4, 1.2
PROBLEMS, MOST = 120, 8
RULE = "adaptive_margin:stop_rule=beta,threshold=.9,max_n=8"


def said(seed: int) -> str:
    """Right on 55 % of the seeds."""
    return "right" if int(digest(seed, length=6), 16) / 16**6 < RIGHT else "wrong"


class Hasty(Scripted):
    """Takes three times as long where it is wrong: long beside the time that the engine itself takes."""

    async def generate(self, request: Request) -> Generation:
        await asyncio.sleep(FAST if said(request.seed or 0) == "right" else SLOW)
        return await super().generate(request)


def drawn(folder: Path, due: int) -> tuple[Plan, pl.DataFrame, pl.DataFrame, list[float]]:
    model = Hasty(lambda request, seed: Completion(said(seed), "stop", 1), can=ALL - {"n"})
    arm = Arm("arm", {"model": model.name})
    problems = [Problem(f"q{at}", "test", f"question {at}", "right") for at in range(PROBLEMS)]
    lanes = [Lane((arm,), Plain(), messages, due)]
    made = Plan(
        "run", "set", 0, problems, lanes, {model.name: model}, lambda problem, text: (text, text),
        policies=[parse("policy", RULE)], concurrency=PROBLEMS * MOST,
    )  # fmt: skip
    done, rows, calls = run(made, folder)
    chosen = [float(x) for live in done.realised for x in live.ballot.weight]
    return made, rows, calls, chosen


def accuracy(rows: pl.DataFrame, order: list[str]) -> float:
    """Of the majority of each problem's first three draws in an order; of three, none are tied."""
    first = rows.sort(order).group_by("query_id").head(3)
    votes = first.group_by("query_id").agg(right=(pl.col("answer_key") == "right").sum())
    return float((votes["right"] >= 2).mean())  # type: ignore[arg-type]


def test_votes_in_the_order_of_arrival_are_biased_and_ours_are_not(tmp_path: Path) -> None:
    made, rows, calls, _ = drawn(tmp_path, due=MOST)
    ended = calls.select(draw=pl.col("serves").list.first(), ended="ended")
    rows = rows.with_columns(
        draw=pl.concat_str(pl.lit(made.lanes[0].scope), "query_id", "candidate_idx", separator="/")
    )
    rows = rows.join(ended, on="draw")
    by_issue, by_arrival = accuracy(rows, ["candidate_idx"]), accuracy(rows, ["ended"])
    exact = RIGHT**3 + 3 * RIGHT**2 * (1 - RIGHT)
    error = 4 * (exact * (1 - exact) / PROBLEMS) ** 0.5
    assert abs(by_issue - exact) < error, "three of a sample"
    assert by_arrival > exact + error, "the three that came first"


def test_a_live_rule_over_hasty_answers_is_its_replay_in_issue_order(tmp_path: Path) -> None:
    drawn(tmp_path / "live", due=0)
    made, *_ = drawn(tmp_path / "full", due=MOST)
    pool = open_pool(tmp_path / "full")
    played = play(parse("policy", RULE), pool.worlds(), ("arm",))
    again, *_ = run(replace(made, lanes=[replace(made.lanes[0], due=0)]), tmp_path / "live")
    seen = {
        int(at): int(n) for live in again.realised for at, n in zip(live.problems, live.seen["arm"][0], strict=True)
    }
    assert [seen[at] for at in range(PROBLEMS)] == played.seen["arm"][0].tolist()
    assert np.mean(list(seen.values())) < MOST
