"""Whether accuracy jumps as thinking grows, and whether certainty does: curves over budgets, with a verdict each."""

from __future__ import annotations

from collections.abc import Sequence

from testtime.analysis.emergence_curves import ACCURACY, PROBABILITY, Curves, curves_of
from testtime.analysis.emergence_table import Reading, read, together
from testtime.core.errors import BadInput
from testtime.figures.tables import UNKNOWN, Rows, interval
from testtime.report.blocks import Chart, Section, Shows
from testtime.report.charts import Axis, Point, Series, data
from testtime.report.material import Material

SHOWN = (ACCURACY, PROBABILITY)
"""The discrete and the continuous metric; `testtime emergence` has the others."""


def emergence(material: Material) -> Section | None:
    """Curves of every run that has several budgets."""
    curves = [one for run in material.runs for one in _curves(run.pool)]
    if not curves:
        return None
    readings = [[read(one, metric, material.seed) for metric in SHOWN if metric in one.values] for one in curves]
    n = sum(len(one.problems) for one in curves)
    views = [one.place for one in curves]
    many = f"{len(curves)} curves" if len(curves) > 1 else "one curve"
    chart = Chart(
        "emergence", "Over thinking budgets",
        data(
            [Axis("budget", "Thinking budget, tokens", binary=True)],
            [_series(one, at, metric) for at, several in enumerate(readings) for metric, one in enumerate(several)],
            y="Accuracy, and probability of the reference", views=("Curve", views if len(views) > 1 else []),
        ),
        f"n = {n:,} problems in all, {many}. Bars: 95 % intervals over problems.",
        f"testtime emergence {material.runs[0].place} --out_dir emergence" if len(material.runs) == 1 else "",
    )  # fmt: skip
    note = "Sharp: a rise that is not even, half of which one doubling brings (p at 5 %); smooth: every other rise."
    return Section("emergence", "Does it jump?", "Emergence", [chart, Shows(_table(curves, readings), note=note)])


def _curves(pool: object) -> list[Curves]:
    try:
        return curves_of(pool)  # type: ignore[arg-type]
    except BadInput:  # no two arms differ in their budget alone
        return []


def _series(reading: Reading, view: int, metric: int) -> Series:
    points = [
        Point(
            [budget], float(mean), float(low), float(high), f"{budget:,} tokens, n = {len(reading.curves.problems):,}"
        )
        for budget, mean, (low, high) in zip(reading.curves.budgets, reading.mean, reading.intervals, strict=True)
        if mean == mean
    ]
    return Series(reading.metric, 0, metric, metric, points, view=view)


def _table(curves: Sequence[Curves], readings: Sequence[Sequence[Reading]]) -> Rows:
    heads = ["curve", "problems", "says", *(f"{metric} %, first to last" for metric in SHOWN)]
    cells = []
    for one, several in zip(curves, readings, strict=True):
        said = {reading.metric: reading for reading in several}
        ends = [_ends(said.get(metric)) for metric in SHOWN]
        cells.append([one.place, f"{len(one.problems):,}", together(several), *ends])
    return Rows("What the curves say", heads, cells, left=True)


def _ends(reading: Reading | None) -> str:
    if reading is None:
        return UNKNOWN
    return " to ".join(interval(float(reading.mean[at]), *reading.intervals[at]) for at in (0, -1))
