"""Small plans over a scripted model, and what a run of one leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import polars as pl

from testtime.core.records import Arm, Problem
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import Finished, execute
from testtime.models.scripted import Scripted


def messages(problem: Problem) -> list[dict[str, str]]:
    return [{"role": "user", "content": problem.question}]


def plan_of(model: Scripted, due: int = 2, count: int = 3, decoding: Any = None, **how: Any) -> Plan:
    arm = Arm("arm", {"model": model.name})
    usual: dict[str, Any] = {"answer": lambda problem, text: (text, text), "backoff": 0.0, "concurrency": 4}
    problems = [Problem(f"q{at}", "test", f"question {at}") for at in range(count)]
    lanes = [Lane((arm,), decoding or Plain(), messages, due)]
    return Plan("run", "set", 0, problems, lanes, {model.name: model}, **{**usual, **how})


def echo_seed(**how: Any) -> Scripted:
    return Scripted(lambda request, seed: f"s{seed}", **how)


def run(plan: Plan, folder: Path) -> tuple[Finished, pl.DataFrame, pl.DataFrame]:
    done = asyncio.run(execute(plan, folder))
    return done, pl.read_parquet(folder / "candidates.parquet"), pl.read_parquet(folder / "calls.parquet")
