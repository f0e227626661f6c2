"""Pools beside each other, as tables for reading: paired differences with what helped, what hurt, and p."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from testtime.figures.tables import UNKNOWN, Rows, cost, interval, letters_of

SPENDS = {"gen_tokens": "tokens", "seconds": "seconds", "usd": "dollars", "joules": "joules"}


def comparison(table: pl.DataFrame, base: str) -> list[Rows]:
    """The rows of `analysis.sides.set_beside`: a readable table for each pool, and one of its spend."""
    shown = []
    for letter, side in zip(_letters(table, base)[1:], table.partition_by("side", maintain_order=True), strict=True):
        problems = side.group_by("split").agg(pl.col("n").max())["n"].sum()
        title = f"{letter} against A, {problems:,} common problems"
        splits = side["split"].n_unique() > 1
        title += ", by split" if splits else ""
        heads = ["", "A %", f"{letter} %", "change, points", "helped", "hurt", "p", "p Holm"]
        cells = [_line(row, splits) for row in side.iter_rows(named=True)]
        shown += [Rows(title, heads, cells), *_spend(side, letter)]
    return shown


def watched(table: pl.DataFrame, base: str, effect: float, alpha: float) -> Rows:
    """The rows of `analysis.sides.watched`."""
    letters = letters_of([base, *table["side"].unique(maintain_order=True)])
    cells = [
        [f"{letters[row['side']]}, {row['measure'].removeprefix('the ').removeprefix('a ')}", f"{row['problems']:,}",
         f"{100 * row['difference']:+.1f}", f"{row['e_value']:,.3g}",
         "goes on" if row["settled_after"] is None else f"settled after {row['settled_after']:,}",
         f"{100 * row['power']:.0f}", f"{row['mean_after']:,.0f}", f"{100 * row['power_fixed']:.0f}"]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    gap = f"{100 * effect:g} pt"
    heads = ["", "problems", "change, points", f"evidence (of {1 / alpha:g})", "and so it", f"ends at {gap} %",
             "after", "one look %"]  # fmt: skip
    return Rows(f"To be ended at any look, wrong in at most {100 * alpha:g} %", heads, cells)


def legend(table: pl.DataFrame, base: str) -> Rows:
    """Which pool is which letter."""
    names = letters_of([base, *table["side"].unique(maintain_order=True)])
    return Rows("", ["", "pool"], [[letter, name] for name, letter in names.items()], left=True)


def _letters(table: pl.DataFrame, base: str) -> list[str]:
    return list(letters_of([base, *table["side"].unique(maintain_order=True)]).values())


def _line(row: Mapping[str, Any], splits: bool) -> list[str]:
    measure = row["measure"].removeprefix("the ").removeprefix("a ")
    name = f"{row['split']}: {measure}" if splits else measure
    return [
        name,
        interval(row["accuracy_a"], None, None),
        interval(row["accuracy_b"], None, None),
        interval(row["difference"], row["low"], row["high"]),
        *(UNKNOWN if row[key] is None else f"{row[key]:,}" for key in ("better", "worse")),
        *(UNKNOWN if row[key] is None else f"{row[key]:.3g}" for key in ("p", "p_holm")),
    ]


def _spend(side: pl.DataFrame, letter: str) -> list[Rows]:
    """What a candidate costs on either side; nothing where neither says."""
    cells = []
    for row in side.filter(measure="a candidate").iter_rows(named=True):
        for name, word in SPENDS.items():
            if row[f"{name}_difference"] is not None:
                ends = (cost(row[f"{name}_{end}"], name) for end in ("a", "b", "difference", "low", "high"))
                a, b, gap, low, high = ends
                split = f"{row['split']}: " if side["split"].n_unique() > 1 else ""
                cells.append([f"{split}{word} a candidate", a, b, f"{gap} [{low}, {high}]"])
    return [Rows("", ["", "A", letter, "change"], cells)] if cells else []


def columns(table: pl.DataFrame, base: str) -> Rows:
    """The rows of `analysis.sides.columns_beside`, a line a column and pool."""
    letters = letters_of([base, *table["side"].unique(maintain_order=True)])
    grouped = table["split"].n_unique() > 1
    cells = [
        [f"{_named(row, grouped)}, {letters[row['side']]}", f"{row['n']:,}", *_means(row), _gap(row)]
        for row in table.iter_rows(named=True)
    ]
    return Rows("Means a draw", ["column, pool", "n", "A", "there", "change"], cells)


WORDS = {
    "quality_total_response_length": "characters",
    "usd": "dollars",
    "persona_markers": "persona's markers",
    "persona_constraint_violations": "broken constraints",
}
"""Columns by shorter names, so that a line fits."""


def _named(row: Mapping[str, Any], grouped: bool) -> str:
    word = WORDS.get(row["column"], row["column"])
    return f"{row['split']}: {word}" if grouped else word


def _means(row: Mapping[str, Any]) -> list[str]:
    return [cost(row[key], "") for key in ("a", "b")]


def _gap(row: Mapping[str, Any]) -> str:
    return f"{row['difference']:+.3g} [{row['low']:.3g}, {row['high']:.3g}]"
