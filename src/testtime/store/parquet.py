"""candidates.parquet and calls.parquet: written whole, in row groups, with what the run was in the metadata.

Written with pyarrow, so that `pq.read_table(f).schema.metadata[b"model"]` holds the model, each page with
a checksum. Candidates are sorted by (arm, problem, candidate_idx), the problems in dataset order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from testtime.core.errors import BadInput
from testtime.core.progress import steps
from testtime.core.records import canonical
from testtime.store.atomic import whole
from testtime.store.codec import SURROGATE, encode
from testtime.store.memory import give_back
from testtime.store.schema import CALLS, CANDIDATES, METADATA, VERSION, arrow

if TYPE_CHECKING:
    import pyarrow.compute as pc  # a tenth of a second, of which most commands need nothing

GROUP = 4096
"""The most rows of a row group."""
GROUP_TEXT = 2**22
"""Characters after which a row group is closed: long texts make small groups, as a group is held in memory whole."""
Row = Mapping[str, Any]


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """What reads a Parquet file within it raises BadInput where that is absent, damaged, or no Parquet."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput("no such file", where=str(file), mend="check the path") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise BadInput("is no Parquet file that can be read", where=str(file), mend="is it whole?") from error


def read_frame(file: Path, columns: Sequence[str] | None = None, rows: pc.Expression | None = None) -> pl.DataFrame:
    """A Parquet file, or these columns and rows of it. Raises BadInput.

    Read with pyarrow, which checks each page's checksum: polars would end the process on some damaged files.
    """
    with readable(file):
        table = pq.read_table(
            file, columns=None if columns is None else list(columns), filters=rows, page_checksum_verification=True
        )
        table.validate(full=True)
    frame = pl.from_arrow(table.replace_schema_metadata(None))
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def write_candidates(
    path: Path, rows: Iterable[Row], meta: Mapping[str, Any], *, count: int, scores: Sequence[str] = ()
) -> None:
    """Writes rows that come sorted by (arm, problem, candidate_idx); what a row lacks is null.

    `count` is how many there are (it goes into the metadata, ahead of them), `scores` names the columns
    beyond the declared ones. Raises BadInput for a candidate that comes twice or out of order, a column
    that was not declared, a value of another type, and where the file cannot be written.
    """
    _write(path, _sorted(rows, path), arrow(CANDIDATES, scores), {"format": "testtime.candidates", **meta}, count)


def write_calls(path: Path, rows: Iterable[Row], meta: Mapping[str, Any], *, count: int) -> None:
    """Writes the ledger, one row an attempt, as `write_candidates` does."""
    _write(path, rows, arrow(CALLS), {"format": "testtime.calls", **meta}, count)


def write_frame(path: Path, frame: pl.DataFrame, meta: Mapping[str, Any]) -> None:
    """Writes a table of candidates (an imported pool), sorted first; problems keep their order of appearance."""
    order = frame["query_id"].unique(maintain_order=True)
    arms = frame["arm"].unique(maintain_order=True)
    ranked = frame.sort(
        pl.col("arm").replace_strict(arms, range(arms.len())),
        pl.col("query_id").replace_strict(order, range(order.len())),
        "candidate_idx",
    )
    scores = [name for name in frame.columns if name not in CANDIDATES]
    rows = (row for part in ranked.iter_slices(GROUP) for row in part.iter_rows(named=True))
    write_candidates(path, rows, meta, count=frame.height, scores=scores)


def _write(path: Path, rows: Iterable[Row], schema: pa.Schema, meta: Mapping[str, Any], count: int) -> None:
    stamped = schema.with_metadata(stamp({**meta, "total_records": count, "empty": None}))
    written, empty = 0, set(schema.names)
    with (
        whole(Path(path)) as part,
        pq.ParquetWriter(part, stamped, compression="zstd", write_page_checksum=True) as writer,
    ):
        for group in _groups(steps(rows, "rows written", count)):
            table = _table(group, stamped, path)
            writer.write_table(table)
            written += len(group)
            empty -= {name for name in empty if table[name].null_count < len(group)}
        if written != count:
            raise ValueError(f"{written} rows were written where {count} were announced")
        writer.add_key_value_metadata({"empty": ",".join(name for name in schema.names if name in empty)})
    give_back()


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in groups bounded by number and by text."""
    group, text = list[Row](), 0
    for row in rows:
        group.append(row)
        text += sum(len(value) for value in row.values() if type(value) is str)
        if len(group) == GROUP or text >= GROUP_TEXT:
            yield group
            group, text = [], 0
    if group:
        yield group


def _table(group: Sequence[Row], schema: pa.Schema, path: Path) -> pa.Table:
    present = {name for row in group for name in row}
    if extra := sorted(present.difference(schema.names)):
        raise BadInput(f"no column {extra[0]!r} is declared", where=str(path), mend="name it among the scores")
    arrays = []
    for field in schema:
        if field.name not in present:
            arrays.append(pa.nulls(len(group), field.type))
            continue
        try:
            arrays.append(_array([row.get(field.name) for row in group], field.type))
        except (pa.ArrowException, ValueError, TypeError) as error:
            why = f"column {field.name} does not hold {field.type}: {error}"
            raise BadInput(why, where=str(path)) from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    """The values as Arrow; a lone surrogate in a text, which a model's bytes can leave, becomes U+FFFD."""
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_clean(value) for value in values], kind)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    return [_clean(item) for item in value] if isinstance(value, (list, tuple)) else value


def _sorted(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """The rows, checked as they pass: each arm in one stretch, each problem in one stretch of it, numbers rising."""
    done: set[tuple[str, str]] = set()
    arms: list[str] = []
    place, idx = None, -1
    for row in rows:
        arm, query = here = (row["arm"], row["query_id"])
        if here != place:
            if here in done or (arm in arms and arm != arms[-1]):
                raise BadInput(f"rows of {query!r} under {arm!r} come in two places", where=str(path))
            arms += [arm] if arm not in arms else []
            done.add(here)
            place, idx = here, -1
        if row["candidate_idx"] <= idx:
            found = f"candidate {row['candidate_idx']} of {query!r} under {arm!r}"
            raise BadInput(f"{found} comes twice or out of order", where=str(path))
        idx = row["candidate_idx"]
        yield row


def stamp(meta: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Metadata as bytes, each key in its declared form, with version, time and program added; None is left out.

    Raises ValueError for a key that is not declared.
    """
    now = {"generated_at": datetime.now(UTC).isoformat(timespec="seconds"), "testtime_version": version_of("testtime")}
    if unknown := meta.keys() - METADATA.keys():
        raise ValueError(f"no metadata key {sorted(unknown)[0]!r} is declared")
    whole = {**now, **meta, "version": VERSION}
    return {name.encode(): _bytes(name, value) for name, value in whole.items() if value is not None}


def _bytes(name: str, value: Any) -> bytes:
    form = METADATA[name].form
    if form == "json":
        text = canonical(
            [encode(arm) if not isinstance(arm, Mapping) else arm for arm in value] if name == "arms" else value
        )
    else:
        text = ",".join(value) if form == "commas" and not isinstance(value, str) else str(value)
    return str(_clean(text)).encode()


def read_meta(path: Path, format: str = "testtime.candidates") -> dict[str, Any]:
    """The metadata of a file this project wrote, in Python values.

    Raises BadInput, in one line, for a file that is missing, no Parquet, foreign, or of another version.
    """
    path = Path(path)
    with readable(path):
        raw = pq.read_schema(path).metadata or {}
    known = {name: raw[name.encode()].decode("utf-8", "replace") for name in METADATA if name.encode() in raw}
    if known.get("format") != format:
        raise BadInput(f"is no {format} file", where=str(path), mend="turn a foreign file into a pool: testtime import")
    if known.get("version") != str(VERSION):
        told = known.get("version", "none")
        mend = f"this testtime reads version {VERSION}; write the file anew, or read it with the testtime that wrote it"
        raise BadInput(f"version {told}", where=str(path), mend=mend)
    return {name: _value(name, text, path) for name, text in known.items()}


def fill(path: Path, columns: pl.DataFrame) -> None:
    """Puts columns into a file of candidates, a value a row in its order; the rest of it, metadata too, stays.

    Raises BadInput where it cannot be written.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as old, whole(path) as part:
        schema, start = old.schema_arrow, 0
        with pq.ParquetWriter(part, schema, compression="zstd", write_page_checksum=True) as writer:
            for number in range(old.num_row_groups):
                group = old.read_row_group(number)
                for name in columns.columns:
                    values = _array(columns[name][start : start + group.num_rows].to_list(), schema.field(name).type)
                    group = group.set_column(schema.get_field_index(name), schema.field(name), values)
                writer.write_table(group)
                start += group.num_rows
            left = [name for name in empty_columns(old.metadata) if name not in columns.columns]
            writer.add_key_value_metadata({"empty": ",".join(left)})


def written_from(path: Path) -> str | None:
    """What a file says it was written from; None where it does not, or cannot be read."""
    try:
        return (pq.read_schema(path).metadata or {}).get(b"written_from", b"").decode() or None
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return None


def _value(name: str, text: str, path: Path) -> Any:
    form = METADATA[name].form
    if form == "commas":
        return text.split(",")
    try:
        return json.loads(text) if form == "json" else text
    except ValueError as error:
        raise BadInput(f"its metadata key {name!r} is damaged", where=str(path)) from error


def empty_columns(metadata: pq.FileMetaData) -> list[str]:
    """The columns of which a file says that no row has them, so that nobody reads them; none where it does not say.

    The file's own statistics say it too, but to look at those of a damaged file ends the process.
    """
    return (metadata.metadata or {}).get(b"empty", b"").decode("utf-8", "replace").split(",")
