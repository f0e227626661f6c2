"""Which rows of a pool bear which calls, and how long each had any under way: read in batches, kept as numbers alone.

Names are kept as their 64-bit hashes, so a row and a call take some 60 bytes, however long their names and texts are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from testtime.analysis.spans import covered
from testtime.core.history import Bools, Floats, Ints

ROWS = ("config_hash", "query_id", "candidate_idx", "calls", "alone", "paid_usd", "joules")
"""Columns of candidates.parquet that the books are made of."""
CALLS = (
    "key", "role", "model", "status", "serves", "lost", "started", "ended", "prompt_tokens", "cached_tokens",
    "completion_tokens", "reasoning_tokens", "usd", "joules", "tokens_at_most", "usd_at_most",
)  # fmt: skip
"""Those of calls.parquet."""
BLOCK = 100_000
"""Rows whose intervals are put together at a time."""


class Bearers:
    """Filled with all rows, closed, then asked about calls in the order of their file."""

    def __init__(self) -> None:
        self._count = 0
        self._ids: list[NDArray[Any]] = []
        self._keys: list[NDArray[Any]] = []
        self._listers: list[NDArray[Any]] = []
        self._spans: list[tuple[Ints, Floats, Floats]] = []
        self._times: list[tuple[Floats, Floats]] = []

    def rows(self, batch: pl.DataFrame) -> None:
        """Takes in rows: what they are called in the `serves` of calls, and the calls that they list."""
        ids = batch.select(pl.format("{}/{}/{}", "config_hash", "query_id", "candidate_idx")).to_series()
        self._ids.append(_hashed(ids))
        keys, at = _flat(batch["calls"])
        self._keys.append(_hashed(keys))
        self._listers.append((at + self._count).astype(np.int32))
        self._count += batch.height

    def close(self) -> None:
        """All rows are in."""
        self._id, self._row = _sorted(_joined(self._ids, np.uint64), np.arange(self._count, dtype=np.int32))
        self._key, self._lister = _sorted(_joined(self._keys, np.uint64), _joined(self._listers, np.int32))
        self._ids, self._keys, self._listers = [], [], []

    def calls(self, batch: pl.DataFrame) -> tuple[Bools, Ints]:
        """[call] whether it was made for a row of the pool or for its verdict, and how many rows list it (1: none).

        A draw's id is that of its first arm's row; a verdict's begins with its row's and goes on with two or three
        parts.
        """
        call, row = self._served(batch["serves"])
        borne = np.zeros(batch.height, dtype=bool)
        borne[call] = True
        keys = _hashed(batch["key"])
        low, high = np.searchsorted(self._key, keys), np.searchsorted(self._key, keys, "right")
        listed = high - low
        places = np.arange(listed.sum()) - np.repeat(np.cumsum(listed) - listed, listed) + np.repeat(low, listed)
        self._time(
            batch,
            np.concatenate([call, np.repeat(np.arange(batch.height), listed)]),
            np.concatenate([row, self._lister[places]]),
        )
        return borne, np.maximum(listed, 1)

    def _served(self, serves: pl.Series) -> tuple[Ints, Ints]:
        """[pair] the calls, by their place in the batch, and rows that they were made for."""
        names, call = _flat(serves)
        calls, rows = [], []
        for parts in (0, 2, 3):
            cut = names.str.replace(rf"(/[^/]*){{{parts}}}$", "") if parts else names
            found, row = self._found(_hashed(cut))
            calls.append(call[found])
            rows.append(row)
            names, call = names.filter(~pl.Series(found)), call[~found]
        return np.concatenate(calls), np.concatenate(rows)

    def _found(self, hashes: NDArray[Any]) -> tuple[Bools, Ints]:
        """Which of these are ids of rows, and the rows of those."""
        if not self._count:
            return np.zeros(len(hashes), dtype=bool), np.zeros(0, dtype=np.int32)
        at = np.minimum(np.searchsorted(self._id, hashes), self._count - 1)
        found = self._id[at] == hashes
        return found, self._row[at[found]]

    def _time(self, batch: pl.DataFrame, call: Ints, row: Ints) -> None:
        """Keeps when the calls were under way whose times are known, and for which rows."""
        started, ended = (batch[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("started", "ended"))
        known = ~np.isnan(started + ended)
        self._times.append((started[known], ended[known]))
        pair = np.unique(call.astype(np.int64) * max(self._count, 1) + row)
        call, row = pair // max(self._count, 1), pair % max(self._count, 1)
        call, row = call[known[call]], row[known[call]]
        self._spans.append((row.astype(np.int32), started[call], ended[call]))

    @property
    def elapsed(self) -> float:
        """Seconds in which any call was under way."""
        started, ended = (_joined([one[at] for one in self._times], np.float64) for at in (0, 1))
        return float(covered(np.zeros(len(started), dtype=np.int32), started, ended, 1)[0])

    @property
    def critical(self) -> float:
        """The most seconds in which any one row, by the calls it lists and those made for it, had one under way."""
        row, started, ended = (_joined([one[at] for one in self._spans], kind) for at, kind in enumerate(_SPAN))
        row, started, ended = _sorted(row, started, ended)
        longest = 0.0
        for first in range(0, self._count, BLOCK):
            low, high = np.searchsorted(row, (first, first + BLOCK))
            lengths = covered(row[low:high] - first, started[low:high], ended[low:high], BLOCK)
            longest = max(longest, float(lengths.max()))
        return longest


_SPAN = (np.int32, np.float64, np.float64)


def _flat(lists: pl.Series) -> tuple[pl.Series, Ints]:
    """All elements of a column of lists, and the place of the list that each is in."""
    lengths = lists.list.len().fill_null(0).to_numpy()
    return lists.explode().drop_nulls(), np.repeat(np.arange(len(lists)), lengths)


def _hashed(names: pl.Series) -> NDArray[Any]:
    return names.cast(pl.String).hash().to_numpy()


def _joined(parts: Sequence[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)


def _sorted(by: NDArray[Any], *others: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    order = np.argsort(by, kind="stable")
    return by[order], *(one[order] for one in others)
