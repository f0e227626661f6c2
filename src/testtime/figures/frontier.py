"""Accuracy against what it cost: one colour a model, one mark a policy family, one panel a split of a dataset.

The table is the one `testtime analyze` writes. A line joins settings that differ in n or max_n alone, in the
order of x, which is always logarithmic: compute buys accuracy per doubling. Bars are the intervals of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from testtime.analysis.frontier import family_of
from testtime.core.errors import BadInput
from testtime.figures.axes import AXES, MODELLED, counted, label, padded, ticks
from testtime.figures.tables import family_words, made

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255", "#000000")
"""Told apart by colour-blind readers (Okabe and Ito, with two of Tol's for more models)."""
_STAR = "M0,-1.1L.32,-.36L1.1,-.36L.5,.14L.7,.9L0,.46L-.7,.9L-.5,.14L-1.1,-.36L-.32,-.36Z"
_HEXAGON = "M-.5,-.87L.5,-.87L1,0L.5,.87L-.5,.87L-1,0Z"
_HOURGLASS = "M-.85,-.95L.85,-.95L-.85,.95L.85,.95Z"
_BOW = "M-.95,-.85L-.95,.85L.95,-.85L.95,.85Z"
_X = "M-.9,-.5L-.5,-.9L0,-.4L.5,-.9L.9,-.5L.4,0L.9,.5L.5,.9L0,.4L-.5,.9L-.9,.5L-.4,0Z"
_HOUSE = "M0,-1.05L.95,-.2L.95,.85L-.95,.85L-.95,-.2Z"
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left",
    _STAR, _HEXAGON, _HOURGLASS, _X, _HOUSE, _BOW,
)  # fmt: skip
"""One for every policy family, all told apart; paths are drawn in a square of side 2."""
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 2], [1, 3], [12, 4], [3, 1])
DIALS = ("n", "max_n")
"""The settings by which a policy is made dearer, point by point of one line."""
WIDTH, HEIGHT = 520, 340
NARROW = 360
"""Width of one of several panels."""
LONGEST = 72
"""Letters of a name in a heading, and of a heading on one line."""
FONT = "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"
_APART = ("provider", "decoding", "temperature", "run")
_NEEDED = ("run", "model", "dataset", "policy", "setting", "n_problems", "accuracy", "accuracy_low", "accuracy_high")


def accuracy_against(table: pl.DataFrame, x: str = "gen_tokens") -> ChartType:
    """The chart of accuracy against a spend column `x` of AXES.

    Rows without an accuracy or an x (exhausted, unknown) are left out and counted in the subtitle.
    Raises BadInput where none is left or a column is missing.
    """
    points = _points(table, x)
    scales = _Scales.of(points)
    places = sorted(points["place"].unique())
    panels = [_panel(points.filter(pl.col("place") == name), x, scales, name, len(places)) for name in places]
    rows = [alt.hconcat(*panels[at : at + 2], spacing=30) for at in range(0, len(panels), 2)]
    chart: ChartType = panels[0] if len(panels) == 1 else rows[0] if len(rows) == 1 else alt.vconcat(*rows, spacing=30)
    return dress(chart, _heading(points, table.height - points.height, x))


def _points(table: pl.DataFrame, x: str) -> pl.DataFrame:
    """The rows that can be drawn, with their model label, family and whether x is modelled."""
    if missing := [name for name in (*_NEEDED, x) if name not in table.columns]:
        raise BadInput(f"the table has no column {missing[0]!r}", mend="give a CSV that replay or analyze wrote")
    cost = pl.col(x).cast(pl.Float64, strict=False)
    drawn = table.filter(pl.col("accuracy").is_not_null() & (cost > 0)).with_columns(place=_places(table.columns))
    if drawn.is_empty():
        known = [name for name in AXES if name in table.columns and table[name].null_count() < table.height]
        raise BadInput(f"no row has both an accuracy and {x}", mend=f"known here: {', '.join(known) or 'none'}")
    measured = pl.col("measured").cast(pl.Boolean) if "measured" in table.columns else pl.lit(True)
    return drawn.with_columns(
        pl.Series("series", _series(drawn)),
        pl.Series(
            "family",
            [family_words(family_of(p, s or "")) for p, s in zip(drawn["policy"], drawn["setting"], strict=True)],
        ),
        pl.Series("line", [_line(p, s or "") for p, s in zip(drawn["policy"], drawn["setting"], strict=True)]),
        cost.alias("x"),
        (pl.lit(x in MODELLED) & ~measured.fill_null(True)).alias("modelled"),
    ).sort("x")


def _places(columns: Sequence[str]) -> pl.Expr:
    """The dataset with its split, as far as known."""
    named = [pl.col(name).cast(pl.String) for name in ("dataset", "split") if name in columns]
    return pl.concat_str(named, separator=" ", ignore_nulls=True).str.strip_chars()


def _line(policy: str, setting: str) -> str:
    """What a line stands for: a policy with all of its settings but how many draws it may make."""
    return ",".join([policy, *(part for part in setting.split(",") if part.partition("=")[0] not in DIALS)])


def _series(table: pl.DataFrame) -> list[str]:
    """The model of each row, with what else is needed to keep two runs of one model on one dataset apart."""
    names = [str(model or run) for model, run in zip(table["model"], table["run"], strict=True)]
    for column in (name for name in _APART if name in table.columns):
        seen: dict[tuple[str, Any], set[Any]] = {}
        told = [made(row) or "plain" for row in table.to_dicts()] if column == "decoding" else table[column]
        rows = list(zip(names, table["place"], told, strict=True))
        for name, place, value in rows:
            seen.setdefault((name, place), set()).add(value)
        mixed = {name for (name, _), values in seen.items() if len(values) > 1}
        names = [f"{n}, {_words(column, v)}" if n in mixed and v is not None else n for n, _, v in rows]
    return names


def _words(column: str, value: object) -> str:
    return f"T = {value}" if column == "temperature" else str(value)


@dataclass(frozen=True)
class _Scales:
    """One colour a model and one mark a family, the same in every panel; a constant needs no legend."""

    colour: alt.Color
    shape: alt.Shape
    hollow: alt.Shape
    """The same shapes without a legend: a hollow mark's would draw the legend's symbols transparent."""
    dash: alt.StrokeDash

    @classmethod
    def of(cls, points: pl.DataFrame) -> _Scales:
        models = points["series"].unique().sort().to_list()
        families = sorted(points["family"].unique().to_list(), key=lambda name: (name != "sc_fixed", name))
        legend: dict[str, Any] = {"labelLimit": 0, "titleLimit": 0, "symbolOpacity": 1}
        of_model = alt.Legend(**legend, symbolType="stroke", symbolStrokeWidth=3) if len(models) > 1 else None
        dark: dict[str, Any] = {"symbolFillColor": "#444", "symbolStrokeWidth": 0, "symbolSize": 75}
        of_family = alt.Legend(**legend, **dark) if len(families) > 1 else None
        marks = alt.Scale(domain=families, range=_cycle(SHAPES, len(families)))
        dashes = alt.Scale(domain=families, range=_cycle(DASHES, len(families)))
        colours = alt.Scale(domain=models, range=_cycle(COLOURS, len(models)))
        return cls(
            alt.Color("series:N", title="Model", scale=colours, legend=of_model),
            alt.Shape("family:N", title="Policy", scale=marks, legend=of_family),
            alt.Shape("family:N", title="Policy", scale=marks, legend=None),
            alt.StrokeDash("family:N", title="Policy", scale=dashes, legend=of_family),
        )


def _cycle(values: tuple[Any, ...], count: int) -> list[Any]:
    return [values[at % len(values)] for at in range(count)]


def _panel(points: pl.DataFrame, x: str, scales: _Scales, title: str, panels: int) -> ChartType:
    """One dataset: interval bars, lines, marks."""
    costs = points["x"].to_list()
    low, high = min(costs), max(costs)
    shown = [name for name in points.columns if name in (*_SHOWN, x)]
    axis_x = alt.Axis(values=ticks(low, high, x == "candidates"), labelExpr=label(x), grid=False, labelOverlap=True)
    at_x = alt.X("x:Q", title=AXES[x], scale=alt.Scale(type="log", domain=padded(low, high), nice=False), axis=axis_x)
    scale_y = alt.Scale(domain=_span(points), nice=False, zero=False, clamp=True)
    axis_y = alt.Axis(format=".3~%", tickCount=6, tickMinStep=0.005)
    base = alt.Chart(points.select(*_DRAWN, *shown)).encode(x=at_x, color=scales.colour)
    bars = base.mark_rule(opacity=0.45, strokeWidth=1.3).encode(
        y=alt.Y("accuracy_low:Q", title="Accuracy", scale=scale_y, axis=axis_y), y2="accuracy_high:Q"
    )
    at_y = alt.Y("accuracy:Q", title="Accuracy", scale=scale_y, axis=axis_y)
    lines = base.mark_line(strokeWidth=1.8).encode(y=at_y, strokeDash=scales.dash, detail=["series:N", "line:N"])
    tips = [alt.Tooltip(f"{name}:{kind}", format=how) for name, (kind, how) in _SHOWN.items()]
    solid = base.transform_filter("!datum.modelled").mark_point(size=64, filled=True, opacity=1)
    hollow = base.transform_filter("datum.modelled").mark_point(size=60, fill="white", strokeWidth=1.7, opacity=1)
    marks = [
        kind.encode(y=at_y, shape=shape, tooltip=tips)
        for kind, shape in ((solid, scales.shape), (hollow, scales.hollow))
    ]
    chart = alt.layer(bars, lines, *marks).properties(
        width=WIDTH if panels == 1 else NARROW, height=HEIGHT if panels == 1 else 260
    )
    if panels > 1:
        chart.title = alt.TitleParams(shortened(title, 46), anchor="start", frame="group", fontSize=12.5)
    return chart


_DRAWN = ("x", "series", "family", "line", "modelled")
_SHOWN: Mapping[str, tuple[str, str]] = {
    "model": ("N", ""),
    "policy": ("N", ""),
    "setting": ("N", ""),
    "accuracy": ("Q", ".1%"),
    "accuracy_low": ("Q", ".1%"),
    "accuracy_high": ("Q", ".1%"),
    "n_problems": ("Q", ",d"),
}


def _span(points: pl.DataFrame) -> list[float]:
    """The accuracies to show: from the lowest bar to the highest, with a little room, within 0 and 1."""
    low = min(v for name in ("accuracy", "accuracy_low") for v in points[name].drop_nulls())
    high = max(v for name in ("accuracy", "accuracy_high") for v in points[name].drop_nulls())
    room = max(0.06 * (high - low), 0.004)
    return [max(0.0, low - room), min(1.0, high + room)]


def _heading(points: pl.DataFrame, left_out: int, x: str) -> alt.TitleParams:
    """What the figure says, how much it rests on, and how to read its marks."""
    series, models = points["series"].unique().to_list(), points["model"].fill_null(points["run"]).unique().to_list()
    places, datasets = points["place"].unique().to_list(), points["dataset"].unique().to_list()
    of = series[0] if len(series) == 1 else str(models[0]) if len(models) == 1 else f"{len(models)} models"
    on = places[0] if len(places) == 1 else str(datasets[0]) if len(datasets) == 1 else f"{len(datasets)} datasets"
    of_what = f"{shortened(of)} on {shortened(on)}" if on else shortened(of)
    families = points["family"].unique().to_list()
    says = [f"{counted(points['n_problems'], 'problems')}; bars: 95 % intervals over problems; logarithmic axis"]
    if len(families) == 1:
        says.append(f"Policy: {families[0]}")  # which no legend names then
    if points["modelled"].any():
        says.append("Hollow marks: cost modelled from per-call records, filled: measured in a run of that policy")
    if left_out:
        says.append(f"{left_out} settings not drawn: the pool was exhausted, or their {x} is unknown")
    what = f"Accuracy against {AXES[x][0].lower() if x != 'usd' else 'U'}{AXES[x][1:]}:"
    whole = f"{what} {of_what}"
    return alt.TitleParams(whole if len(whole) <= LONGEST else [what, of_what], subtitle=says)


def shortened(name: str, most: int = LONGEST // 2) -> str:
    """A name without its middle where it is too long for a heading.

    >>> shortened("some-organisation/some-model-70b", 20)
    'some-organ…model-70b'
    """
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - (most - 1) // 2 :]}"


def dress(chart: ChartType, title: alt.TitleParams) -> ChartType:
    """Type, weights and margins fit for print."""
    title.anchor, title.offset = "start", 14
    dressed: ChartType = (
        chart.properties(title=title, padding=14, background="white")
        .configure(font=FONT)
        .configure_title(fontSize=15, fontWeight=600, subtitleFontSize=11.5, subtitleColor="#555", subtitlePadding=5)
        .configure_axis(
            labelFontSize=11.5, titleFontSize=12.5, titleFontWeight=500, titlePadding=9, gridColor="#e8e8e8",
            domainColor="#888", tickColor="#888", labelColor="#333",
        )
        .configure_legend(labelFontSize=11.5, titleFontSize=12, titleFontWeight=600, rowPadding=4, offset=16)
        .configure_view(stroke=None)
    )  # fmt: skip
    return dressed
