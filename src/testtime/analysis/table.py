"""Outcomes to the one table: a row for each run, model, policy and setting, and what a reader must be told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from polars import exceptions

from testtime.analysis import bootstrap
from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.store.atomic import whole

F, S, B = pl.Float64, pl.String, pl.Boolean
COLUMNS: Mapping[str, type[pl.DataType]] = {
    "run": S, "provider": S, "model": S, "dataset": S, "split": S, "decoding": S, "temperature": F,
    "policy": S, "setting": S, "n_problems": pl.Int64, "answered": F, "truncated": F,
    "accuracy": F, "accuracy_low": F, "accuracy_high": F,
    "candidates": F, "gen_tokens": F, "gen_tokens_sum": F, "total_tokens": F, "seconds": F,
    "critical_seconds": F, "usd": F, "joules": F, "measured": B,
    "agreement": F, "certified": F,
}  # fmt: skip
"""The columns of the summary and of its CSV, in order. Fractions, means over problems, empty where unknown."""
GROUP = ("run", "provider", "model", "dataset", "split", "arm", "decoding", "temperature", "policy", "setting", "kind")
"""What one row of the summary stands for, in columns of outcomes."""
SPENDS = ("candidates", "gen_tokens", "total_tokens", "seconds", "critical_seconds", "usd", "joules")
_LATER = ("agreement", "certified")
"""Columns that tables written before them lack: unknown there."""
_VALUES = ("answered", "agreement", "certified", "truncated", *SPENDS)


def groups(outcomes: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The outcomes of each row of the summary, in order of first appearance, nan made null; one in memory at a time."""
    named = outcomes.with_columns(pl.col("temperature").fill_nan(None))
    for _, group in named.with_columns(_group=_numbered(named)).group_by("_group", maintain_order=True):
        yield group.drop("_group").with_columns(cs.float().fill_nan(None))


def _numbered(outcomes: pl.DataFrame) -> pl.Series:
    """[row] the number of its group. Rows of a group mostly stand together: its names are met once a stretch of them,
    as to group all rows by so many names takes more room than they do.
    """
    starts = np.arange(outcomes.height) == 0
    for column in map(outcomes.get_column, GROUP):
        starts |= column.ne_missing(column.shift()).to_numpy()
    heads = outcomes.select(GROUP).filter(pl.Series(starts))
    groups = heads.unique(maintain_order=True).with_row_index("_group")
    told = heads.join(groups, on=GROUP, how="left", nulls_equal=True, maintain_order="left")["_group"]
    return told.gather(np.cumsum(starts) - 1)


def summarise(outcomes: pl.DataFrame, *, seed: int = 0, resamples: int = bootstrap.RESAMPLES) -> pl.DataFrame:
    """One row a (run, model, split, arm, policy, setting), in exactly `COLUMNS`.

    Accuracy is the mean over the problems whose verdict is known, failures included, with a 95 %
    interval over problems (`bootstrap.accuracy_interval`; clusters resampled whole). The mean of a
    spend is null where any problem's is unknown: `notes` gives the sum of what is known. A group
    whose pool ended before its policy did (`exhausted`) has null results and is named in `notes`.
    """
    rows = [_row(group, seed, resamples) for group in groups(outcomes)]
    return pl.DataFrame(rows, schema=dict(COLUMNS), orient="row")


def point(group: pl.DataFrame) -> dict[str, Any]:
    """A group's row without its interval; results are left out where the pool ended before the policy did."""
    row = {name: group[name][0] for name in COLUMNS if name in GROUP}
    row |= {"n_problems": group.height, "measured": bool(group["measured"].all())}
    if _exhausted(group) > 0:
        return row
    tokens = group["gen_tokens"]
    row |= {"accuracy": group["correct"].mean(), "gen_tokens_sum": None if tokens.null_count() else tokens.sum()}
    return row | {name: _mean(group[name]) for name in _VALUES}


def _row(group: pl.DataFrame, seed: int, resamples: int) -> dict[str, Any]:
    row = point(group)
    if row.get("accuracy") is None:
        return row
    unit = bootstrap.units_of(group["cluster"].to_list(), group.height)
    low, high = bootstrap.accuracy_interval(floats(group["correct"]), unit, seed=seed, resamples=resamples)
    return row | {"accuracy_low": low, "accuracy_high": high}


def floats(values: pl.Series) -> Floats:
    """A column as an array, null as nan."""
    array: Floats = values.cast(F).fill_null(float("nan")).to_numpy()
    return array


def _mean(values: pl.Series) -> float | None:
    """Null where any is unknown."""
    return None if values.null_count() else values.cast(F).mean()  # type: ignore[return-value]


def _exhausted(group: pl.DataFrame) -> float:
    """The share of worlds in which the pool ended first, over the group's problems."""
    return float(group["exhausted"].fill_null(0).cast(F).mean() or 0)  # type: ignore[arg-type]


def notes(outcomes: pl.DataFrame) -> list[str]:
    """What the table cannot say, a line each: pools that ended, unknown verdicts and spends, simulated laws."""
    return [line for group in groups(outcomes) for line in _gaps(group)] + _simulated(groups(outcomes))


def _name(group: pl.DataFrame) -> str:
    policy, setting = group.select("policy", "setting").row(0)
    return f"{policy}:{setting}" if setting else str(policy)


def _gaps(group: pl.DataFrame) -> list[str]:
    n, name = group.height, f"{group['run'][0]}, {_name(group)}"
    if share := _exhausted(group):
        mend = "draw a larger pool, or lower its largest n"
        return [f"{name}: the pool ends before this policy does in {share:.1%} of orders; no result ({mend})"]
    lines = []
    missing = group["correct"].null_count()
    if missing == n and not group["answered"].sum():
        where = f"{name} on {group['split'][0]}" if group["split"][0] else name
        lines.append(f"{where}: no answer has a vote; use best_of_n or pass@k (best_of_n:by=oracle(is_verified))")
    elif missing:
        lines.append(f"{name}: accuracy is over {n - missing} of {n} problems; {missing} have no verdict")
    for spend in SPENDS:
        if 0 < (unknown := group[spend].null_count()) < n:
            lines.append(f"{name}: {spend} ≥ {group[spend].sum():g} in all, {unknown} of {n} problems unknown")
    return lines


def _simulated(found: Iterable[pl.DataFrame]) -> list[str]:
    """How many problems were played over sampled orders instead of exactly; settings with equal numbers in one line."""
    alike: dict[tuple[str, int, int], list[tuple[str, float]]] = {}
    for group in found:
        count = group.filter(pl.col("method") == "orders").height
        if count and not _exhausted(group):
            error = bootstrap.monte_carlo_error(floats(group["correct_var"]))
            alike.setdefault((group["run"][0], count, group.height), []).append((_name(group), error))
    lines = []
    for (run, count, n), named in alike.items():
        where = named[0][0] if len(named) == 1 else f"{len(named)} settings"
        errors = [error for _, error in named if not isnan(error)]
        much = f"; largest Monte Carlo error of accuracy {max(errors):.2g}" if errors else ""
        lines.append(
            f"{run}: {count} of {n} problems ({count / n:.1%}) over sampled orders, not exactly, in {where}{much}"
        )
    return lines


def to_csv(table: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Writes a table as CSV, whole or not at all; unknown is empty. Raises BadInput where it cannot be written."""
    with whole(Path(path)) as part:
        part.write_bytes(table.write_csv().encode())


def read_csv(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Reads a summary back, typed as `COLUMNS`; further columns are left out.

    Raises BadInput, one line: no such file, not a CSV, the first missing column, or a value of another type.
    """
    where, mend = str(path), "give a CSV that `testtime analyze` or `testtime replay` wrote"
    try:
        table = pl.read_csv(Path(path).read_bytes(), infer_schema=False)
    except OSError as error:
        raise BadInput(f"cannot read: {error.strerror}", where=where, mend=mend) from None
    except (exceptions.PolarsError, UnicodeDecodeError):
        raise BadInput("not a CSV table", where=where, mend=mend) from None
    table = table.with_columns(pl.lit(None, dtype=S).alias(name) for name in _LATER if name not in table.columns)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise BadInput(f"no column {missing[0]!r}", where=where, mend=mend)
    try:
        return table.select(_typed(name, kind) for name, kind in COLUMNS.items())
    except exceptions.PolarsError as error:
        line = str(error).partition("\n")[0]
        raise BadInput(f"a value of the wrong type: {line}", where=where, mend=mend) from None


def _typed(name: str, kind: type[pl.DataType]) -> pl.Expr:
    if kind is B:
        return pl.col(name).replace_strict({"true": True, "false": False}, return_dtype=B)
    return pl.col(name).cast(kind)
