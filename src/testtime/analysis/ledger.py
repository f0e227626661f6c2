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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from json import loads
from pathlib import Path
from typing import Any

import polars as pl

from testtime.analysis.bearers import CALLS, ROWS, Bearers
from testtime.core.history import Bools, Ints
from testtime.core.spend import Sum, total
from testtime.store.frame import batches, columns_of

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
    """The books of a run folder; None where it holds no calls, or those of a testtime that did not tell lost ones.

    Both tables are read in batches, and what is kept of them are numbers: see `Bearers`. Raises BadInput for a file
    that cannot be read.
    """
    files = folder / "calls.parquet", folder / "candidates.parquet"
    if not all(file.exists() for file in files):
        return None
    if not {"lost", "tokens_at_most"} <= set(columns_of(files[0])):
        return None
    return _ledger(batches(files[0], CALLS), batches(files[1], ROWS))


def _ledger(calls: Iterator[pl.DataFrame], rows: Iterator[pl.DataFrame]) -> Ledger:
    """The same of the two tables (store.schema)."""
    bearers, written, silent = Bearers(), dict[str, Sum](), 0
    paid: dict[str, list[Sum]] = {"paid_usd": [], "joules": []}
    for batch in rows:
        bearers.rows(batch)
        for name, sums in paid.items():
            sums.append(_sum(batch[name]))
        silent += _write(written, batch["alone"])
    bearers.close()
    found: dict[tuple[str, str], tuple[Entry, Sum]] = {}
    orphans: dict[str, list[Sum]] = {"usd": [], "joules": []}
    for batch in calls:
        fated = _fated(batch, *bearers.calls(batch))
        for group in fated.partition_by("role", "model", maintain_order=True):
            here, borne = _entry(group), _sum(group.filter("answered", "borne")["completion_tokens"])
            before, wrote = found.get((here.role, here.model), (None, Sum()))
            found[here.role, here.model] = _joined(before, here), _added([wrote, borne])
        orphan = fated.filter(~pl.col("borne"))
        orphans["usd"].append(_sum(orphan.filter("answered")["usd"]))
        orphans["joules"].append(_sum(orphan.filter(pl.col("ended").is_not_null())["joules"]))
    alone = {role: _added([one, Sum(0.0, silent)]) for role, one in written.items()}
    entries = [_rewritten(entry, wrote, alone.get(entry.role)) for entry, wrote in found.values()]
    return Ledger(
        entries,
        _joined(*entries, role="", model=""),
        bearers.elapsed,
        bearers.critical,
        *(_added(sums) for sums in (paid["paid_usd"], paid["joules"], orphans["usd"], orphans["joules"])),
    )


def _write(written: dict[str, Sum], alone: pl.Series) -> int:
    """Adds up by role the completion tokens that rows would have written alone; gives how many rows do not say."""
    for text in alone.drop_nulls():
        for role, spend in loads(text).items():
            written[role] = _added([written.get(role, Sum()), total([spend.get("completion")])])
    return alone.null_count()


def _fated(calls: pl.DataFrame, borne: Bools, bearers: Ints) -> pl.DataFrame:
    """The attempts, each with what became of it."""
    ok, cancelled = pl.col("status") == "ok", pl.col("status") == "cancelled"
    return calls.with_columns(
        borne=pl.Series(borne),
        bearers=pl.Series(bearers),
        answered=ok,
        cancelled_calls=cancelled,
        lost_calls=~ok & ~cancelled & pl.col("lost"),
        failed=(pl.col("status") == "failed") & ~pl.col("lost"),
    )


def _entry(calls: pl.DataFrame) -> Entry:
    answered = calls.filter("answered")
    orphaned, borne = answered.filter(~pl.col("borne")), answered.filter("borne")
    cancelled, lost = calls.filter("cancelled_calls"), calls.filter("lost_calls")
    again = borne.filter(pl.col("bearers") > 1).select(pl.col("prompt_tokens") * (pl.col("bearers") - 1)).to_series()
    ended = calls.filter(pl.col("ended").is_not_null())
    return Entry(
        calls["role"][0],
        calls["model"][0],
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
        reused=_sum(again),
        orphaned=_tokens(orphaned),
        cancelled=_sum(cancelled["tokens_at_most"]),
        lost=_sum(lost["tokens_at_most"]),
        usd=_sum(answered["usd"]),
        usd_at_most=_sum(pl.concat([cancelled, lost])["usd_at_most"]),
        joules=_sum(ended["joules"]),
        work=_sum(ended.select(pl.col("ended") - pl.col("started")).to_series()),
    )


def _rewritten(entry: Entry, wrote: Sum, alone: Sum | None) -> Entry:
    """With the tokens that rows would have written alone beyond what was written for them among the reused."""
    if alone is None:
        return entry
    unknown = wrote.unknown + alone.unknown
    more = Sum(0.0, unknown) if unknown else Sum(alone.known - wrote.known)
    return replace(entry, reused=_added([entry.reused, more]))


def _tokens(calls: pl.DataFrame) -> Sum:
    """Prompt and completion tokens together."""
    return _sum(calls.select(pl.col("prompt_tokens") + pl.col("completion_tokens")).to_series())


def _sum(values: pl.Series) -> Sum:
    return Sum(float(values.sum() or 0), values.null_count())


def _added(sums: Iterable[Sum]) -> Sum:
    listed = list(sums)
    return Sum(sum(one.known for one in listed), sum(one.unknown for one in listed))


def _joined(*entries: Entry | None, **named: str) -> Entry:
    """The sum of entries, called as the last of them unless named."""
    listed = [one for one in entries if one is not None]
    counts = {name: sum(getattr(one, name) for one in listed) for name in ("calls", *COUNTS)}
    sums = {name: _added(getattr(one, name) for one in listed) for name in SUMS}
    names = named or {"role": listed[-1].role, "model": listed[-1].model}
    return Entry(**names, **counts, **sums)  # type: ignore[arg-type]


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
