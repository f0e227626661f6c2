"""From rows to a pool: a table of candidates becomes every draw of every arm, as arrays.

Marked retries are not draws. A failed draw is one: it abstains, and is wrong where its problem's
answers are judged. A column that saw the gold is shown to policies only under the name `oracle(column)`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from testtime.core.errors import BadInput
from testtime.core.history import ABSTAINS, Floats, Ints
from testtime.core.records import ABSTAIN, Arm
from testtime.store.codec import decode
from testtime.store.memory import give_back
from testtime.store.parquet import empty_columns, read_meta, readable
from testtime.store.pool import Draws, Pool

NEEDED = ("arm", "query_id", "candidate_idx", "answer_key")
SPENDS = {
    "prompt_tokens": "prompt",
    "cached_tokens": "cached",
    "completion_tokens": "completion",
    "reasoning_tokens": "reasoning",
    "latency_s": "seconds",
    "cost_usd": "usd",
}
"""Columns that a pool calls by the names of `Spend`."""
LENGTH = "quality_answer_length"
"""Characters of the answer: 0 where there is none."""
GOLD = ("verification_confidence",)
"""Number columns that saw the reference, unless `verification_saw_reference` is false throughout."""
_TYPES: dict[str, pl.DataType] = {
    "arm": pl.String(),
    "query_id": pl.String(),
    "candidate_idx": pl.Int64(),
    "answer_key": pl.String(),
    "split": pl.String(),
    "cluster": pl.String(),
    "finish_reason": pl.String(),
    "is_verified": pl.Boolean(),
    "is_retry": pl.Boolean(),
    "error": pl.String(),
    "ground_truth_answer": pl.String(),
    "verification_saw_reference": pl.Boolean(),
    "refusal_is_refusal": pl.Boolean(),
}
_NOT_SCORES = frozenset({"candidate_idx", "retry_of_candidate_idx", "generation_seed", "max_tokens"})
_MOST_KEYS = 2**15 - 1


def pool_of(frame: pl.DataFrame, meta: Mapping[str, Any]) -> Pool:
    """The pool of a table of candidates, which needs the columns arm, query_id, candidate_idx, answer_key.

    What else `schema.CANDIDATES` declares is read where present, and any further number column is a score.
    `meta` may hold: run, dataset, vote, caveats (sentences: the pool's notes), arms (`Arm` records or their
    dicts), floor (arm → draws due) and grouped (arm → bool). Problems come in order of first appearance.
    Raises BadInput for a missing column, a candidate that occurs twice, or arms that share no problem.
    """
    run = str(meta.get("run") or "pool")
    arms = _arms(frame, meta, run)
    rows, problems = _rows(frame, list(arms), run)
    del frame  # a large pool is not held twice
    codes, keys = _codes(rows, problems.height, run)
    values = {"codes": codes, "right": _right(rows), **_columns(rows)}
    floors, grouped = _by_arm(meta, "floor", run), _by_arm(meta, "grouped", run)
    sizes = _sizes(rows, len(arms), problems.height)
    kept, notes = _common(sizes, [floors.get(label) for label in arms], run)
    draws = {
        label: _draws(rows, values, at, sizes[at], kept, arm, floors.get(label), bool(grouped.get(label)))
        for at, (label, arm) in enumerate(arms.items())
    }
    problems, keys = problems[kept], [keys[p] for p in kept]
    clusters = problems["cluster"].to_list()
    return Pool(
        run=run,
        dataset=str(meta.get("dataset") or ""),
        provider=meta.get("provider"),
        problems=problems["query_id"].to_list(),
        splits=problems["split"].fill_null("").to_list(),
        arms=draws,
        keys=keys,
        clusters=clusters if any(cluster is not None for cluster in clusters) else None,
        vote=str(meta.get("vote") or "answer key"),
        notes=[*(meta.get("caveats") or ()), *notes, *_gaps(rows), *_undrawn(meta, len(sizes[0])), *_truncated(rows)],
    )


def _arms(frame: pl.DataFrame, meta: Mapping[str, Any], run: str) -> dict[str, Arm]:
    """The arms by label: as `meta` declares them, then any others in order of appearance.

    A declared arm without a draw is kept only where none was due (a cascade that never went on to it).
    """
    if missing := [name for name in NEEDED if name not in frame.columns]:
        raise BadInput(f"no column {missing[0]!r}", where=run, mend=f"candidates need {', '.join(NEEDED)}")
    try:
        declared = [arm if isinstance(arm, Arm) else decode(Arm, arm) for arm in meta.get("arms") or ()]
    except ValueError as error:
        raise BadInput(f"its arms cannot be read: {error}", where=run) from error
    arms = {arm.label: arm for arm in declared}
    model = str(meta.get("model") or "")
    present = frame["arm"].unique(maintain_order=True).cast(pl.String).drop_nulls().to_list()
    others = {label: Arm(label, {"model": model or label}) for label in present if label not in arms}
    floors = _by_arm(meta, "floor", run)
    return {label: arm for label, arm in (arms | others).items() if label in present or floors.get(label) == 0}


def _by_arm(meta: Mapping[str, Any], name: str, run: str) -> Mapping[str, Any]:
    value = meta.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadInput(f"its {name} is no mapping of arms", where=run)
    return value


def _rows(frame: pl.DataFrame, labels: Sequence[str], run: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The draws with `_arm`, `_problem`, `_draw` numbers, sorted by them, and a table of the problems."""
    absent = [pl.lit(None).alias(name) for name in _TYPES if name not in frame.columns]
    try:
        rows = frame.with_columns(*absent).cast(_types(frame))  # type: ignore[arg-type]
    except pl.exceptions.PolarsError as error:
        raise BadInput(f"a column of another type: {str(error).partition(chr(10))[0]}", where=run) from error
    if rows["is_retry"].any():  # else nothing is copied
        rows = rows.filter(pl.col("is_retry").fill_null(False).not_())
    if not rows.height:
        raise BadInput("no candidates", where=run, mend="generate or import some first")
    for name in NEEDED[:3]:
        if rows[name].null_count():
            raise BadInput(f"a candidate without {name}", where=run)
    problems = rows.group_by("query_id", maintain_order=True).agg(pl.col("split", "cluster").first()).cast(pl.String)
    key = ("_arm", "_problem", "candidate_idx")
    rows = rows.with_columns(
        _arm=_places(rows["arm"], pl.Series(labels)), _problem=_places(rows["query_id"], problems["query_id"])
    )
    if not _rises(rows.select(key)):  # a file of ours does, and is not copied
        rows = rows.sort(key)
    rows = rows.with_columns(_draw=pl.int_range(pl.len()).over(key[:2]))
    twice = rows.filter(pl.all_horizontal(pl.col(name).eq(pl.col(name).shift(1)) for name in key))
    if twice.height:
        arm, query, idx = twice.select("arm", "query_id", "candidate_idx").row(0)
        raise BadInput(f"candidate {idx} of {query!r} under {arm!r} occurs twice", where=run, mend="keep one of them")
    return rows, problems


def _types(frame: pl.DataFrame) -> dict[str, pl.DataType]:
    """What a table's columns are read as; texts that come as codes stay so."""
    return {name: kind for name, kind in _TYPES.items() if frame.schema.get(name) != pl.Categorical}


def _places(texts: pl.Series, names: pl.Series) -> pl.Series:
    """[row] the place of its text among the names; no text is put together again where they come as codes."""
    codes, known = (one.cast(pl.Categorical).to_physical().to_numpy() for one in (texts, names))
    place = np.zeros(int(known.max()) + 1, dtype=np.int64)
    place[known] = np.arange(len(known))
    return pl.Series(place[codes])


def _rises(keys: pl.DataFrame) -> bool:
    """Whether rows stand in the order of three keys."""
    first, second, third = (keys[name].to_numpy() for name in keys.columns)
    one, two, three = (np.diff(values) for values in (first, second, third))
    return bool(((one > 0) | ((one == 0) & ((two > 0) | ((two == 0) & (three >= 0))))).all())


def _codes(rows: pl.DataFrame, problems: int, run: str) -> tuple[Ints, list[list[str]]]:
    """[row] answer codes by first sight within each problem, and [problem][code] the keys. A failed draw abstains."""
    voted = rows.select("_problem", key=pl.when(pl.col("error").is_null()).then(pl.col("answer_key")))
    seen = voted.drop_nulls("key").unique(maintain_order=True)
    seen = seen.with_columns(code=pl.int_range(pl.len()).over("_problem"))
    if seen.height and int(seen["code"].max()) >= _MOST_KEYS:  # type: ignore[arg-type]
        raise BadInput(f"more than {_MOST_KEYS:,} distinct answers to one problem", where=run)
    coded = voted.join(seen, on=("_problem", "key"), how="left", maintain_order="left")["code"]
    keys: list[list[str]] = [[] for _ in range(problems)]
    for problem, key in seen.select("_problem", "key").iter_rows():
        keys[problem].append(key)
    return coded.fill_null(ABSTAINS).to_numpy().astype(np.int16), keys


def _right(rows: pl.DataFrame) -> Floats:
    """[row] 1, 0 or nan. A draw without an answer is wrong, but where none of its problem's answers has a verdict.

    There nobody could judge (no reference, no tests), and failures alone would say 0 of a problem of which nothing is
    known; where no draw of a problem has an answer, it is wrong. With no verdict in the whole pool nothing is known.
    """
    verdict, failed = pl.col("is_verified"), pl.col("error").is_not_null()
    if rows["is_verified"].null_count() == rows.height:
        return np.full(rows.height, np.nan)
    silent = pl.col("finish_reason").is_in(list(ABSTAIN)).fill_null(False)
    if LENGTH in rows.columns:
        silent |= (pl.col(LENGTH) == 0).fill_null(False)
    blank = failed | (silent & pl.col("answer_key").is_null() & verdict.ne_missing(True))
    judged = (verdict.is_not_null() & ~blank).any().over("_problem")
    known = judged | blank.all().over("_arm", "_problem")
    nothing = pl.when(failed).then(0.0).otherwise(verdict.cast(pl.Float64))
    right = pl.when(~blank).then(verdict.cast(pl.Float64)).when(known).then(nothing)
    return _numbers(rows.select(right=right)["right"])


def _columns(rows: pl.DataFrame) -> dict[str, Floats]:
    """Name → [row]: spends by their short names, `truncated`, `refused`, every other number column that is known."""
    length = rows.select(hit=(pl.col("finish_reason") == "length").cast(pl.Float64))["hit"]
    saw = rows.filter(pl.col("is_verified").is_not_null())["verification_saw_reference"]
    fenced = () if saw.len() and saw.eq_missing(False).all() else GOLD
    known = {"truncated": length, "oracle(is_verified)": pl.Series(_right(rows)).fill_nan(None)}
    if rows["refusal_is_refusal"].count():  # a draw that failed declines nothing
        declined = pl.when(pl.col("error").is_not_null()).then(False).otherwise(pl.col("refusal_is_refusal"))
        known["refused"] = rows.select(declined.cast(pl.Float64).alias("declined"))["declined"]
    for name, kind in rows.schema.items():
        if kind.is_numeric() and name not in _NOT_SCORES and not name.startswith("_"):
            known[f"oracle({name})" if name in fenced else SPENDS.get(name, name)] = rows[name]
    return {name: _numbers(values) for name, values in known.items() if values.null_count() < values.len()}


def _numbers(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _sizes(rows: pl.DataFrame, arms: int, problems: int) -> Ints:
    """[arm, problem] how many draws there are."""
    place = rows["_arm"].to_numpy() * problems + rows["_problem"].to_numpy()
    return np.bincount(place, minlength=arms * problems).reshape(arms, problems)


def _common(sizes: Ints, floors: Sequence[int | None], run: str) -> tuple[list[int], list[str]]:
    """The problems that every arm was due on and has, and a note where that leaves some out.

    An arm with floor 0 (the second of a cascade, say) may lack any of them.
    """
    due = [arm for arm, floor in enumerate(floors) if floor != 0]
    has = (sizes[due] > 0).all(axis=0)
    if not has.any():
        raise BadInput("the arms share no problem", where=run, mend="load them one by one")
    lost = int(has.size - has.sum())
    return np.flatnonzero(has).tolist(), [f"{lost} problems left out: an arm has no draw of them"] if lost else []


def _gaps(rows: pl.DataFrame) -> list[str]:
    """A note where candidate numbers are missing in between: draws were lost, and those after them moved up."""
    moved = rows.filter(pl.col("_draw") != pl.col("candidate_idx") - pl.col("candidate_idx").min().over("_arm"))
    problems = moved["query_id"].n_unique()
    return [f"candidates are missing in {problems} problems; the later ones moved up"] if problems else []


def _undrawn(meta: Mapping[str, Any], drawn: int) -> list[str]:
    """A note where the run was stopped before every problem had a draw."""
    planned = meta.get("total_queries")
    return [f"{drawn} of {planned} problems were drawn"] if isinstance(planned, int) and drawn < planned else []


MOST_TRUNCATED = 0.05
"""Share of draws cut at their token limit above which a reader is told."""


def _truncated(rows: pl.DataFrame) -> list[str]:
    """A note for each arm of which too many draws were cut at their token limit: they abstain, and the limit shows."""
    cut = rows.group_by("arm", maintain_order=True).agg(share=(pl.col("finish_reason") == "length").mean())
    told = cut.filter(pl.col("share") > MOST_TRUNCATED)
    return [
        f"{share:.1%} of the draws of {arm} were cut at their token limit; raise --max_tokens"
        for arm, share in told.iter_rows()
    ]


def _draws(
    rows: pl.DataFrame,
    values: Mapping[str, NDArray[Any]],
    at: int,
    sizes: Ints,
    kept: Sequence[int],
    arm: Arm,
    floor: int | None,
    grouped: bool,
) -> Draws:
    """One arm's arrays [problem, draw], over the problems kept."""
    first, last = np.searchsorted(rows["_arm"].to_numpy(), [at, at + 1])
    problem, draw = rows["_problem"].to_numpy()[first:last], rows["_draw"].to_numpy()[first:last]
    shape = (sizes.size, int(sizes.max(initial=0)))

    whole = bool((sizes == shape[1]).all())

    def table(name: str, empty: float) -> NDArray[Any]:
        if whole and len(kept) == shape[0]:
            return values[name][first:last].reshape(shape)
        filled = np.full(shape, empty, dtype=values[name].dtype)
        filled[problem, draw] = values[name][first:last]
        return filled[kept] if len(kept) < shape[0] else filled

    sizes = sizes[kept]
    return Draws(
        arm=arm,
        codes=table("codes", ABSTAINS),
        right=table("right", np.nan),
        columns={name: table(name, np.nan) for name in values if name not in ("codes", "right")},
        sizes=sizes if (sizes < shape[1]).any() else None,
        floor=floor,
        grouped=grouped,
    )


def open_pool(path: Path | str) -> Pool:
    """The pool of a candidates.parquet, or of a run folder that holds one; texts are not read.

    Raises BadInput for a file that is missing, damaged, foreign, or of another version.
    """
    path = Path(path)
    file = path / "candidates.parquet" if path.is_dir() else path
    meta = read_meta(file)
    name = file.parent.name if file.name == "candidates.parquet" else file.stem
    pool = pool_of(read_columns(file), {**meta, "run": meta.get("run") or name})
    give_back()  # the table that it was made of
    return pool


def read_columns(file: Path, names: Collection[str] | None = None) -> pl.DataFrame:
    """The columns of a candidates.parquet that a pool is made of: all but long texts, and numbers that no row has.

    Texts come as codes.

    `names`: of these only. Raises BadInput.
    Read with pyarrow, which checks each page's checksum: polars would end the process on some damaged files.
    """
    with readable(file):
        declared = {name for name, kind in _TYPES.items() if kind == pl.String}
        texts = [one.name for one in pq.read_schema(file) if one.name in declared and pa.types.is_string(one.type)]
        with pq.ParquetFile(file, read_dictionary=texts, page_checksum_verification=True) as parquet:
            schema, empty = parquet.schema_arrow, empty_columns(parquet.metadata)
            numbers = {field.name for field in schema if _is_number(field.type)}
            known = _TYPES.keys() | numbers.difference(empty)
            wanted = [name for name in schema.names if name in known and (names is None or name in names)]
            table = parquet.read(wanted).replace_schema_metadata(None)
        table.validate(full=True)
    columns = list[pl.Series]()
    while table.num_columns:  # each in one piece, else the first column that is added copies all
        columns.append(pl.Series(table.schema.names[0], table.column(0)).rechunk())
        table = table.remove_column(0)
    give_back()  # what reading took besides
    return pl.DataFrame(columns)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def columns_of(file: Path) -> list[str]:
    """The columns of a Parquet file of ours. Raises BadInput for one that cannot be read."""
    with readable(file):
        return list(pq.read_schema(file).names)


def batches(file: Path, columns: Sequence[str], size: int = 10_000) -> Iterator[pl.DataFrame]:
    """Some columns of a Parquet file of ours, so many rows at a time. Raises BadInput for one that cannot be read."""
    with readable(file), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        for batch in parquet.iter_batches(size, columns=list(columns)):
            yield pl.DataFrame(pl.from_arrow(batch))
