"""What consultations buy, drawn: accuracy against oracle tokens, and the c × k surface."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from testtime.core.errors import BadInput
from testtime.figures.axes import counted
from testtime.figures.frontier import COLOURS, FONT, SHAPES

COST_TITLES = {
    "oracle_tokens": "Oracle tokens per problem (square-root scale)",
    "flops": "Operations per problem (2 × parameters × tokens)",
    "usd": "US dollars per problem",
    "seconds": "Seconds of work per problem",
}
WIDTH, HEIGHT = 520, 340
_BUDGET = pl.col("trigger").str.extract(r"( budget=\d+)$").fill_null("")


def accuracy_against_oracle(table: pl.DataFrame, x: str = "oracle_tokens", title: str = "") -> ChartType:
    """Accuracy against what was spent on the oracle; a trigger's line joins what no cheaper setting of it reaches.

    Raises BadInput where nothing can be drawn.
    """
    known = table.filter(pl.col("accuracy").is_not_null() & pl.col(x).is_not_null())
    if known.is_empty():
        raise BadInput(f"no setting has both an accuracy and {x}", mend=f"use one of {', '.join(COST_TITLES)}")
    kinds = known.with_columns(pl.col("trigger").str.split(" ").list.first().alias("kind"), _BUDGET.alias("budget"))
    names = {"never": "base alone", "always": "oracle alone"}
    shown = kinds.with_columns(
        pl.when(pl.col("c").eq("inf") & pl.col("k").eq("inf") | pl.col("c").eq("0"))
        .then(pl.col("kind").replace(names))
        .otherwise(pl.col("kind"))
        .add(pl.col("budget"))
        .alias("kind"),
        pl.col(x).alias("x"),
    ).select("kind", "x", "accuracy", "low", "high", "c", "k", "trigger")
    order = [kind for kind in shown["kind"].unique(maintain_order=True).to_list()]
    ends = [kind for kind in order if kind.startswith(tuple(names.values()))]
    order = [*[kind for kind in order if kind not in ends], *ends]
    inks = ["#000000" if kind in ends else COLOURS[at % len(COLOURS)] for at, kind in enumerate(order)]
    scale = alt.Scale(domain=order, range=inks)
    marks = alt.Scale(domain=order, range=[SHAPES[at % len(SHAPES)] for at in range(len(order))])
    spread = alt.Scale(type="sqrt" if x == "oracle_tokens" else "linear")  # the oracle alone lies far from all others
    at = alt.X("x:Q", title=COST_TITLES[x], axis=alt.Axis(format="~s"), scale=spread)
    colour = alt.Color("kind:N", scale=scale, title="trigger", legend=alt.Legend(symbolOpacity=1))
    before = pl.col("accuracy").cum_max().shift(1, fill_value=-1.0).over("kind")
    unbeaten = shown.sort("x", "accuracy", descending=[False, True]).filter(pl.col("accuracy") > before)
    base = alt.Chart(shown)
    percent = alt.Axis(format="%", tickCount=6)
    up = alt.Y("accuracy:Q", title="Accuracy", axis=percent, scale=alt.Scale(zero=False))
    chart: ChartType = alt.layer(
        base.mark_rule(opacity=0.45).encode(x=at, y=alt.Y("low:Q", title="Accuracy"), y2="high:Q", color=colour),
        alt.Chart(unbeaten).mark_line(opacity=0.8).encode(x=at, y=up, color=colour),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            x=at, y=up, color=colour, shape=alt.Shape("kind:N", scale=marks, title="trigger")
        ),
    )
    says = f"{counted(known['n'], 'problems')}; bars: 95 % intervals over problems; lines: what no cheaper one reaches"
    heading = alt.Title(title or "What consultations buy", subtitle=[says])
    return dressed(chart.properties(width=WIDTH, height=HEIGHT, title=heading))


def surface(table: pl.DataFrame, title: str = "") -> ChartType:
    """Accuracy over c × k, a panel a trigger. Raises BadInput where c and k do not make a grid."""
    inside = table.filter(pl.col("accuracy").is_not_null())
    if inside["c"].n_unique() < 2 or inside["k"].n_unique() < 2:
        raise BadInput("one value of c or k is no surface", mend="give several of each: --c 1 5 20 --k 1 5 20")
    shown = inside.select("c", "k", "trigger", "accuracy", _BUDGET.alias("budget")).with_columns(
        (100 * pl.col("accuracy")).round(0).cast(pl.Int64).cast(pl.String).alias("label")
    )
    is_end = pl.col("trigger").str.split(" ").list.first().is_in(["never", "always"])
    ends, inner = shown.filter(is_end), shown.filter(~is_end)
    panels = [
        _panel(pl.concat([cells, ends.filter(pl.col("budget") == cells["budget"][0])]), str(name))
        for (name,), cells in inner.group_by("trigger", maintain_order=True)
    ]
    chart: ChartType = alt.hconcat(*panels).resolve_scale(color="shared")
    widest = inside.select((pl.col("high") - pl.col("low")).max()).item()
    says = f"accuracy in % of {counted(inside['n'], 'problems')}"
    says += "" if widest is None else f"; 95 % intervals over problems: up to {100 * widest:.0f} points wide"
    heading = alt.Title(title or "What consultations buy", subtitle=[says])
    return dressed(chart.properties(title=heading))


def _panel(shown: pl.DataFrame, name: str) -> Any:
    order = sorted(set(shown["c"]) | set(shown["k"]), key=float)
    x = alt.X("c:N", sort=order, title="c, consultations at most", axis=alt.Axis(labelAngle=0))
    y = alt.Y("k:N", sort=order[::-1], title="k, tokens of each")
    colour = alt.Color("accuracy:Q", title="Accuracy", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(format="%"))
    base = alt.Chart(shown, title=name)
    low, high = (float(value) for value in (shown["accuracy"].min(), shown["accuracy"].max()))  # type: ignore[arg-type]
    ink = alt.condition(alt.datum.accuracy > low + 0.6 * (high - low), alt.value("black"), alt.value("white"))
    return alt.layer(
        base.mark_rect().encode(x=x, y=y, color=colour),
        base.mark_text(fontSize=13).encode(x=x, y=y, text="label:N", color=ink),
    ).properties(width=alt.Step(52), height=alt.Step(38))


def dressed(chart: ChartType) -> ChartType:
    """A chart in the house's type."""
    done: ChartType = chart.configure(font=FONT).configure_title(anchor="start", fontSize=14, subtitleColor="#555")
    return done
