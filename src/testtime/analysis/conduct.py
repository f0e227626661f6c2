"""What candidates did beside being right or wrong: how often they refused, and which tools they used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import units_of
from testtime.analysis.inspection import Rate, rate
from testtime.store.pool import Draws, Pool

TOOLS = ("arm", "is_retry", "is_verified", "error", "tool_calls_total", "tool_iterations", "mock_sources", "facts")
"""Columns that `tool_use` reads; what is missing is unknown."""


@dataclass(frozen=True)
class Refusing:
    """Refusals among the sampled draws of one arm, or of one split of it."""

    texts: int
    """Of which it is known."""
    refused: int
    rate: Rate
    """The mean over problems of a problem's share."""


def refusing(pool: Pool, draws: Draws, split: str | None = None) -> Refusing:
    """How often an arm refuses, on all problems or on those of a split."""
    here = np.array([split is None or name == split for name in pool.splits], dtype=bool)
    said = draws.column("refused")[here, : draws.sampled]
    known = ~np.isnan(said)
    counts = known.sum(axis=1)
    hits = np.where(known, said, 0.0).sum(axis=1)
    share = np.divide(hits, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    unit = units_of(pool.clusters, len(pool.problems))[here]
    return Refusing(int(counts.sum()), int(hits.sum()), rate(share, unit))


@dataclass(frozen=True)
class Tool:
    """One tool, over the candidates of an arm."""

    name: str
    calls: int
    candidates: int
    """That called it."""
    sources: Mapping[str, int]
    """What played it (`dynamic_mock`, `function`, `error`, …) → candidates."""
    right: tuple[int, int]
    """(Right, of so many with a verdict) among the candidates that called it."""


@dataclass(frozen=True)
class ToolUse:
    """What the candidates of one arm did with tools; marked retries are left out."""

    arm: str
    candidates: int
    calling: int
    """That called a tool at all."""
    calls: int
    rounds: float
    """Of those that called, on average."""
    errors: int
    """Results that were errors."""
    endless: int
    """Candidates that failed."""
    right: tuple[int, int]
    """(Right, of so many with a verdict) among those that called."""
    without: tuple[int, int]
    """The same among those that did not."""
    tools: Sequence[Tool]
    """The most called first."""


def tool_use(frame: pl.DataFrame) -> list[ToolUse]:
    """Of each arm whose candidates know how often they called; `frame` has columns of TOOLS, one row a candidate."""
    missing = [pl.lit(None, pl.String if name in ("arm", "mock_sources", "facts", "error") else pl.Int64).alias(name)
               for name in TOOLS if name not in frame.columns]  # fmt: skip
    rows = frame.with_columns(*missing).filter(pl.col("tool_calls_total").is_not_null())
    rows = rows.filter(~pl.col("is_retry").cast(pl.Boolean).fill_null(False))
    return [_used(part) for part in rows.partition_by("arm", maintain_order=True)]


def _used(rows: pl.DataFrame) -> ToolUse:
    calling = rows.filter(pl.col("tool_calls_total") > 0)
    facts = [_mapping(text) for text in rows["facts"].to_list()]
    return ToolUse(
        arm=str(rows["arm"][0] or ""),
        candidates=rows.height,
        calling=calling.height,
        calls=int(rows["tool_calls_total"].sum()),
        rounds=_mean(calling["tool_iterations"].drop_nulls().to_list()),
        errors=sum(int(one.get("tool_errors") or 0) for one in facts),
        endless=rows["error"].count(),
        right=_right(calling),
        without=_right(rows.filter(pl.col("tool_calls_total") == 0)),
        tools=_tools(rows, facts),
    )


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _right(rows: pl.DataFrame) -> tuple[int, int]:
    return int(rows["is_verified"].cast(pl.Boolean).sum()), rows["is_verified"].count()


def _tools(rows: pl.DataFrame, facts: Sequence[Mapping[str, Any]]) -> list[Tool]:
    calls, candidates, right, judged = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    sources: dict[str, Counter[str]] = {}
    played = [_mapping(text) for text in rows["mock_sources"].to_list()]
    for verdict, one, by in zip(rows["is_verified"].to_list(), facts, played, strict=True):
        counted = _mapping(one.get("tool_calls_by_name")) or dict.fromkeys(by, 1)
        for name, count in counted.items():
            calls[name] += int(count)
            candidates[name] += 1
            right[name] += bool(verdict)
            judged[name] += verdict is not None
        for name, source in by.items():
            sources.setdefault(name, Counter()).update(str(source).split("+"))
    return [
        Tool(name, count, candidates[name], sources.get(name, {}), (right[name], judged[name]))
        for name, count in calls.most_common()
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    """What JSON text or a value says, where it is a mapping; empty otherwise."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}
