"""What a model declined, as a table for reading: broken problems beside sound ones, and their difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from testtime.figures.tables import UNKNOWN, Rows, interval


def rates(table: pl.DataFrame) -> Rows:
    """The rows of `analysis.calibration`."""
    heads = ["problems broken by", "n", "broken %", "sound %", "difference"]
    cells = [
        [
            row["corruption"].replace("_", " "),
            f"{row['n']:,}",
            _rate(row, "malformed", "malformed_"),
            _rate(row, "sound", "sound_"),
            _rate(row, "difference", ""),
        ]
        for row in table.iter_rows(named=True)
    ]
    return Rows("Declined", heads, cells)


def _rate(row: Mapping[str, Any], name: str, ends: str) -> str:
    return UNKNOWN if row[name] is None else interval(row[name], row[f"{ends}low"], row[f"{ends}high"])
