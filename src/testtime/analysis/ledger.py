"""Where a run's tokens, dollars, joules and seconds went: its stored calls by model and role, each attempt once.

    prompt, cached, completion, reasoning   of attempts that answered; cached of prompt, reasoning of completion
    reused      tokens that rows needed and did not pay again: the prompt of a request that served several rows, for
                each row beyond the first; and what rows would have written alone beyond what was written (a thought
                that served several budgets)
    orphaned    tokens of attempts that answered and served no row of the pool (a run that was stopped in a draw)
    cancelled   tokens at most of attempts that the run ended itself
    lost        tokens at most of attempts that left and of which nothing came back
    work        seconds of all attempts, one after another; `elapsed` those in which any was under way
    critical    the longest that one row and its verdicts had calls under way: what the run takes at least, with all
                rows beside each other

A sum over parts of which some are unknown is "≥ x, k unknown". What a refused attempt cost is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from json import loads
from pathlib import Path
from typing import Any

import polars as pl

from testtime.core.spend import Sum

COUNTS = ("answered", "failed", "cancelled_calls", "lost_calls", "orphaned_calls")
SUMS = (
    "prompt", "cached", "completion", "reasoning", "reused", "orphaned", "cancelled", "lost", "usd", "usd_at_most",
    "joules", "work",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What one model took in one role; or what all took together."""

    role: str
    model: str
    calls: int
    """Attempts: those that answered, failed, were cancelled, or were lost."""
    answered: int
    failed: int
    """Of which an error came back."""
    cancelled_calls: int
    lost_calls: int
    orphaned_calls: int
    """Of those that answered."""
    prompt: Sum
    cached: Sum
    completion: Sum
    reasoning: Sum
    reused: Sum
    orphaned: Sum
    cancelled: Sum
    lost: Sum
    usd: Sum
    usd_at_most: Sum
    """What cancelled and lost attempts can have cost besides."""
    joules: Sum
    work: Sum


@dataclass(frozen=True)
class Ledger:
    """The books of one run."""

    entries: Sequence[Entry]
    total: Entry
    elapsed: float
    """Seconds in which any attempt was under way."""
    critical: float
    """Seconds."""
    rows_usd: Sum
    """What the rows of the pool bear: with what is orphaned, all that was paid."""
    rows_joules: Sum
    orphaned_usd: Sum
    orphaned_joules: Sum
    """Of all attempts that served no row of the pool, answered or not."""


def ledger(folder: Path) -> Ledger | None:
    """The books of a run folder; None where it holds no calls, or those of a testtime that did not tell lost ones."""
    files = folder / "calls.parquet", folder / "candidates.parquet"
    if not all(file.exists() for file in files):
        return None
    wanted = ["config_hash", "query_id", "candidate_idx", "calls", "alone", "error", "paid_usd", "joules"]
    calls = pl.read_parquet(files[0])
    if not {"lost", "tokens_at_most"} <= set(calls.columns):
        return None
    return ledger_of(calls, pl.read_parquet(files[1], columns=wanted))


def ledger_of(calls: pl.DataFrame, rows: pl.DataFrame) -> Ledger:
    """The same of the two tables (store.schema)."""
    rows = rows.with_row_index("row").with_columns(id=pl.format("{}/{}/{}", "config_hash", "query_id", "candidate_idx"))
    calls = calls.with_row_index("call")
    served = _served(calls, rows)
    fated = _fated(calls, served.select("call").unique(), _bearers(rows))
    written = _alone(rows)
    entries = [_entry(group, written) for group in fated.partition_by("role", "model", maintain_order=True)]
    orphans = fated.filter(~pl.col("borne"))
    return Ledger(
        entries,
        _together(entries),
        _covered(calls.select("started", "ended").with_columns(row=pl.lit(0))),
        _critical(calls, rows, served),
        _sum(rows["paid_usd"]),
        _sum(rows["joules"]),
        _sum(orphans.filter(status="ok")["usd"]),
        _sum(orphans.filter(pl.col("ended").is_not_null())["joules"]),
    )


def _served(calls: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """[call, row] of the draws and verdicts that attempts were made for, where the pool holds them.

    A draw's id is that of its first arm's row; a verdict's begins with its row's and goes on with two or three parts.
    """
    ids = rows.select("id", "row")
    named = calls.select("call", id="serves").explode("id").drop_nulls()
    cut = [named, *(named.with_columns(pl.col("id").str.replace(rf"(/[^/]*){{{parts}}}$", "")) for parts in (2, 3))]
    return pl.concat([one.join(ids, on="id") for one in cut]).select("call", "row").unique()


def _bearers(rows: pl.DataFrame) -> pl.DataFrame:
    """[key, bearers]: how many rows list a call."""
    return rows.select(key="calls").explode("key").drop_nulls().group_by("key").len("bearers")


def _fated(calls: pl.DataFrame, borne: pl.DataFrame, bearers: pl.DataFrame) -> pl.DataFrame:
    """The attempts, each with what became of it."""
    ok, cancelled = pl.col("status") == "ok", pl.col("status") == "cancelled"
    found = calls.join(borne.with_columns(borne=True), on="call", how="left").join(bearers, on="key", how="left")
    return found.sort("call").with_columns(
        pl.col("borne").fill_null(value=False),
        pl.col("bearers").fill_null(1),
        answered=ok,
        cancelled_calls=cancelled,
        lost_calls=~ok & ~cancelled & pl.col("lost"),
        failed=(pl.col("status") == "failed") & ~pl.col("lost"),
    )


def _alone(rows: pl.DataFrame) -> Mapping[str, tuple[int, int]]:
    """Role → (completion tokens that rows would have written alone, rows that do not say)."""
    found: dict[str, list[int]] = {}
    silent = rows["alone"].null_count()
    for text in rows["alone"].drop_nulls():
        for role, spend in loads(text).items():
            one = found.setdefault(role, [0, silent])
            tokens = spend.get("completion")
            one[tokens is None] += 1 if tokens is None else tokens
    return {role: (known, unknown) for role, (known, unknown) in found.items()}


def _entry(calls: pl.DataFrame, written: Mapping[str, tuple[int, int]]) -> Entry:
    role, model = calls["role"][0], calls["model"][0]
    answered = calls.filter("answered")
    orphaned, borne = answered.filter(~pl.col("borne")), answered.filter("borne")
    cancelled, lost = calls.filter("cancelled_calls"), calls.filter("lost_calls")
    shared = _sum(
        borne.filter(pl.col("bearers") > 1).select(pl.col("prompt_tokens") * (pl.col("bearers") - 1)).to_series()
    )
    ended = calls.filter(pl.col("ended").is_not_null())
    return Entry(
        role,
        model,
        calls=calls.height,
        answered=answered.height,
        failed=int(calls["failed"].sum()),
        cancelled_calls=cancelled.height,
        lost_calls=lost.height,
        orphaned_calls=orphaned.height,
        prompt=_sum(answered["prompt_tokens"]),
        cached=_sum(answered["cached_tokens"]),
        completion=_sum(answered["completion_tokens"]),
        reasoning=_sum(answered["reasoning_tokens"]),
        reused=_added([shared, _rewritten(borne, written.get(role))]),
        orphaned=_tokens(orphaned),
        cancelled=_sum(cancelled["tokens_at_most"]),
        lost=_sum(lost["tokens_at_most"]),
        usd=_sum(answered["usd"]),
        usd_at_most=_sum(pl.concat([cancelled, lost])["usd_at_most"]),
        joules=_sum(ended["joules"]),
        work=_sum(ended.select(pl.col("ended") - pl.col("started")).to_series()),
    )


def _rewritten(borne: pl.DataFrame, alone: tuple[int, int] | None) -> Sum:
    """Tokens that rows would have written alone beyond what was written for them."""
    if alone is None:
        return Sum()
    wrote = _sum(borne["completion_tokens"])
    known, unknown = alone
    return Sum(0.0, wrote.unknown + unknown) if wrote.unknown or unknown else Sum(known - wrote.known)


def _tokens(calls: pl.DataFrame) -> Sum:
    """Prompt and completion tokens together."""
    return _sum(calls.select(pl.col("prompt_tokens") + pl.col("completion_tokens")).to_series())


def _critical(calls: pl.DataFrame, rows: pl.DataFrame, served: pl.DataFrame) -> float:
    """The longest that a row, by the calls it lists and those made for it and its verdicts, had any under way."""
    listed = rows.select("row", key="calls").explode("key").drop_nulls()
    mine = listed.join(calls.select("call", "key"), on="key").select("call", "row")
    pairs = pl.concat([mine, served]).unique()
    return _covered(pairs.join(calls.select("call", "started", "ended"), on="call"))


def _covered(spans: pl.DataFrame) -> float:
    """The largest over rows of the length of the union of its intervals [row, started, ended]."""
    known = spans.drop_nulls(["started", "ended"]).sort("row", "started")
    if known.is_empty():
        return 0.0
    reached = pl.col("ended").cum_max().shift(1).over("row")
    begun = pl.max_horizontal("started", reached)
    return float(
        known.with_columns(length=(pl.col("ended") - begun).clip(lower_bound=0))
        .group_by("row")
        .agg(pl.sum("length"))["length"]
        .max()  # type: ignore[arg-type]
    )


def _sum(values: pl.Series) -> Sum:
    return Sum(float(values.sum() or 0), values.null_count())


def _added(sums: Iterable[Sum]) -> Sum:
    listed = list(sums)
    return Sum(sum(one.known for one in listed), sum(one.unknown for one in listed))


def _together(entries: Sequence[Entry]) -> Entry:
    """The sum of entries."""
    counts = {name: sum(getattr(one, name) for one in entries) for name in ("calls", *COUNTS)}
    sums = {name: _added(getattr(one, name) for one in entries) for name in SUMS}
    return Entry("", "", **counts, **sums)  # type: ignore[arg-type]


def plain(books: Ledger | None) -> dict[str, Any] | None:
    """As JSON values: a sum of which parts are unknown is null, beside what is known and how many are not."""
    if books is None:
        return None
    told = {f.name: getattr(books, f.name) for f in fields(books)}
    return {
        name: [_plain_entry(one) for one in value] if name == "entries" else _plain_value(value)
        for name, value in told.items()
    }


def _plain_value(value: Any) -> Any:
    if isinstance(value, Entry):
        return _plain_entry(value)
    if isinstance(value, Sum):
        return {"sum": value.value, "known": value.known, "unknown": value.unknown}
    return value


def _plain_entry(entry: Entry) -> dict[str, Any]:
    return {f.name: _plain_value(getattr(entry, f.name)) for f in fields(entry)}
