"""What `testtime emergence` found, as tables for reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from testtime.analysis.emergence_curves import ACCURACY, PROBABILITY
from testtime.figures.tables import UNKNOWN, Rows, interval

SHARES = (ACCURACY, PROBABILITY)
SHOWN = (ACCURACY, PROBABILITY, "log_prob", "neg_brier", "negentropy")
"""Metrics of the readable table; the CSV has all."""


def tables(found: Mapping[str, Any]) -> list[Rows]:
    """All of it, the verdicts first."""
    shown = [_verdicts(found["verdicts"]), *_curves(found["curves"]), _control(found["control"])]
    if (table := found.get("summary")) is not None:
        shown.append(_summary(table))
    if (table := found.get("difference")) is not None:
        shown.append(_differences(table))
    if (table := found.get("agreement")) is not None and table.height:
        shown.append(_agreement(table))
    if (table := found.get("trajectory")) is not None:
        shown.append(_trajectory(table))
    shown += [_top(place, table) for place, table in found.get("top", {}).items()]
    return shown


def _verdicts(verdicts: Mapping[str, str]) -> Rows:
    return Rows("Verdicts", ["curve", "says"], [[place, verdict] for place, verdict in verdicts.items()], left=True)


def _curves(table: pl.DataFrame) -> list[Rows]:
    heads = [
        "metric",
        "first",
        "last",
        "breakthrough",
        "linearity",
        "jump",
        "at",
        "p change",
        "p sharp",
        "fits",
        "verdict",
    ]
    shown = []
    keys = ["run", "model", "dataset", "split", "decoding"]
    for group in table.filter(pl.col("metric").is_in(SHOWN)).partition_by(keys, maintain_order=True):
        first = group.row(0, named=True)
        place = f"{first['model']} on {first['dataset']} {first['split']}, {first['decoding']}"
        size = f"{first['n_problems']:,} problems × {first['n_completions']}"
        span = f"{first['first_budget']} to {first['last_budget']} tokens; p corrected for all curves (Holm)"
        shown.append(Rows(f"{place}: {size}, {span}", heads, [_curve(row) for row in group.iter_rows(named=True)]))
    return shown


def _curve(row: Mapping[str, Any]) -> list[str]:
    value = _share if row["metric"] in SHARES else _number
    return [
        row["metric"],
        value(row["first"]),
        value(row["last"]),
        interval(row["breakthroughness"], row["breakthroughness_low"], row["breakthroughness_high"], 1, 2),
        _number(row["linearity"]),
        value(row["largest_jump"]),
        UNKNOWN if row["jump_to"] is None else f"{row['jump_to']:,.0f}",
        _p(row["p_change_holm"]),
        _p(row["p_sharp_holm"]),
        row["best_fit"] or UNKNOWN,
        row["verdict"],
    ]


def _control(table: pl.DataFrame) -> Rows:
    cells = [
        [
            f"{row['model']} on {row['dataset']} {row['split']}, {row['decoding']}",
            _share(row["control"]),
            _share(row["filled"]),
            _number(row["scaling"]),
            _share(row["performance"]),
        ]
        for row in table.iter_rows(named=True)
    ]
    heads = ["curve", "within budget %", "filled %", "points for each 1k", "best accuracy %"]
    return Rows("Control, Scaling, Performance", heads, cells)


def _summary(table: pl.DataFrame) -> Rows:
    by = table.columns[0]
    cells = [
        [row["score"], str(row[by]), str(row["n"]), interval(row["median"], row["q1"], row["q3"], 1, 2),
         f"{_number(row['mean'])} ± {_number(row['sd'])}"]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return Rows(f"Scores of problems by {by}", ["score", by, "problems", "median [quartiles]", "mean ± sd"], cells)


def _differences(table: pl.DataFrame) -> Rows:
    cells = [
        [row["score"], row["a"], row["b"], _share(row["chance_a_exceeds_b"]), _p(row["p"]), _p(row["p_holm"])]
        for row in table.iter_rows(named=True)
    ]
    return Rows("Mann–Whitney", ["score", "a", "b", "a exceeds b %", "p", "p, Holm"], cells)


def _agreement(table: pl.DataFrame) -> Rows:
    cells = [
        [f"{row['dataset']} {row['split']}", f"{row['a']} × {row['b']}", str(row["n"]), _number(row["spearman"])]
        for row in table.iter_rows(named=True)
    ]
    return Rows("Do models agree on which problems are sharp?", ["split", "models", "problems", "Spearman"], cells)


def _trajectory(table: pl.DataFrame) -> Rows:
    cells = [
        [
            f"{row['model']} on {row['split']}",
            row["trait"],
            _number(row["mean"]),
            row["score"],
            _number(row["spearman"]),
        ]
        for row in table.iter_rows(named=True)
        if row["spearman"] is not None
    ]
    return Rows("Scores against the trajectory, over problems", ["curve", "trait", "mean", "score", "Spearman"], cells)


def _top(place: str, table: pl.DataFrame) -> Rows:
    cells = [
        [row["query_id"], _number(row["score"]), UNKNOWN if row["jump_to"] is None else f"{row['jump_to']:,.0f}",
         _number(row["largest_jump"]), _p(row["p_jump"])]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return Rows(f"Sharpest problems: {place}", ["problem", "score", "jump at", "jump", "p"], cells)


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.3g}"


def _p(value: float | None) -> str:
    return UNKNOWN if value is None else "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
