"""Accuracy against what it costs, for every axis that is known and every model of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from testtime.analysis.frontier import family_of
from testtime.figures.tables import family_words
from testtime.report.blocks import Block, Chart, Says, Section
from testtime.report.charts import SPENDS, Point, Series, data, modelled, spend_axis
from testtime.report.material import Material
from testtime.report.naming import DIALS, STRICT, arm_words, family_of_arm, number_of, places, setting_of, without_dials

FIRST = ("sc_fixed", "adaptive_margin")
"""Families that a reader looks for."""


def frontier(material: Material) -> Section | None:
    """The figure, and area and slope of every curve."""
    table = material.summary
    if table.is_empty() or not table["accuracy"].count():
        return None
    drawn = table.filter(pl.col("accuracy").is_not_null())
    columns = [name for name in SPENDS if drawn[name].count()]
    if "total_tokens" in columns and drawn["total_tokens"].equals(drawn["gen_tokens"]):
        columns.remove("total_tokens")
    named = places(material)
    views = {"all": drawn} | {
        name: part.filter(pl.col("accuracy").is_not_null()) for name, part in material.by_split.items()
    }
    families = sorted({_family(row) for row in drawn.iter_rows(named=True)}, key=_rank)
    series = [one for at, part in enumerate(views.values()) for one in _series(part, columns, named, families, at)]
    counts = sorted(set(drawn["n_problems"].to_list()))
    many = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    says = [
        f"n = {many} problems. Bars: 95 % intervals over problems. Costs are means a problem, on a logarithmic axis."
    ]
    if any(any(point.hollow) for one in series for point in one.points):
        says.append("Hollow marks: the cost is modelled from records of single calls; filled: counted, or measured.")
    command = (
        f"testtime plot --csv {material.runs[0].place}/summary.csv --out_png f.png --out_svg f.svg --out_json f.json"
    )
    known = [run for run in material.runs if run.policies]
    chart = Chart(
        "frontier", "Accuracy against cost",
        data(
            [spend_axis(name) for name in columns], series, groups=list(named.values()),
            views=("Split", list(views) if len(views) > 1 else []),
        ),
        " ".join(says), command if len(material.runs) == len(known) == 1 else "",
    )  # fmt: skip
    return Section("frontier", "What compute buys", "Frontier", [chart, *_left_out(table)])


def _series(
    drawn: pl.DataFrame, columns: list[str], named: Mapping[str, str], families: list[str], view: int
) -> list[Series]:
    """A line a run and policy, over its settings; or, of arms that differ in a budget, over their budgets."""
    lines: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for (run, family), rows in _by_family(drawn).items():
        dials = min((DIALS, STRICT), key=lambda those: len({_line(row, those) for row in rows}))
        for row in rows:
            lines.setdefault((run, _line(row, dials), family), []).append(row)
    groups = list(named.values())
    several = len(groups) > 1
    found = []
    for (run, _, family), rows in lines.items():
        at, place = families.index(family), groups.index(named[run])
        points = [_point(row, columns) for row in rows]
        many = max(number_of(str(row["decoding"])) for row in rows)
        found.append(Series(family, place, place if several else at, at, points, many < 2, view))
    return found


def _by_family(drawn: pl.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in drawn.iter_rows(named=True):
        found.setdefault((row["run"], _family(row)), []).append(row)
    return found


def _family(row: Mapping[str, Any]) -> str:
    decoding = family_of_arm(arm_words(row))
    return " ".join(part for part in (family_words(family_of(row["policy"], row["setting"] or "")), decoding) if part)


def _line(row: Mapping[str, Any], dials: Sequence[str]) -> str:
    """What a line stands for: all but the dial that is turned along it."""
    decoding = arm_words(row)
    if number_of(decoding):
        return f"{setting_of(row)} {family_of_arm(decoding)}"
    return f"{without_dials(setting_of(row), dials)} {decoding}"


def _rank(family: str) -> tuple[int, str]:
    return (FIRST.index(family.split(" ")[0]) if family.split(" ")[0] in FIRST else len(FIRST), family)


def _point(row: Mapping[str, Any], columns: list[str]) -> Point:
    name = " ".join(part for part in (setting_of(row), arm_words(row)) if part)
    return Point(
        [row[name] for name in columns], row["accuracy"], row["accuracy_low"], row["accuracy_high"],
        f"{name}, n = {row['n_problems']:,}", [modelled(name, bool(row["measured"])) for name in columns],
    )  # fmt: skip


def _left_out(table: pl.DataFrame) -> list[Block]:
    lost = table.filter(pl.col("accuracy").is_null()).height
    return (
        [Says(f"{lost} settings are not drawn: the pool ended before they did, see the caveats.", "note")]
        if lost
        else []
    )
