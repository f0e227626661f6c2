"""Best of N: does the first win, what voting and a perfect verifier make of N, and what a pool holds."""

from __future__ import annotations

from dataclasses import replace

from testtime.analysis.inspection import Inspected
from testtime.figures.inspection import inspection, side_by_side
from testtime.figures.tables import Rows
from testtime.report.blocks import Block, Chart, Fold, Section, Shows
from testtime.report.charts import Axis, Point, Series, data
from testtime.report.material import Material

FIRST = ("Verified", "By split")
"""Tables that stand open where there is one arm."""


def best_of_n(material: Material) -> Section | None:
    """maj@k and pass@k of every arm, and its rates."""
    every = [one for run in material.runs for one in run.inspected if one.judged]
    if not every:
        return None
    deep = [one for one in every if one.floor > 1]
    blocks: list[Block] = [_chart(deep)] if deep else []
    if len(every) == 1:
        blocks += [Shows(rows, folded=rows.title not in FIRST) for rows in _tables(every[0])]
    else:
        blocks += [Shows(rows) for rows in side_by_side(every)]
        blocks += [Fold(one.name, [Shows(rows) for rows in _tables(one)]) for one in every]
    return Section("best-of-n", "Best of N", "Best of N", blocks)


def _tables(one: Inspected) -> list[Rows]:
    """All but the spend, which has a section."""
    facts, *tables = inspection(one)
    return [*(rows for rows in tables if rows.title != "Spend"), replace(facts, title="What the pool holds")]


def _chart(arms: list[Inspected]) -> Chart:
    series = []
    for at, one in enumerate(arms):
        for mark, (name, rates) in enumerate({"vote of k": one.majority, "any of k": one.passed}.items()):
            points = [
                Point([float(k)], rate.mean, rate.low, rate.high, f"k = {k}, n = {rate.n:,}")
                for k, rate in zip(one.ks, rates, strict=True)
                if rate.mean is not None
            ]
            series.append(Series(name, 0, mark, mark, points, view=at))
    names = [one.name for one in arms]
    return Chart(
        "best-of-n", "A vote of k, and any of k",
        data(
            [Axis("k", "Candidates per problem", binary=True)], series,
            views=("Pool", names if len(names) > 1 else []),
        ),
        f"n = {arms[0].problems:,} problems. Exact over all subsets of k draws, random ties; bars: 95 % intervals over "
        "problems. What lies between the curves is what a perfect verifier would add to voting.",
    )  # fmt: skip
