"""Draws of a decoding over a model, through a plan, read back as rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from testtime.core.records import Arm, Problem
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import execute


def lane(decoding: Any, model: str, prompt: str, due: int, sampling: Any = None, name: str = "") -> Lane:
    """A decoding's arms, one a setting, each named by its budget."""
    kind = name or type(decoding).__name__.lower()
    arms = [
        Arm(
            f"{kind} {one['budget']}", {"model": model}, prompt, decoding={"kind": kind, **one}, sampling=sampling or {}
        )
        for one in decoding.settings
    ]
    return Lane(tuple(arms), decoding, lambda problem: said(prompt, problem), due)


def said(prompt: str, problem: Problem) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt.format(question=problem.question)}]


def drawn(
    folder: Path,
    model: Any,
    problems: Sequence[Problem],
    lanes: Iterable[Lane],
    answer: Callable[[Problem, str], tuple[str | None, str | None]],
    **how: Any,
) -> pl.DataFrame:
    """All rows, their facts as columns besides."""
    plan = Plan("test", "test", 0, problems, list(lanes), {model.name: model}, answer, **how)
    asyncio.run(execute(plan, folder))
    rows = pl.read_parquet(folder / "candidates.parquet")
    assert rows["error"].null_count() == rows.height, rows["error"].drop_nulls()[0]
    return rows


def facts(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(text) for text in rows["facts"]]
