"""Candidates read in blocks of whole problems, so that a file of any size is surveyed in little memory.

A file is sorted by (arm, problem): a block is a run of its rows that ends where a problem does. Texts that repeat
(arms, ids, keys) come as codes; long texts are not read at all. The row groups' dictionaries are laid one after the
other, never made one: within a problem equal codes are equal texts, across problems one text may have several codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from testtime.core.errors import BadInput
from testtime.core.history import Bools, Floats, Ints
from testtime.store.frame import NEEDED
from testtime.store.parquet import empty_columns, readable

ROWS = 2**19
"""Rows of a block, about."""
AHEAD = 64
"""Row groups that are read before they are asked for."""
CODED = ("arm", "query_id", "split", "cluster", "answer_key", "finish_reason", "refusal_type")
"""Text columns that are read as codes."""
MANY = ("query_id", "cluster", "answer_key")
"""Those of them that have too many texts for one dictionary."""
PRESENT = ("error", "ground_truth_answer")
"""Text columns of which only the presence counts."""
SWITCHES = (
    "is_verified",
    "is_retry",
    "refusal_is_refusal",
    "verification_llm_judge_used",
)


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of one arm: whole problems, in order, marked retries left out."""

    arm: str
    table: pa.Table
    starts: Ints
    """[problem] its first row."""

    @property
    def rows(self) -> int:
        """How many."""
        return int(self.table.num_rows)

    @property
    def problems(self) -> int:
        """How many."""
        return len(self.starts)

    @cached_property
    def sizes(self) -> Ints:
        """[problem] draws."""
        return np.diff(np.append(self.starts, self.rows))

    @cached_property
    def problem(self) -> Ints:
        """[row] its problem's number in the block."""
        return np.repeat(np.arange(self.problems), self.sizes)

    @cached_property
    def draw(self) -> Ints:
        """[row] its number among the draws of its problem."""
        return np.arange(self.rows) - np.repeat(self.starts, self.sizes)

    def codes(self, name: str) -> Ints:
        """[row] code of a column of `CODED`, −1 for null; all null where the file lacks it."""
        if name not in self.table.column_names:
            return np.full(self.rows, -1)
        return np.asarray(_values(_one(self.table[name]).indices, -1))

    def texts(self, name: str) -> list[str]:
        """The texts by code; some may occur twice."""
        if name not in self.table.column_names:
            return []
        texts: list[str] = _one(self.table[name]).dictionary.to_pylist()
        return texts

    def there(self, name: str) -> Bools:
        """[row] whether a column is not null."""
        if name not in self.table.column_names:
            return np.zeros(self.rows, dtype=bool)
        return ~np.concatenate([_missing(piece) for piece in self.table[name].chunks])

    def numbers(self, name: str) -> Floats:
        """[row] a number or switch as float, nan where null or where the file lacks it."""
        if name not in self.table.column_names:
            return np.full(self.rows, np.nan)
        return np.concatenate([_float(piece) for piece in self.table[name].chunks])

    def switch(self, name: str) -> tuple[int, int]:
        """(Rows where it is on, rows where it is known)."""
        if name not in self.table.column_names:
            return 0, 0
        on = sum(int((_values(piece).astype(bool) & ~_missing(piece)).sum()) for piece in self.table[name].chunks)
        return on, self.rows - int(self.table[name].null_count)

    def known(self, name: str) -> Floats | Ints:
        """The numbers of a column that are known, in their own type."""
        if name not in self.table.column_names:
            return np.zeros(0)
        pieces = self.table[name].chunks
        values = np.concatenate([_values(one)[~_missing(one)] if one.null_count else _values(one) for one in pieces])
        return values[~np.isnan(values)] if values.dtype.kind == "f" else values


def blocks(file: Path, numbers: Sequence[str]) -> Iterator[Block]:
    """The blocks of a candidates.parquet with these number columns. Raises BadInput for a file that cannot be read.

    Checksums are verified, as a damaged page could otherwise end the process.
    """
    with readable(file):
        told = pq.read_metadata(file)
        there, empty = told.schema.to_arrow_schema().names, empty_columns(told)
        _needed(there, file)
        texts = [name for name in (*CODED, *PRESENT) if name in there]
        asked = [name for name in (*texts, *SWITCHES, *numbers) if name in there]
        with pq.ParquetFile(
            file, metadata=told, read_dictionary=texts, page_checksum_verification=True, pre_buffer=True
        ) as parquet:
            said = [name for name in asked if name in NEEDED or name not in empty]
            yield from _blocks(_ahead(parquet.iter_batches(ROWS, columns=said)))


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, of which the next are read while one is counted: reading needs no lock of the interpreter's."""
    with ThreadPoolExecutor(1, "testtime-read") as beside:
        coming = [beside.submit(next, batches, None) for _ in range(AHEAD)]
        while (batch := coming.pop(0).result()) is not None:
            coming.append(beside.submit(next, batches, None))
            yield batch


def blocks_of(frame: pl.DataFrame) -> Iterator[Block]:
    """The blocks of a table of candidates, in the order of its problems."""
    _needed(frame.columns, None)
    numbered = frame.with_row_index("_row")
    first_seen = [pl.col("_row").min().over(*place) for place in (("arm",), ("arm", "query_id"))]
    table = numbered.sort(*first_seen, "candidate_idx").drop("_row").to_arrow()
    coded = [(name, table[name].cast(pa.string()).dictionary_encode()) for name in CODED if name in table.column_names]
    for name, column in coded:
        table = table.set_column(table.column_names.index(name), name, column)
    yield from _blocks(table.to_batches())


def _needed(names: Iterable[str], file: Path | None) -> None:
    if missing := [name for name in NEEDED if name not in set(names)]:
        raise BadInput(f"no column {missing[0]!r}", where=str(file or ""), mend=f"candidates need {', '.join(NEEDED)}")


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
    """Gathers batches to a block's worth, and cuts at the last problem that is whole; the rest goes before the next."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in filter(len, batches):
        held.append(batch)
        rows += batch.num_rows
        if rows >= ROWS:
            whole, places = _joined(held)
            last = int(places[-1])
            yield from _by_arm(whole.slice(0, last), places[:-1])
            rest = _apart(whole.slice(last))
            held, rows = [rest], rest.num_rows
    if rows:
        yield from _by_arm(*_joined(held))


def _joined(batches: Sequence[pa.RecordBatch]) -> tuple[pa.Table, Ints]:
    """One table of them, its coded columns in one piece, and the first row of each stretch of one problem."""
    table, places = pa.Table.from_batches(batches), _places(batches)
    borders = np.cumsum([batch.num_rows for batch in batches])[:-1]
    first = np.searchsorted(places, borders, "right") - 1
    across = np.unique(first[places[first] < borders])
    crossing = list(zip(places[across].tolist(), np.append(places, table.num_rows)[across + 1].tolist(), strict=True))
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            pieces = table.column(at)
            if field.name not in MANY:
                laid = _one(pieces.unify_dictionaries().combine_chunks())
            else:
                laid = _laid(pieces.chunks, crossing if field.name == "answer_key" else ())
            table = table.set_column(at, field.name, laid)
    return table, places


def _places(batches: Sequence[pa.RecordBatch]) -> Ints:
    """The first row of each stretch of one problem under one arm."""
    starts, row, last = [np.zeros(0, np.int64)], 0, None
    for batch in batches:
        columns: list[Any] = [batch.column("arm"), batch.column("query_id")]
        arm, query = (_values(column.indices) for column in columns)
        changed = np.flatnonzero((arm[1:] != arm[:-1]) | (query[1:] != query[:-1])) + 1
        first = tuple(column[0].as_py() for column in columns)
        starts.append(row + (changed if first == last else np.append(0, changed)))
        last, row = tuple(column[-1].as_py() for column in columns), row + batch.num_rows
    return np.concatenate(starts)


def _laid(chunks: Sequence[Any], crossing: Sequence[tuple[int, int]]) -> Any:
    """Coded chunks as one, their dictionaries one after the other; in the rows `crossing` equal texts have one code."""
    if len(chunks) == 1:
        return chunks[0]
    texts = pa.concat_arrays([chunk.dictionary for chunk in chunks])
    offsets = np.cumsum([0] + [len(chunk.dictionary) for chunk in chunks])
    codes = np.concatenate([_values(one.indices, -1) + at for one, at in zip(chunks, offsets[:-1], strict=True)])
    missing = np.concatenate([_missing(one) for one in chunks])
    for start, end in crossing:
        known: dict[str | None, int] = {}
        for row in range(start, end):
            if not missing[row]:
                codes[row] = known.setdefault(texts[int(codes[row])].as_py(), int(codes[row]))
    there = _bits(~missing) if missing.any() else None
    packed: Any = pa.Array.from_buffers(pa.int32(), len(codes), [there, _buffer(codes.astype(np.int32))])
    return pa.DictionaryArray.from_arrays(packed, texts, safe=False)


def _apart(rows: pa.Table) -> pa.RecordBatch:
    """Some rows by themselves: their codes are not those of the block that they were read with."""
    columns = [
        column.cast(pa.string()).combine_chunks().dictionary_encode()
        if pa.types.is_dictionary(column.type)
        else column.combine_chunks()
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=rows.column_names)


def _by_arm(table: pa.Table, places: Ints) -> Iterator[Block]:
    """The blocks of a table of whole problems that begin at `places`."""
    first_tries = ~_switched(table["is_retry"]) if "is_retry" in table.column_names else None
    if first_tries is not None and not first_tries.all():
        kept: Any = pa.Array.from_buffers(pa.bool_(), len(first_tries), [None, _bits(first_tries)])
        table = table.filter(kept).combine_chunks()
        sizes = np.add.reduceat(first_tries.astype(np.int64), places)
        places = (np.cumsum(sizes) - sizes)[sizes > 0]
    if not table.num_rows:
        return
    arms = _one(table["arm"])
    codes = _values(arms.indices)
    ends = np.append(np.flatnonzero(codes[1:] != codes[:-1]) + 1, table.num_rows)
    start = 0
    for end in ends.tolist():
        inside = places[(places >= start) & (places < end)] - start
        yield Block(arms.dictionary[int(codes[start])].as_py(), table.slice(start, end - start), inside)
        start = end


_FLOATS = {"double": "float64", "float": "float32", "halffloat": "float16"}
"""Arrow's names → numpy's, where they differ."""


def _values(piece: Any, null: float = 0) -> Any:
    """A piece of a column of numbers or switches as an array, its nulls as `null`.

    Read from its buffers: what pyarrow itself offers imports pandas where that is installed, or makes a function of
    each of its three hundred kernels, and a small file is read faster than either.
    """
    buffer, kind = piece.buffers()[1], np.dtype(_FLOATS.get(str(piece.type), str(piece.type)))
    if pa.types.is_boolean(piece.type):
        values = _unpacked(buffer, piece).view(np.int8)
    elif buffer is None:
        return np.full(len(piece), null, kind)
    else:
        values = np.frombuffer(buffer, kind)[piece.offset : piece.offset + len(piece)]
    return np.where(_missing(piece), values.dtype.type(null), values) if piece.null_count else values


def _float(piece: Any) -> Floats:
    """A piece of a column as floats, nan where it is null."""
    values = _values(piece).astype(float)
    if piece.null_count:
        values[_missing(piece)] = np.nan
    return np.asarray(values)


def _switched(column: Any) -> Bools:
    """[row] whether a switch is on."""
    pieces = [_values(one).astype(bool) & ~_missing(one) for one in column.chunks]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=bool)


def _unpacked(buffer: Any, piece: Any) -> Any:
    """Arrow's bits of the rows of a piece, a byte each."""
    if buffer is None:
        return np.zeros(len(piece), np.uint8)
    start, skipped = divmod(piece.offset, 8)
    return np.unpackbits(np.frombuffer(buffer, np.uint8)[start:], count=skipped + len(piece), bitorder="little")[
        skipped:
    ]


def _bits(values: Bools) -> pa.Buffer:
    """Switches as Arrow packs them."""
    return _buffer(np.packbits(values, bitorder="little"))


def _buffer(values: Any) -> pa.Buffer:
    return pa.py_buffer(values)


def _missing(column: Any) -> Bools:
    """[row] whether a piece of a column is null."""
    if not column.null_count:
        return np.zeros(len(column), dtype=bool)
    if pa.types.is_dictionary(column.type):
        column = column.indices
    if pa.types.is_null(column.type):
        return np.ones(len(column), dtype=bool)
    return np.asarray(_unpacked(column.buffers()[0], column) == 0)


def _one(column: Any) -> Any:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
