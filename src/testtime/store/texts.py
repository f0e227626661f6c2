"""One problem of a pool as a person reads it: its candidates with their texts, in pieces that say who wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from testtime.answers.extract import thoughts
from testtime.store.parquet import read_frame, readable

Row = Mapping[str, Any]
TRAFFIC = frozenset({"tools", "call", "result"})
"""Kinds of parts that pass between a model and its tools."""
OUTSIDE = TRAFFIC | {"member"}
"""Kinds of parts that are no part of the candidate's own text."""


@dataclass(frozen=True)
class Piece:
    """Some text of a candidate, by one writer, all of it thinking or none of it."""

    kind: str
    """A part's kind: base, oracle, thinking, forced, answer, tools, call, result, step, member."""
    text: str
    thinking: bool
    part: int = 0
    """Which part of the candidate it is of: thinking may end within one."""


@dataclass(frozen=True)
class Vote:
    """The candidates of one answer."""

    answer: str | None
    """As the first of them printed it; None for those that voted for nothing."""
    rows: Sequence[Row]


def rows_of(file: Path, query_id: str) -> list[Row]:
    """A problem's rows of a candidates.parquet, in the order of the file; empty where it has none.

    One row group is held at a time, and only those that have the problem are read whole. Raises BadInput.
    """
    import pyarrow.compute as pc  # a tenth of a second, of which most commands need nothing

    found: list[Row] = []
    with readable(file), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        for group in range(parquet.num_row_groups):
            ids = parquet.read_row_group(group, ["query_id"])["query_id"]
            if query_id in ids.unique().to_pylist():
                found += parquet.read_row_group(group).filter(pc.field("query_id") == query_id).to_pylist()
    return found


def problems_of(file: Path) -> list[str]:
    """The ids of the problems of a candidates.parquet, in its order. Raises BadInput."""
    return [str(one) for one in read_frame(file, ["query_id"])["query_id"].unique(maintain_order=True)]


def pieces(row: Row) -> list[Piece]:
    """A candidate's text in pieces: its parts, cut where thinking begins and ends. One without parts is one text."""
    said = row.get("parts")
    parts = json.loads(said) if said else [{"kind": "answer", "text": row.get("candidate_text") or ""}]
    return list(_pieces(parts))


def _pieces(parts: Sequence[Mapping[str, Any]]) -> Iterator[Piece]:
    own = [part for part in parts if part["kind"] not in OUTSIDE]
    spans = thoughts("".join(part["text"] for part in own))
    at = 0
    for number, part in enumerate(parts):
        kind, text = str(part["kind"]), str(part["text"])
        if kind in OUTSIDE:
            yield Piece(kind, text, thinking=False, part=number)
            continue
        for start, end, thinking in spans:
            cut = text[max(start - at, 0) : max(end - at, 0)]
            if cut:
                yield Piece(kind, cut, thinking or kind == "thinking", number)
        at += len(text)


def traffic(kind: str, text: str) -> str:
    """What passes between a model and its tools, as a person reads it; what is not in that form stays as it is.

    >>> traffic("tools", '[{"name": "add"}, {"name": "clock"}]')
    'add, clock'
    >>> traffic("call", '{"thinking": "", "tool_calls": [{"id": "1", "name": "add", "input": {"a": 2, "b": "x"}}]}')
    'add(a=2, b="x")'
    >>> traffic("result", '{"tool_use_id": "1", "content": "4"}')
    '4'
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):  # a model's own text, nested without end among others
        return text
    if kind == "tools" and isinstance(said, list):
        return ", ".join(str(one.get("name")) for one in said if isinstance(one, Mapping))
    if not isinstance(said, Mapping):
        return text
    if kind == "result" and "tool_use_id" in said:
        content = said.get("content")
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    if kind == "call" and isinstance(several := said.get("tool_calls", [said]), list) and several:
        thought = [str(said["thinking"])] if said.get("thinking") else []
        return "\n".join([*thought, *map(_called, several)])
    return text


def _called(call: object) -> str:
    """`name(key=value)` of one call."""
    if not isinstance(call, Mapping) or "name" not in call:
        return json.dumps(call, ensure_ascii=False)
    given = call.get("input", call.get("arguments", {}))
    if not isinstance(given, Mapping):
        return f"{call['name']}({given})"
    told = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items())
    return f"{call['name']}({told})"


def votes(rows: Sequence[Row]) -> list[Vote]:
    """Draws by answer, the most voted first, those without a vote last; marked retries are not draws."""
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        if not row.get("is_retry"):
            key = None if row.get("error") is not None else row.get("answer_key")
            groups.setdefault(key, []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (item[0] is None, -len(item[1])))
    return [Vote(None if key is None else str(rows[0].get("answer") or key), rows) for key, rows in ordered]
