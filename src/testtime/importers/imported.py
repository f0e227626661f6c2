"""What an importer gives: a table of candidates and what is known of them as a whole.

The recorded draws of a file are one arm. A file does not say how its candidates would have been
charged beyond its own columns, so whatever it lacks (prompt tokens, seconds, dollars) stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from testtime.core.records import Arm
from testtime.core.rows import Row
from testtime.store.codec import encode
from testtime.store.schema import CANDIDATES, arrow

ARM = "plain"
"""Label of the one arm."""

NAMES = (
    "arm", "query_id", "candidate_idx", "split", "cluster", "question", "ground_truth_answer", "answer", "answer_key",
    "candidate_text", "is_verified", "verification_method", "verification_saw_reference", "completion_tokens",
)  # fmt: skip
"""The columns every importer fills, of those of candidates.parquet; further ones are scores (float64)."""


@dataclass(frozen=True, eq=False)
class Imported:
    """Candidates in issue order, ready for `store.frame.pool_of(frame, meta)` and for a run folder."""

    frame: pl.DataFrame
    """One row a candidate: NAMES, then scores."""
    meta: Mapping[str, Any]
    """Keys of `store.schema.METADATA`: run, arms, vote (the vote key in words), caveats, and what else is known."""


def imported(
    candidates: Iterable[Mapping[str, Any]],
    path: Path | str,
    *,
    vote: str,
    method: str,
    dataset: str = "",
    run: str | None = None,
    model: str | None = None,
    provider: str | None = None,
    temperature: float | None = None,
    caveats: Sequence[str] = (),
) -> Imported:
    """Candidates as dicts → the table and its metadata; a column that a candidate lacks is null there.

    `method` says how the verdicts came about; all of them saw the gold answer.
    """
    rows = [{"arm": ARM, **candidate} for candidate in candidates]
    scores = dict.fromkeys(name for row in rows for name in row if name not in NAMES)
    columns = arrow({name: CANDIDATES[name] for name in NAMES}, list(scores))
    kinds = pl.DataFrame(columns.empty_table()).schema
    frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in kinds}, schema=kinds)
    judged = pl.col("is_verified").is_not_null()
    frame = frame.with_columns(
        verification_method=pl.when(judged).then(pl.lit(method)),
        verification_saw_reference=pl.when(judged).then(True),
    )
    sampling = {} if temperature is None else {"temperature": temperature}
    arm = Arm(ARM, {} if model is None else {"model": model}, sampling=sampling)
    meta = {
        "run": run or stem(path),
        "dataset": dataset,
        "splits": sorted(set(frame["split"].drop_nulls())) or None,
        "model": model,
        "provider": provider,
        "temperature": temperature,
        "total_queries": frame["query_id"].n_unique(),
        "arms": [encode(arm)],
        "vote": vote,
        "caveats": list(caveats),
        "config": {"imported": Path(path).name},
    }
    return Imported(frame, {name: value for name, value in meta.items() if value is not None})


def stem(path: Path | str) -> str:
    """The file's name without its endings: `T0.7.jsonl.gz` is `T0.7`."""
    name = Path(path).name
    for ending in (".gz", ".jsonl", ".json"):
        name = name.removesuffix(ending)
    return name or "pool"


def items(row: Row, key: str, count: int | None = None) -> list[Any]:
    """A list of the row, of the length that another list of it has. Raises BadInput naming file and line."""
    value = row.need(key)
    if not isinstance(value, list):
        row.bad(f"{key!r} is not a list")
    if not value:
        row.bad(f"{key!r} is empty", mend="a problem needs at least one draw")
    if count is not None and len(value) != count:
        row.bad(f"{key!r} has {len(value)} entries where {count} are expected", mend="give one a draw, null if unknown")
    return list(value)


def texts(row: Row, key: str, count: int | None = None) -> list[str]:
    """A list of texts."""
    value = items(row, key, count)
    for at, item in enumerate(value):
        if not isinstance(item, str):
            row.bad(f"{key}[{at}] is not a text")
    return value


def text(row: Row, key: str) -> str | None:
    """A text of the row, or None where it is absent or null. A whole number is taken as its text."""
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        row.bad(f"{key!r} is not a text")
    return value


def real(row: Row, value: Any, what: str) -> float | None:
    """A finite number of no more than 150 digits, so that its square is one too, or None for null."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        row.bad(f"{what} is not a number")
    number = float(Decimal(value))
    if abs(number) > 1e150:
        row.bad(f"{what} is beyond what can be reckoned with")
    return number


class Ids:
    """The ids of a file's rows: each once."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def take(self, row: Row, key: str) -> str:
        """The row's id as text. Raises BadInput where it is missing or was taken."""
        row.need(key)
        name = text(row, key)
        if not name or not name.strip():
            row.bad(f"{key!r} is empty")
        if name in self._first:
            row.bad(f"{key} {name[:60]!r} occurs twice, first at {self._first[name]}", mend="give each problem its own")
        self._first[name] = row.where
        return name
