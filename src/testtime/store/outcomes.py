"""Outcome files: one policy on one problem a line, as JSON, so that any tool can read them.

They lie beside the run's folder, `D/R.jsonl`, and are all that `--glob "D/*.jsonl"` finds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import polars.selectors as cs

from testtime.core import rows
from testtime.core.errors import BadInput
from testtime.store.atomic import whole

VERSION = 1
_SLICE = 20_000
"""Rows that are turned into text at a time."""


@dataclass(frozen=True)
class Field:
    """One key of an outcome line."""

    type: pl.DataType
    about: str


_text, _float, _bool = pl.String(), pl.Float64(), pl.Boolean()

OUTCOMES: Mapping[str, Field] = {
    "run": Field(_text, "Run that drew the pool."),
    "provider": Field(_text, "Who served the model."),
    "model": Field(_text, "Model; base and oracle of a guided arm are joined by +."),
    "dataset": Field(_text, "Dataset."),
    "split": Field(_text, "Split of the problem."),
    "arm": Field(_text, "Label of the arm; several are joined by +."),
    "decoding": Field(_text, "How draws are made: plain, budget, guided, …"),
    "temperature": Field(_float, "Sampling temperature; null where none was sent."),
    "policy": Field(_text, "Name of the policy."),
    "setting": Field(_text, "Its settings, as they can be given back to --policies."),
    "query_id": Field(_text, "Problem."),
    "cluster": Field(_text, "Problems of one source share it: the unit of intervals."),
    "kind": Field(_text, "realised (in issue order, one answer) or expected (over all orders)."),
    "method": Field(_text, "exact, orders (Monte Carlo over shared orders) or issue."),
    "answer": Field(_text, "Answer key that was chosen; realised only."),
    "correct": Field(_float, "1 or 0, or the probability of being right; null without a verdict."),
    "answered": Field(_float, "1 or 0, or the probability that there is an answer."),
    "agreement": Field(
        _float, "1 or 0, or the probability, that the answer is a winner of the vote over all draws of the pool."
    ),
    "grade": Field(
        _text, "How sure the answer is: certified, sc-equivalent, bayes or uncertified; null where problems differ."
    ),
    "e_value": Field(_float, "Evidence that it is the most common answer, valid at any stopping; realised only."),
    "certified": Field(
        _float, "1 or 0, or the probability, that it is certified; null where the policy has no such grade."
    ),
    "truncated": Field(_float, "Share of the draws that met their token limit."),
    "candidates": Field(_float, "Draws used."),
    "rounds": Field(_float, "Times it asked for draws; null where only the exact law was computed."),
    "gen_tokens": Field(_float, "Tokens written."),
    "total_tokens": Field(_float, "Tokens written and read."),
    "seconds": Field(_float, "Seconds of work."),
    "critical_seconds": Field(_float, "Seconds until the answer, with the draws of a round side by side."),
    "usd": Field(_float, "US dollars."),
    "joules": Field(_float, "Energy."),
    "correct_var": Field(_float, "Monte Carlo variance of `correct`; 0 where exact."),
    "exhausted": Field(_float, "Share of orders in which the policy would have needed more draws than there are."),
    "measured": Field(_bool, "Whether a run executed this policy; false: time and energy are modelled."),
}
"""The keys of an outcome line, after `version`. What is unknown is null."""


def outcome_schema() -> dict[str, pl.DataType]:
    """Name → type of an outcome table's columns, in order."""
    return {name: field.type for name, field in OUTCOMES.items()}


def write_outcomes(path: Path | str, outcomes: pl.DataFrame) -> None:
    """Writes the table as JSON lines, whole or not at all.

    Raises ValueError for a table without exactly the declared columns, BadInput where it cannot be written.
    """
    if odd := set(outcomes.columns) ^ OUTCOMES.keys():
        raise ValueError(f"outcomes have exactly the declared columns; {sorted(odd)[0]!r} is missing or extra")
    with whole(Path(path)) as part, part.open("wb") as file:
        for rows in outcomes.iter_slices(_SLICE):  # a large table is not held twice
            table = rows.select(pl.lit(VERSION).alias("version"), *OUTCOMES).cast(outcome_schema())  # type: ignore[arg-type]
            table.with_columns(cs.float().fill_nan(None)).write_ndjson(file)


def read_outcomes(path: Path | str) -> pl.DataFrame:
    """The table of an outcome file, plain or gzipped. Keys that are not declared are left aside.

    Raises BadInput, in one line that names the file and the line, for what is no outcome of this version.
    """
    data = rows.read_bytes(path)
    schema = {"version": pl.Int64(), **outcome_schema()}
    try:
        table = pl.read_ndjson(io.BytesIO(data), schema=schema) if data else pl.DataFrame(schema=schema)
    except pl.exceptions.PolarsError as error:
        _find_fault(path)
        raise BadInput(f"cannot be read: {error}", where=str(path)) from error
    if not (table["version"].eq_missing(VERSION) & table["policy"].is_not_null()).all():
        _find_fault(path)
    return table.drop("version")


def _find_fault(path: Path | str) -> None:
    """Raises BadInput for the first line that is no outcome of this version."""
    for line in rows.read(path):
        where = line.where
        if line.get("version") is None or line.get("policy") is None:
            raise BadInput("is no outcome", where=where, mend="outcome files are what run and replay write as .jsonl")
        if line["version"] != VERSION:
            raise BadInput(f"an outcome of version {line['version']}", where=where, mend=f"this reads {VERSION}")
        for name, field in OUTCOMES.items():
            if not _fits(line.get(name), field.type):
                raise BadInput(f"{name} is {line[name]!r}", where=where, mend=f"it should be {field.type} or null")


def _fits(value: object, kind: pl.DataType) -> bool:
    if value is None:
        return True
    if kind == pl.Float64():
        return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return isinstance(value, bool if kind == pl.Boolean() else str)
