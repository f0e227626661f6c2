"""What consultations of a larger model buy: accuracy against what they cost, and every setting in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from testtime.analysis.guidance import Settings, at_equal_cost, grid_table
from testtime.core.errors import BadInput
from testtime.figures.tables import UNKNOWN, Rows, interval
from testtime.report.blocks import Block, Chart, Section, Shows
from testtime.report.charts import Axis, Point, Series, data
from testtime.report.material import Material, RunData
from testtime.report.naming import places

WORDS = {"oracle_tokens": "oracle tokens", "flops": "operations", "usd": "dollars", "seconds": "seconds"}
"""What the switch says."""
AXES = {
    "oracle_tokens": "Oracle tokens per problem",
    "flops": "Operations per problem (2 × parameters × tokens)",
    "usd": "US dollars per problem",
    "seconds": "Seconds of work per problem",
}


def guidance(material: Material) -> Section | None:
    """A figure, the table of settings, and triggers at equal oracle tokens, for each guided run."""
    blocks: list[Block] = []
    for run in material.runs:
        if run.guided is not None and run.guided["correct"].count():
            name = places(material)[run.pool.run]
            blocks += _blocks(run, name, f"guidance{len(blocks) or ''}")
    return Section("guidance", "What consultations buy", "Guidance", blocks) if blocks else None


def _blocks(run: RunData, name: str, anchor: str) -> list[Block]:
    assert run.guided is not None
    table = grid_table(run.guided)
    keys = [key for key in AXES if table[key].count()]
    counts = table["n"].drop_nulls()
    chart = Chart(
        anchor, f"{name}: accuracy against help",
        data([Axis(WORDS[key], AXES[key], log=False, money=key == "usd") for key in keys], _series(table, keys)),
        f"n = {min(counts.to_list()):,} problems a setting. Bars: 95 % intervals over problems. Costs are means.",
    )  # fmt: skip
    note = "Accuracy over all rows, an answer that cannot be read is wrong; 95 % intervals over problems."
    return [chart, Shows(_rows(table, name), note=note), *_equal(run.guided)]


def _series(table: pl.DataFrame, keys: list[str]) -> list[Series]:
    kinds: dict[str, list[Point]] = {}
    for row in table.filter(pl.col("accuracy").is_not_null()).iter_rows(named=True):
        tip = f"c = {row['c']}, k = {row['k']}, {row['trigger']}, n = {row['n']:,}"
        point = Point([row[key] for key in keys], row["accuracy"], row["low"], row["high"], tip)
        kinds.setdefault(_kind(row), []).append(point)
    return [Series(kind, 0, at, at, points, line=len(points) > 1) for at, (kind, points) in enumerate(kinds.items())]


def _kind(row: Mapping[str, Any]) -> str:
    if row["trigger"] == "never":
        return "base alone"
    return "oracle alone" if row["trigger"] == "always" else str(row["trigger"])


def _rows(table: pl.DataFrame, name: str) -> Rows:
    heads = ["trigger", "c", "k", "accuracy %", "parsed", "consultations", "oracle tokens", "base tokens", "MFLOP"]
    cells = [
        [
            _kind(row), str(row["c"]), str(row["k"]), interval(row["accuracy"], row["low"], row["high"]),
            f"{100 * row['parsed']:.0f} %",
            *(_number(row[key]) for key in ("consultations", "oracle_tokens", "base_tokens")),
            UNKNOWN if row["flops"] is None else f"{row['flops'] / 1e6:,.0f}",
        ]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return Rows(f"{name}: settings, cheapest in oracle tokens first", heads, cells)


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.1f}"


def _equal(rows: pl.DataFrame) -> list[Block]:
    """Triggers at the same mean of oracle tokens, where at least two span it."""
    try:
        settings = Settings.of(rows)
    except BadInput:  # no problem was met by all settings
        return []
    middle = float(pl.Series(settings.costs["oracle_tokens"].mean(axis=1)).median() or 0.0)  # type: ignore[arg-type]
    table = at_equal_cost(settings, "oracle_tokens", middle)
    if table.height < 2:
        return []
    cells = [
        [
            row["trigger"], interval(row["accuracy"], row["low"], row["high"]),
            UNKNOWN if row["gain"] is None else interval(row["gain"], row["gain_low"], row["gain_high"]),
        ]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    title = f"At {middle:,.1f} oracle tokens a problem"
    return [Shows(Rows(title, ["trigger", "accuracy %", "over random, points"], cells))]
