"""Guided texts and their grid, to be read: a text in the terminal and as a page, a grid as a table. Nothing is drawn.

In a text the base's words are plain and the oracle's stand in numbered brackets, so that it reads without colour too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import polars as pl
from rich.text import Text

from testtime.core.records import Part
from testtime.figures.tables import UNKNOWN, Rows, printable

BASE_STYLE, ORACLE_STYLE = "red", "bold blue"

MOST = 41
"""Letters of a trigger: what leaves room for the numbers in 80 columns."""


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
    return trigger if len(trigger) <= MOST else f"{trigger[: MOST - 1]}…"


def _interval(row: dict[str, float | None], kind: str) -> str:
    value, low, high = row[f"{kind}accuracy" if kind else "accuracy"], row[f"{kind}low"], row[f"{kind}high"]
    if value is None or low is None or high is None:
        return UNKNOWN
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"


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
