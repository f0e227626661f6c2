"""Statistics at positions, to be read: tables with intervals, and a page of shaded texts. Nothing is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testtime.core.errors import BadInput
from testtime.figures.guidance_tables import page
from testtime.figures.tables import UNKNOWN, Rows

MOST_TEXTS = 30
"""Texts of a page."""
_EFFECTS = {"helped": " helped", "hurt": " hurt", "nothing": " did nothing"}


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
    heads = ("statistic", "AUC", "95 % interval", "p, Holm", "before", "others", "problems")
    cells = [
        (row["statistic"], _plain(row["auc"]), _interval(row, False), _p(row["p_holm"]), f"{row['yes']:,}",
         f"{row['no']:,}", str(row["problems"]))
        for row in rows
    ]  # fmt: skip
    return Rows(f"positions before an error (within {ahead} tokens); below 0.5, low values warn", heads, cells)


def effect_rows(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Statistics where a consultation helped, hurt or changed nothing, as a table."""
    heads = ("where it", "n", "mean", "quartiles", "differs", "95 % interval", "p, Holm")
    cells, said = list[tuple[str, ...]](), None
    for row in rows:
        if row["statistic"] != said:
            said = row["statistic"]
            cells.append((said, *[""] * (len(heads) - 1)))
        cells.append((
            _EFFECTS[row["effect"]], str(row["n"]), _plain(row["mean"]), _quarters(row),
            _signed(row.get("difference")), _interval(row), _p(row["p_holm"]),
        ))  # fmt: skip
    return Rows(
        "one consultation, beside the same text without it; how it differs from where it did nothing", heads, cells
    )


def _plain(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+.3f}"


def _interval(row: Mapping[str, Any], signed: bool = True) -> str:
    low, high = row.get("low"), row.get("high")
    show = _signed if signed else _plain
    return UNKNOWN if low is None or high is None else f"[{show(low)}, {show(high)}]"


def _quarters(row: Mapping[str, Any]) -> str:
    """The quartiles of what was seen: low, median, high."""
    values = [row[name] for name in ("low_quarter", "median", "high_quarter")]
    return UNKNOWN if None in values else " ".join(f"{value:.2f}" for value in values)


def _p(value: float | None) -> str:
    return UNKNOWN if value is None else "< 0.01" if value < 0.01 else f"{value:.2f}"


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
