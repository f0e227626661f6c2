"""Statistics at positions, for reading: tables with intervals, a heat map, lines along the text, shaded texts."""

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
from testtime.figures.frontier import FONT
from testtime.figures.guidance import page
from testtime.figures.tables import UNKNOWN, Rows

UNITS = {"entropy": "bits", "varentropy": "bits²", "attn_entropy": "bits", "attn_varentropy": "bits²"}
BINS = 20
MOST_TEXTS = 30
"""Texts of a page."""


def correlation_rows(rows: Sequence[Mapping[str, Any]], where: str) -> Rows:
    """Correlations as a table."""
    heads = ("statistic", "r", "95 % interval", "p, Holm", "texts", "problems")
    cells = [
        (row["statistic"], _signed(row["r"]), _interval(row), _p(row["p_holm"]), str(row["n"]), str(row["problems"]))
        for row in rows
    ]
    return Rows(f"correlation {where} with rightness" if "label" not in where else f"correlation {where}", heads, cells)


def auc_rows(rows: Sequence[Mapping[str, Any]], ahead: int) -> Rows:
    """How well statistics foretell an error, as a table."""
    heads = ("statistic", "AUC", "95 % interval", "p, Holm", "before an error", "elsewhere", "problems")
    cells = [
        (row["statistic"], _plain(row["auc"]), _interval(row, False), _p(row["p_holm"]), f"{row['yes']:,}",
         f"{row['no']:,}", str(row["problems"]))
        for row in rows
    ]  # fmt: skip
    return Rows(f"the base goes wrong within {ahead} tokens; below 0.5, low values warn", heads, cells)


def effect_rows(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Statistics where a consultation helped, hurt or changed nothing, as a table."""
    heads = ("statistic", "consultation", "n", "mean", "less nothing's", "95 % interval", "p, Holm")
    cells = [
        (row["statistic"], row["effect"], str(row["n"]), _plain(row["mean"]), _signed(row.get("difference")),
         _interval(row), _p(row["p_holm"]))
        for row in rows
    ]  # fmt: skip
    return Rows("one consultation, set beside the same text without it", heads, cells, left=True)


def _plain(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+.3f}"


def _interval(row: Mapping[str, Any], signed: bool = True) -> str:
    low, high = row.get("low"), row.get("high")
    show = _signed if signed else _plain
    return UNKNOWN if low is None or high is None else f"[{show(low)}, {show(high)}]"


def _p(value: float | None) -> str:
    return UNKNOWN if value is None else "< 0.01" if value < 0.01 else f"{value:.2f}"


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
    shown = pl.DataFrame(cells).with_columns(pl.col("r").round(2).alias("label"))
    base = alt.Chart(shown)
    x = alt.X("other:N", sort=order, title=None, axis=alt.Axis(labelAngle=-40))
    y = alt.Y("one:N", sort=order, title=None)
    scale = alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True)
    ink = alt.condition("abs(datum.r) > 0.62", alt.value("white"), alt.value("black"))
    count = sum(len(row["analysis_result"]) for row in found)
    heading = alt.Title(
        title or "Statistics of the base's states", subtitle=[f"{count:,} positions; right: whether the text is"]
    )
    chart: ChartType = alt.layer(
        base.mark_rect().encode(x=x, y=y, color=alt.Color("r:Q", scale=scale, title="Pearson's r")),
        base.mark_text(fontSize=11).encode(x=x, y=y, text=alt.Text("label:Q", format="+.2f"), color=ink),
    ).properties(
        width=alt.Step(56), height=alt.Step(34), title=heading,
    )  # fmt: skip
    return _dress(chart)


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
    chart: ChartType = alt.vconcat(*rows, spacing=14).properties(
        title=alt.Title(
            title or "Statistics along the text",
            subtitle=["mean of positions in a twentieth of the text; bands: ± 1.96 standard errors"],
        )
    )
    return _dress(chart)


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


def shaded(found: Sequence[Mapping[str, Any]], most: int = MOST_TEXTS) -> str:
    """A page of texts shaded by entropy at every token. Raises BadInput where no text was looked at token by token."""
    texts = []
    for row in found:
        bits = {entry["position"]: entry["entropy"] for entry in row["analysis_result"]}
        tokens, at = [], 0
        for piece in row["interleaved_outputs"]:
            spelled = piece.get("spelled") or [piece["output"]]
            for text in spelled:
                tokens.append((text, piece["model_type"], bits.get(at)))
                at += 1 if piece.get("spelled") else int(piece.get("tokens") or 0)
            at = at if not piece.get("spelled") else at + int(piece.get("tokens") or 0) - len(spelled)
        if sum(value is not None for _, _, value in tokens) > 1:
            told = {1: "right", 0: "wrong"}.get(row["acc"], "unknown")
            texts.append((f"{row.get('query_id')} · {row.get('decoding', '')} · {told}", tokens))
    if not texts:
        raise BadInput("no text was looked at token by token", mend="add --every")
    return page(texts[:most])


def _dress(chart: ChartType) -> ChartType:
    dressed: ChartType = chart.configure(font=FONT).configure_title(anchor="start", fontSize=14, subtitleColor="#555")
    return dressed
