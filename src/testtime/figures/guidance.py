"""What consultations buy, drawn: accuracy against oracle tokens; the c × k surface; and a text, read by eye.

In a text the base's words are plain and the oracle's stand in numbered brackets, so that it reads without colour too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType
from rich.text import Text

from testtime.core.errors import BadInput
from testtime.core.records import Part
from testtime.figures.frontier import COLOURS, FONT, SHAPES
from testtime.figures.tables import LONGEST, UNKNOWN, Rows, printable

BASE_STYLE, ORACLE_STYLE = "red", "bold blue"
COST_TITLES = {
    "oracle_tokens": "Oracle tokens per problem",
    "flops": "Operations per problem (2 × parameters × tokens)",
    "usd": "US dollars per problem",
    "seconds": "Seconds of work per problem",
}
WIDTH, HEIGHT = 520, 340


def interleaved(parts: Sequence[Part]) -> Text:
    """A guided text for the terminal: base and oracle in two colours, consultations numbered in brackets.

    >>> print(interleaved([Part("base", "2 + 2"), Part("oracle", " is 4"), Part("base", ".")]).plain)
    2 + 2[1: is 4].
    """
    text, number = Text(), 0
    for part in parts:
        shown = "\n".join(map(printable, part.text.split("\n")))
        if part.kind == "oracle":
            number += 1
            text.append(f"[{number}:{shown}]", style=ORACLE_STYLE)
        else:
            text.append(shown, style=BASE_STYLE)
    return text


def grid_rows(table: pl.DataFrame) -> Rows:
    """The table of a grid, for reading."""
    unparsed = bool((table["parsed"] < 1).any())  # where all rows are parsed both accuracies are the same
    heads = ["k", "c", "trigger", "accuracy", "n", "parsed", "oracle tokens", "MFLOP"]
    cells = []
    for row in table.iter_rows(named=True):
        flops = row["flops"]
        shown = [
            row["k"], row["c"], _short(row["trigger"]), _interval(row, ""), str(row["n"]), _percent(row["parsed"]),
            _number(row["oracle_tokens"]), UNKNOWN if flops is None else f"{flops / 1e6:,.0f}",
        ]  # fmt: skip
        cells.append([*shown[:6], *([_interval(row, "parsed_")] if unparsed else []), *shown[6:]])
    heads[6:6] = ["of parsed"] if unparsed else []
    return Rows("accuracy in %, with 95 % intervals over problems", heads, cells)


def _short(trigger: str) -> str:
    """A trigger that fits a column; learned weights are long."""
    return trigger if len(trigger) <= LONGEST else f"{trigger[: LONGEST - 1]}…"


def _interval(row: dict[str, float | None], kind: str) -> str:
    value, low, high = row[f"{kind}accuracy" if kind else "accuracy"], row[f"{kind}low"], row[f"{kind}high"]
    if value is None or low is None or high is None:
        return UNKNOWN
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"


def accuracy_against_oracle(table: pl.DataFrame, x: str = "oracle_tokens", title: str = "") -> ChartType:
    """Accuracy against what was spent on the oracle, a line a trigger. Raises BadInput where nothing can be drawn."""
    known = table.filter(pl.col("accuracy").is_not_null() & pl.col(x).is_not_null())
    if known.is_empty():
        raise BadInput(f"no setting has both an accuracy and {x}", mend=f"use one of {', '.join(COST_TITLES)}")
    kinds = known.with_columns(pl.col("trigger").str.split(" ").list.first().alias("kind"))
    names = {"never": "base alone", "always": "oracle alone"}
    shown = kinds.with_columns(
        pl.when(pl.col("c").eq("inf") & pl.col("k").eq("inf") | pl.col("c").eq("0"))
        .then(pl.col("kind").replace(names))
        .otherwise(pl.col("kind"))
        .alias("kind"),
        pl.col(x).alias("x"),
    ).select("kind", "x", "accuracy", "low", "high", "c", "k", "trigger")
    order = [kind for kind in shown["kind"].unique(maintain_order=True).to_list()]
    ends = [kind for kind in order if kind in names.values()]
    order = [*[kind for kind in order if kind not in ends], *ends]
    inks = ["#000000" if kind in ends else COLOURS[at % len(COLOURS)] for at, kind in enumerate(order)]
    scale = alt.Scale(domain=order, range=inks)
    marks = alt.Scale(domain=order, range=[SHAPES[at % len(SHAPES)] for at in range(len(order))])
    at = alt.X("x:Q", title=COST_TITLES[x], axis=alt.Axis(format="~s"))
    colour = alt.Color("kind:N", scale=scale, title="trigger", legend=alt.Legend(symbolOpacity=1))
    base = alt.Chart(shown)
    percent = alt.Axis(format="%", tickCount=6)
    up = alt.Y("accuracy:Q", title="Accuracy", axis=percent, scale=alt.Scale(zero=False))
    chart: ChartType = alt.layer(
        base.mark_rule(opacity=0.45).encode(x=at, y=alt.Y("low:Q", title="Accuracy"), y2="high:Q", color=colour),
        base.mark_line(opacity=0.8).encode(x=at, y=up, color=colour),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            x=at, y=up, color=colour, shape=alt.Shape("kind:N", scale=marks, title="trigger")
        ),
    )
    heading = alt.Title(title or "What consultations buy", subtitle=["bars: 95 % intervals over problems"])
    return _dress(chart.properties(width=WIDTH, height=HEIGHT, title=heading))


def surface(table: pl.DataFrame, title: str = "") -> ChartType:
    """Accuracy over c × k, a panel a trigger. Raises BadInput where c and k do not make a grid."""
    inside = table.filter(pl.col("accuracy").is_not_null())
    if inside["c"].n_unique() < 2 or inside["k"].n_unique() < 2:
        raise BadInput("one value of c or k is no surface", mend="give several of each: --c 1 5 20 --k 1 5 20")
    shown = inside.select("c", "k", "trigger", "accuracy").with_columns(
        (100 * pl.col("accuracy")).round(0).cast(pl.Int64).cast(pl.String).alias("label")
    )
    ends = shown.filter(pl.col("trigger").is_in(["never", "always"]))
    kinds = [name for name in shown["trigger"].unique(maintain_order=True).to_list() if name not in ("never", "always")]
    panels = [_panel(pl.concat([shown.filter(pl.col("trigger") == name), ends]), name) for name in kinds]
    chart: ChartType = alt.hconcat(*panels).resolve_scale(color="shared")
    heading = alt.Title(title or "What consultations buy", subtitle=["accuracy in %"])
    return _dress(chart.properties(title=heading))


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


def _dress(chart: ChartType) -> ChartType:
    dressed: ChartType = chart.configure(font=FONT).configure_title(anchor="start", fontSize=14, subtitleColor="#555")
    return dressed


def page(texts: Sequence[tuple[str, Sequence[tuple[str, str, float | None]]]], most: float = 3.0) -> str:
    """A page of texts whose tokens are shaded by the base's entropy, with consultations marked; opens offline.

    `texts` are (heading, tokens), a token (text, who wrote it, bits or None). All text is escaped: a model wrote it.
    """
    body = []
    for heading, tokens in texts:
        spans, number, before = [], 0, ""
        for text, kind, bits in tokens:
            if kind == "oracle" and before != "oracle":
                number += 1
                spans.append(f'<sup title="consultation {number}">{number}</sup>')
            before = kind
            share = 0.0 if bits is None else min(bits / most, 1.0)
            known = "unknown" if bits is None else f"{bits:.2f} bits"
            style = f"background:rgba(213,94,0,{share:.2f})"
            spans.append(f'<span class="{escape(kind)}" style="{style}" title="{known}">{escape(text)}</span>')
        body.append(f"<h2>{escape(heading)}</h2>\n<pre>{''.join(spans)}</pre>")
    legend = "".join(
        f'<span style="background:rgba(213,94,0,{at / 4:.2f})">&nbsp;{most * at / 4:.1f}&nbsp;</span>'
        for at in range(5)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Guided texts</title>\n<style>'
        "body{font:15px/1.5 Helvetica,Arial,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
        "pre{white-space:pre-wrap;font:15px/1.7 Menlo,Consolas,monospace;background:#fafafa;padding:1em}"
        "span.oracle{border-bottom:2px solid #0072B2;color:#0072B2}sup{color:#0072B2;font-weight:bold}"
        "h2{font-size:15px;margin:1.6em 0 .4em}</style>\n"
        f"<h1>Guided texts</h1>\n<p>Shade: entropy of the base's next token, bits {legend}. "
        "Blue and underlined: written by the oracle; numbers count consultations.</p>\n"
        + "\n".join(body)
        + "\n</html>\n"
    )
