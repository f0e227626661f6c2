"""Candidates read in blocks of whole problems, so that a file of any size is surveyed in little memory.

A file is sorted by (arm, problem): a block is a run of its rows that ends where a problem does. Texts that repeat
(arms, ids, keys) come as codes into the block's own dictionary; long texts are not read at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from testtime.core.errors import BadInput
from testtime.core.history import Bools, Floats, Ints
from testtime.store.frame import NEEDED
from testtime.store.parquet import readable

ROWS = 2**19
"""Rows of a block, about."""
AHEAD = 64
"""Row groups that are read before they are asked for."""
CODED = ("arm", "query_id", "split", "cluster", "answer_key", "finish_reason", "refusal_type", "provider", "model")
"""Text columns that are read as codes."""
PRESENT = ("error", "ground_truth_answer")
"""Text columns of which only the presence counts."""
SWITCHES = (
    "is_verified",
    "is_retry",
    "refusal_is_refusal",
    "verification_llm_judge_used",
    "verification_saw_reference",
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

    @property
    def sizes(self) -> Ints:
        """[problem] draws."""
        return np.diff(np.append(self.starts, self.rows))

    @property
    def problem(self) -> Ints:
        """[row] its problem's number in the block."""
        return np.repeat(np.arange(self.problems), self.sizes)

    @property
    def draw(self) -> Ints:
        """[row] its number among the draws of its problem."""
        return np.arange(self.rows) - np.repeat(self.starts, self.sizes)

    def codes(self, name: str) -> tuple[Ints, list[str]]:
        """([row] code or −1 for null, texts by code) of a column of `CODED`; all null where the file lacks it."""
        if name not in self.table.column_names:
            return np.full(self.rows, -1), []
        column = _one(self.table[name])
        return _values(column.indices, -1), column.dictionary.to_pylist()

    def there(self, name: str) -> Bools:
        """[row] whether a column is not null."""
        if name not in self.table.column_names:
            return np.zeros(self.rows, dtype=bool)
        return np.asarray(_values(self.table[name].is_valid().cast(pa.int8())), dtype=bool)

    def numbers(self, name: str) -> Floats:
        """[row] a number or switch as float, nan where null or where the file lacks it."""
        if name not in self.table.column_names:
            return np.full(self.rows, np.nan)
        column = self.table[name]
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        return np.asarray(_values(column.cast(pa.float64()), np.nan), dtype=float)


def blocks(file: Path, numbers: Sequence[str]) -> Iterator[Block]:
    """The blocks of a candidates.parquet with these number columns. Raises BadInput for a file that cannot be read.

    Checksums are verified, as a damaged page could otherwise end the process.
    """
    with readable(file):
        there = pq.read_schema(file).names
        _needed(there, file)
        texts = [name for name in (*CODED, *PRESENT) if name in there]
        asked = texts + [name for name in (*SWITCHES, *numbers) if name in there]
        with pq.ParquetFile(file, read_dictionary=texts, page_checksum_verification=True, pre_buffer=True) as parquet:
            said = [name for name in asked if name in NEEDED or not _all_null(parquet.metadata, there.index(name))]
            yield from _blocks(_ahead(parquet.iter_batches(ROWS, columns=said)))


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, of which the next are read while one is counted: reading needs no lock of the interpreter's."""
    with ThreadPoolExecutor(1, "testtime-read") as beside:
        coming = [beside.submit(next, batches, None) for _ in range(AHEAD)]
        while (batch := coming.pop(0).result()) is not None:
            coming.append(beside.submit(next, batches, None))
            yield batch


def _all_null(metadata: pq.FileMetaData, leaf: int) -> bool:
    """Whether the file's own statistics say that a column holds nothing: then it is not read."""
    for group in range(metadata.num_row_groups):
        column = metadata.row_group(group).column(leaf)
        told = column.statistics
        if told is None or (told.null_count or 0) < column.num_values:
            return False
    return True


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
    held: list[pa.Table] = []
    for batch in batches:
        held.append(pa.Table.from_batches([batch]))
        if sum(table.num_rows for table in held) >= ROWS:
            whole = _joined(held)
            last = int(_places(whole)[-1])
            yield from _by_arm(whole.slice(0, last))
            held = [whole.slice(last)]
    if held:
        yield from _by_arm(_joined(held))


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _places(table: pa.Table) -> Ints:
    """The first row of each stretch of one problem under one arm."""
    arm, query = (_values(_one(table[name]).indices) for name in ("arm", "query_id"))
    changed = np.flatnonzero((arm[1:] != arm[:-1]) | (query[1:] != query[:-1])) + 1
    return np.append(0, changed) if table.num_rows else changed


def _by_arm(table: pa.Table) -> Iterator[Block]:
    if "is_retry" in table.column_names and pc.any(table["is_retry"]).as_py():
        first_tries = _values(table["is_retry"].cast(pa.int8())) != 1
        table = table.filter(pa.array(first_tries)).combine_chunks()
    if not table.num_rows:
        return
    arms = _one(table["arm"])
    codes = _values(arms.indices)
    ends = np.append(np.flatnonzero(codes[1:] != codes[:-1]) + 1, table.num_rows)
    start = 0
    for end in ends.tolist():
        part = table.slice(start, end - start)
        yield Block(arms.dictionary[int(codes[start])].as_py(), part, _places(part))
        start = end


def _values(column: Any, null: float = 0) -> Any:
    """A column of numbers as an array, its nulls as `null`.

    Read from its buffers: what pyarrow itself offers imports pandas wherever that is installed, half a second.
    """
    array = _one(column) if isinstance(column, pa.ChunkedArray) else column
    buffer, kind = array.buffers()[1], np.dtype(str(array.type).replace("double", "float64"))
    if buffer is None:
        return np.full(len(array), null, kind)
    values = np.frombuffer(buffer, kind)[array.offset : array.offset + len(array)]
    if not array.null_count:
        return values
    return np.where(_values(array.is_valid().cast(pa.int8())) == 1, values, kind.type(null))


def _one(column: Any) -> Any:
    """A column of a table that is in one piece."""
    return column.chunk(0) if column.num_chunks else column.combine_chunks()
