"""Curves over budgets: discrete and continuous metrics on one sheet, single problems, distributions, agreement.

The axis of budgets is log2: each doubling counts alike. Bars are 95 % intervals over problems.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from altair.typing import ChartType

from testtime.analysis.emergence_curves import ACCURACY, NEGENTROPY, PROBABILITY, Curves
from testtime.analysis.emergence_samples import SCORES, grouped, scores, top
from testtime.analysis.emergence_table import Reading, together
from testtime.core.errors import BadInput
from testtime.figures.axes import counted
from testtime.figures.frontier import COLOURS, dress, shortened

DASHES = {ACCURACY: [1, 0], PROBABILITY: [5, 3]}
WORDS = {
    ACCURACY: "accuracy (discrete)",
    PROBABILITY: "probability of gold (continuous)",
    NEGENTROPY: "negentropy −H, bits",
}
_GOLDEN = 0.6180339887498949
"""Multiples of it spread evenly over [0, 1): a jitter that is the same each time."""
WIDTH, HEIGHT, LOW = 300, 210, 96


def scaling(readings: Sequence[Reading]) -> ChartType:
    """A column a split: accuracy and probability against budget above, negentropy below; a colour a model.

    Raises BadInput where there is nothing to draw.
    """
    if not readings:
        raise BadInput("no curve to draw", mend="give a pool with several budgets")
    places = list(dict.fromkeys(_place(one.curves) for one in readings))
    named = _names(list(dict.fromkeys(one.curves for one in readings)))
    colour = _colour("series", sorted(set(named.values())), "Model")
    columns = []
    for place in places:
        here = [one for one in readings if _place(one.curves) == place]
        rows = _points(here, named)
        below = any(one.metric == NEGENTROPY for one in here)
        shares = rows.filter(pl.col("metric").is_in([WORDS[metric] for metric in DASHES]))
        upper = _lines(shares, colour, share=True, named=not below)
        parts = [upper.properties(width=WIDTH, height=HEIGHT, title=_title(place, here))]
        if below:
            lower = _lines(rows.filter(metric=WORDS[NEGENTROPY]), colour, share=False)
            parts.append(lower.properties(width=WIDTH, height=LOW))
        columns.append(alt.vconcat(*parts, spacing=8) if len(parts) > 1 else parts[0])
    says = [f"{_many(readings)}; bars: 95 % intervals over problems; each doubling counts alike"]
    return dress(
        _rowed(columns, 2 if len(columns) == 4 else 3),
        alt.TitleParams("Accuracy and certainty against thinking budget", subtitle=says),
    )


def problems(curves: Curves, k: int = 4, by: str = "probability_skewness") -> ChartType:
    """The k problems whose score is highest, a panel each. Raises BadInput where none has a score."""
    chosen = top(curves, k, by)
    if not chosen:
        raise BadInput(f"no problem has a {by}", where=curves.run, mend="give at least three budgets")
    found = scores(curves, by)
    shown = [metric for metric in DASHES if metric in curves.values]
    panels = []
    for at in chosen:
        rows = [
            {"budget": budget, "value": float(value), "metric": WORDS[metric], "series": curves.model}
            for metric in shown
            for budget, value in zip(curves.budgets, curves.each(metric)[at], strict=True)
        ]
        colour = _colour("series", [curves.model], "Model")
        title = alt.TitleParams(
            shortened(curves.problems[at], 40), subtitle=f"{_said(by)} {found[at]:.2f}", anchor="start", fontSize=12
        )
        panels.append(_lines(_frame(rows), colour, share=True).properties(width=230, height=150, title=title))
    named = f"{curves.model} on {_place(curves)}"
    heading = f"The {len(chosen)} problems of highest {_said(by)}: {shortened(named, 60)}"
    completions = curves.values[ACCURACY].shape[2]
    says = [f"means over {completions} completions of one problem, no intervals"]
    return dress(_rowed(panels, 2), alt.TitleParams(heading, subtitle=says))


def distributions(several: Sequence[Curves], by: str, chosen: Iterable[str]) -> ChartType:
    """How scores are distributed over problems, a panel a score and a row a group. Raises BadInput for none."""
    panels = []
    counts = set[int]()
    for score in chosen:
        groups = grouped(several, by, score)
        rows = [
            {"group": name, "value": float(value), "jitter": at * _GOLDEN % 1 - 0.5}
            for name, values in groups.items()
            for at, value in enumerate(values[np.isfinite(values)])
        ]
        if rows:
            counts |= {int(np.isfinite(values).sum()) for values in groups.values()}
            panels.append(_distribution(_frame(rows), score, list(groups)))
    if not panels:
        raise BadInput("no score to draw", mend="give at least three budgets")
    says = [f"{counted(counts, 'problems')} a row; bars: the middle half and the median; points: problems, jittered"]
    return dress(_rowed(panels, 1), alt.TitleParams(f"Emergence problem by problem, by {by}", subtitle=says))


def agreement(table: pl.DataFrame, by: str) -> ChartType:
    """Spearman's correlation of problems' scores between models, a column a split. Raises BadInput for no pair."""
    if table.is_empty():
        raise BadInput("no two models share a split", mend="give pools of several models")
    rows = table.with_columns(
        split=pl.concat_str("dataset", "split", separator=" "),
        pair=pl.concat_str(pl.col("a"), pl.col("b"), separator="  ×  "),
        text=pl.col("spearman").map_elements(lambda v: f"{v:.2f}", return_dtype=pl.String).fill_null("–"),
    )
    base = alt.Chart(rows.select("split", "pair", "spearman", "text", "n")).encode(
        x=alt.X("split:N", title=None, axis=alt.Axis(labelAngle=-30, labelLimit=0)),
        y=alt.Y("pair:N", title=None, axis=alt.Axis(labelLimit=0)),
    )
    scale = alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True)
    legend = alt.Legend(title="Spearman")
    cells = base.mark_rect(stroke="white").encode(color=alt.Color("spearman:Q", scale=scale, legend=legend))
    words = base.mark_text(fontSize=11.5).encode(text="text:N")
    chart = alt.layer(cells, words).properties(width=max(64 * rows["split"].n_unique(), 120), height=alt.Step(46))
    says = [f"{counted(rows['n'], 'common problems')} a pair; 1: the same order; no intervals"]
    return dress(chart, alt.TitleParams(f"Do models agree on which problems are sharp? {_said(by)}", subtitle=says))


def lengths(several: Sequence[Curves]) -> ChartType:
    """Tokens really thought against the budget. Raises BadInput where no curve says how long it thought."""
    named = _names(list(several))
    rows = [
        {"budget": budget, "value": float(value), "series": f"{named[curves]}, {curves.split}"}
        for curves in several
        if "thinking_tokens" in curves.values
        for budget, value in zip(curves.budgets, np.nanmean(curves.values["thinking_tokens"], axis=(0, 2)), strict=True)
    ]
    if not rows:
        raise BadInput("no curve says how long it thought", mend="draw it with the decoding budget or prefix")
    frame = _frame(rows)
    colour = _colour("series", frame["series"].unique().sort().to_list(), "Model and split")
    ends = [float(frame["budget"].min()), float(frame["budget"].max())]  # type: ignore[arg-type]
    line = alt.Chart(pl.DataFrame({"budget": ends, "value": ends})).mark_line(color="#bbb", strokeDash=[4, 4])
    x = _budgets(frame)
    y = alt.Y(
        "value:Q", title="Thinking tokens", scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=_ticks(ends))
    )
    base = alt.Chart(frame).encode(x=x, y=y, color=colour)
    chart = alt.layer(
        line.encode(x=x, y=y), base.mark_line(strokeWidth=1.8), base.mark_point(filled=True, size=46)
    ).properties(width=380, height=280)
    thought = [len(curves.problems) for curves in several if "thinking_tokens" in curves.values]
    says = [f"means over {counted(thought, 'problems')}, no intervals; dashed: the budget used wholly"]
    return dress(chart, alt.TitleParams("Tokens thought against the budget", subtitle=says))


def correlation(rows: pl.DataFrame) -> ChartType:
    """Accuracy's correlation with each continuous metric: rows of series, metric, value, and n problems."""
    base = alt.Chart(rows).encode(
        x=alt.X("metric:N", title=None, axis=alt.Axis(labelAngle=-30), sort=None),
        y=alt.Y("series:N", title=None, axis=alt.Axis(labelLimit=0), sort=None),
    )
    scale = alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True)
    dark = alt.expr.abs(alt.datum.value) > 0.6
    cells = base.mark_rect(stroke="white").encode(color=alt.Color("value:Q", scale=scale, legend=alt.Legend(title="r")))
    words = base.mark_text(fontSize=11).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.when(dark).then(alt.value("white")).otherwise(alt.value("black")),
    )
    chart = alt.layer(cells, words).properties(width=alt.Step(62), height=alt.Step(30))
    says = [f"{counted(rows['n'], 'problems')} a row; no intervals"]
    return dress(chart, alt.TitleParams("Accuracy's correlation with continuous metrics over budgets", subtitle=says))


def _lines(rows: pl.DataFrame, colour: alt.Color, share: bool, named: bool = True) -> ChartType:
    """Lines with their interval bars; of shares within 0 and 1 where `share`. `named`: the budgets have their title."""
    shown = rows["metric"].unique(maintain_order=True).to_list()
    title = "Share" if share else shown[0] if shown else ""
    axis = alt.Axis(format=".0%", tickCount=5) if share else alt.Axis(tickCount=4)
    scale = alt.Scale(domain=[0, 1]) if share else alt.Scale(zero=False)
    x = _budgets(rows) if named else _budgets(rows).title(None)
    base = alt.Chart(rows).encode(x=x, color=colour)
    marks = []
    if "low" in rows.columns:
        bars = base.mark_rule(opacity=0.45, strokeWidth=1.2)
        marks.append(bars.encode(y=alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"))
    y = alt.Y("value:Q", title=title, scale=scale, axis=axis)
    names = [WORDS[metric] for metric in DASHES]
    legend = alt.Legend(title="Metric", labelLimit=0, symbolStrokeColor="#444") if share else None
    dash = alt.StrokeDash("metric:N", scale=alt.Scale(domain=names, range=list(DASHES.values())), legend=legend)
    line = base.mark_line(strokeWidth=1.8).encode(y=y, detail="series:N")
    marks.append(line.encode(strokeDash=dash) if share else line)
    fill = alt.FillOpacity("metric:N", scale=alt.Scale(domain=names, range=[1, 0]), legend=None)
    points = base.mark_point(size=34, opacity=1, strokeWidth=1.4).encode(y=y, fill=colour)
    marks.append(points.encode(fillOpacity=fill) if share else points)
    chart: ChartType = alt.layer(*marks)
    return chart


def _distribution(rows: pl.DataFrame, score: str, groups: Sequence[str]) -> ChartType:
    y = alt.Y("group:N", title=None, sort=list(groups), axis=alt.Axis(labelLimit=260))
    x = alt.X("value:Q", title=_said(score), scale=alt.Scale(zero=False))
    base = alt.Chart(rows).encode(y=y)
    jittered = base.mark_point(filled=True, size=9, opacity=0.25)
    points = jittered.encode(
        x=x, yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1, 1])), color=alt.value("#0072B2")
    )
    box = base.mark_bar(size=7, opacity=0.45, color="#444").encode(
        x=alt.X("q1(value):Q", title=_said(score)), x2="q3(value):Q"
    )
    middle = base.mark_tick(size=22, thickness=2.5, color="#D55E00").encode(x="median(value):Q")
    chart: ChartType = alt.layer(points, box, middle).properties(width=460, height=alt.Step(38))
    return chart


def _points(readings: Sequence[Reading], named: dict[Curves, str]) -> pl.DataFrame:
    """Rows of budget, value, low, high, metric, series."""
    return _frame([
        {
            "budget": budget, "value": float(value), "low": _known(bound[0]), "high": _known(bound[1]),
            "metric": WORDS[one.metric], "series": named[one.curves],
        }
        for one in readings
        if one.metric in WORDS
        for budget, value, bound in zip(one.curves.budgets, one.mean, one.intervals, strict=True)
        if not np.isnan(value)
    ])  # fmt: skip


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _budgets(rows: pl.DataFrame) -> alt.X:
    """The log2 axis of budgets."""
    low, high = float(rows["budget"].min()), float(rows["budget"].max())  # type: ignore[arg-type]
    scale = alt.Scale(type="log", base=2, domain=[low / 1.15, high * 1.15], nice=False)
    axis = alt.Axis(values=_ticks([low, high]), grid=False, format="~d")
    return alt.X("budget:Q", title="Thinking budget, tokens (log2)", scale=scale, axis=axis)


def _ticks(ends: Sequence[float]) -> list[float]:
    exponents = range(int(np.ceil(np.log2(min(ends)) - 1e-9)), int(np.floor(np.log2(max(ends)) + 1e-9)) + 1)
    return [2.0**exponent for exponent in exponents]


def _colour(field: str, names: Sequence[str], title: str) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=[COLOURS[at % len(COLOURS)] for at in range(len(names))])
    legend = (
        alt.Legend(title=title, labelLimit=0, symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3)
        if len(names) > 1
        else None
    )
    return alt.Color(f"{field}:N", scale=scale, legend=legend)


def _names(several: Sequence[Curves]) -> dict[Curves, str]:
    """What each is called: its model, and its decoding where several are there."""
    decodings = {curves.decoding for curves in several}
    return {c: c.model if len(decodings) == 1 else f"{c.model}, {c.decoding}" for c in several}


def _place(curves: Curves) -> str:
    return f"{curves.dataset} {curves.split}".strip()


def _title(place: str, readings: Sequence[Reading]) -> alt.TitleParams:
    """The split, and what its curves say."""
    curves = list(dict.fromkeys(one.curves for one in readings))
    short = {c: c.model.rpartition(":")[2] for c in curves}
    says = [
        f"{shortened(short[c], 20)}: {together([one for one in readings if one.curves is c])}" if len(curves) > 1
        else together([one for one in readings if one.curves is c])
        for c in curves
    ]  # fmt: skip
    return alt.TitleParams(place, subtitle=says, anchor="start", frame="group", fontSize=12.5, subtitleFontSize=10.5)


def _many(readings: Sequence[Reading]) -> str:
    counts = [len(one.curves.problems) for one in readings]
    completions = sorted({one.curves.values[one.metric].shape[2] for one in readings})
    return f"{counted(counts, 'problems')} × {'–'.join(map(str, dict.fromkeys(completions)))} completions a panel"


def _said(score: str) -> str:
    return score.replace("_", " ").replace("skewness", "skewness × max|Δ|") if score in SCORES else score


def _rowed(panels: Sequence[ChartType], wide: int) -> ChartType:
    rows = [alt.hconcat(*panels[at : at + wide], spacing=34) for at in range(0, len(panels), wide)]
    chart: ChartType = panels[0] if len(panels) == 1 else rows[0] if len(rows) == 1 else alt.vconcat(*rows, spacing=26)
    return chart
