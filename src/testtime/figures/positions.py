"""Statistics at positions, drawn: a heat map of their correlations, and lines along the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from altair.typing import ChartType

from testtime.analysis.positions import Text, matrix
from testtime.core.errors import BadInput
from testtime.core.signals import STATISTICS
from testtime.figures.guidance import dressed

UNITS = {"entropy": "bits", "varentropy": "bits²", "attn_entropy": "bits", "attn_varentropy": "bits²"}
BINS = 20


def heat_map(found: Sequence[Mapping[str, Any]], title: str = "") -> ChartType:
    """Correlations of every two statistics, and of each with rightness. Raises BadInput where there is no position."""
    texts = [
        Text(str(row.get("query_id")), None if row["acc"] is None else float(row["acc"]), (), row["analysis_result"])
        for row in found
    ]
    cells = [cell for cell in matrix(texts) if cell["r"] == cell["r"]]
    if not cells:
        raise BadInput("no statistic varies", mend="look at more positions: --every")
    order = [name for name in (*STATISTICS, "right") if any(cell["one"] == name for cell in cells)]
    shown = pl.DataFrame(cells).with_columns(label=pl.col("r").round(2) + 0.0)  # no minus before a zero
    base = alt.Chart(shown)
    x = alt.X("other:N", sort=order, title=None, axis=alt.Axis(labelAngle=-40))
    y = alt.Y("one:N", sort=order, title=None)
    scale = alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True)
    ink = alt.condition("abs(datum.r) > 0.62", alt.value("white"), alt.value("black"))
    count = sum(len(row["analysis_result"]) for row in found)
    says = f"{count:,} positions of {len(found):,} texts; right: whether the text is; no intervals"
    heading = alt.Title(title or "Statistics of the base's states", subtitle=[says])
    chart: ChartType = alt.layer(
        base.mark_rect().encode(x=x, y=y, color=alt.Color("r:Q", scale=scale, title="Pearson's r")),
        base.mark_text(fontSize=11).encode(x=x, y=y, text=alt.Text("label:Q", format="+.2f"), color=ink),
    ).properties(
        width=alt.Step(56), height=alt.Step(34), title=heading,
    )  # fmt: skip
    return dressed(chart)


def along(found: Sequence[Mapping[str, Any]], title: str = "") -> ChartType:
    """Each statistic's mean along the text, of right and of wrong texts. Raises BadInput where nothing is known."""
    points: dict[tuple[str, int, str], list[float]] = {}
    for row in found:
        if row["acc"] is None:
            continue
        told = "right" if row["acc"] else "wrong"
        for entry in row["analysis_result"]:
            at = min(int(BINS * float(entry["normalized_position"])), BINS - 1)
            for name in STATISTICS:
                if entry[name] is not None:
                    points.setdefault((name, at, told), []).append(entry[name])
    if not points:
        raise BadInput("no position of a judged text", mend="give texts of problems with a reference")
    shown = pl.DataFrame([
        {"statistic": name, "at": (at + 0.5) / BINS, "texts": told, "mean": float(np.mean(values)),
         "low": float(np.mean(values) - 1.96 * np.std(values) / len(values) ** 0.5),
         "high": float(np.mean(values) + 1.96 * np.std(values) / len(values) ** 0.5)}
        for (name, at, told), values in sorted(points.items()) if len(values) >= 3
    ])  # fmt: skip
    names = [name for name in STATISTICS if name in set(shown["statistic"])]
    panels = [
        _panel(shown.filter(pl.col("statistic") == name), name, at >= len(names) - 2) for at, name in enumerate(names)
    ]
    rows = [alt.hconcat(*panels[at : at + 2], spacing=28) for at in range(0, len(panels), 2)]
    judged = [row for row in found if row["acc"] is not None]
    right = sum(bool(row["acc"]) for row in judged)
    says = [
        f"{sum(len(row['analysis_result']) for row in judged):,} positions of {right:,} right and "
        f"{len(judged) - right:,} wrong texts",
        "means of a twentieth of the text; bands: ± 1.96 standard errors over positions, as if each stood alone",
    ]
    chart: ChartType = alt.vconcat(*rows, spacing=14).properties(
        title=alt.Title(title or "Statistics along the text", subtitle=says)
    )
    return dressed(chart)


def _panel(shown: pl.DataFrame, name: str, last: bool) -> Any:
    colour = alt.Color(
        "texts:N",
        scale=alt.Scale(domain=["right", "wrong"], range=["#0072B2", "#D55E00"]),
        title="texts",
        legend=alt.Legend(symbolOpacity=1),
    )
    x = alt.X(
        "at:Q", title="share of the text" if last else None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])
    )
    side = alt.Axis(minExtent=48)  # so that panels stand below each other
    label = f"{name}, {UNITS[name]}" if name in UNITS else name
    y = alt.Y("mean:Q", title=label, axis=side, scale=alt.Scale(zero=False))
    base = alt.Chart(shown)
    return alt.layer(
        base.mark_area(opacity=0.18).encode(
            x=x, y=alt.Y("low:Q", title=label, axis=side, scale=alt.Scale(zero=False)), y2="high:Q", color=colour
        ),
        base.mark_line().encode(x=x, y=y, color=colour),
    ).properties(width=270, height=130)
