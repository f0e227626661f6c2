"""What a section is made of, and its HTML: sentences, tables, charts. All text is escaped; scripts draw the charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from testtime.figures.tables import Rows

_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""What shows nothing, or turns the letters around it: written out as its code."""


@dataclass(frozen=True)
class Says:
    """A sentence or a paragraph. `kind`: plain, lead, note, warn or command (shown to be copied)."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Shows:
    """A table for reading, or one behind its title."""

    rows: Rows
    folded: bool = False
    strong: frozenset[int] = frozenset()
    """Rows to look at first."""
    words: frozenset[int] = frozenset()
    """Columns that hold text among numbers."""
    note: str = ""


@dataclass(frozen=True)
class Card:
    """A number to be read first: what it is, the number, what stands around it."""

    label: str
    value: str
    around: str


@dataclass(frozen=True)
class Cards:
    """Cards beside each other."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Chart:
    """A chart; `data` is what page.js draws (see `charts.py`), `caption` says n, the kind of interval and the units."""

    name: str
    title: str
    data: Mapping[str, Any]
    caption: str
    command: str = ""
    """Makes the same figure for print."""


@dataclass(frozen=True)
class Fold:
    """Blocks behind a title."""

    title: str
    blocks: Sequence[Says | Shows]


Block = Says | Shows | Cards | Chart | Fold


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    """Its anchor."""
    title: str
    short: str
    """The title in the list of sections."""
    blocks: Sequence[Block]


def safe(text: object) -> str:
    """Text for HTML: escaped, with signs that show nothing or turn the text around written out.

    >>> safe("a<b" + chr(0x202E))
    'a&lt;b[U+202E]'
    """
    return escape(_CONTROL.sub(lambda sign: f"[U+{ord(sign[0]):04X}]", _whole(str(text))))


def breaking(text: object) -> str:
    """The same, with a place to break the line behind each comma and colon between words, and none within an interval.

    >>> breaking("bayes:max_n=16,agreement=0.9")
    'bayes:<wbr>max_n=16,<wbr>agreement=0.9'
    """
    held = re.sub(r"\[([^][\s]+), ([^][\s]+)\]", "[\\1,\u00a0\\2]", safe(text))
    return re.sub(r"([,:])(?=[^\s&\d])", r"\1<wbr>", held)


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def html(section: Section) -> str:
    """A section as HTML."""
    body = "\n".join(_html(block) for block in section.blocks)
    head = f'<h2 id="{section.name}-title">{safe(section.title)}</h2>'
    return f'<section id="{section.name}" aria-labelledby="{section.name}-title">{head}\n{body}\n</section>'


def _html(block: Block) -> str:
    if isinstance(block, Says):
        return _said(block)
    if isinstance(block, Cards):
        return f'<div class="cards">{"".join(map(_card, block.cards))}</div>'
    if isinstance(block, Chart):
        return _figure(block)
    if isinstance(block, Fold):
        return f"<details><summary>{breaking(block.title)}</summary>{''.join(map(_html, block.blocks))}</details>"
    return _shown(block)


def _said(block: Says) -> str:
    if block.kind == "command":
        return f'<pre class="command" tabindex="0"><code>{safe(block.text)}</code></pre>'
    role = ' role="note"' if block.kind in ("note", "warn") else ""
    kind = "" if block.kind == "plain" else f' class="{block.kind}"'
    text = breaking(block.text)
    if block.kind == "lead":  # names of models are not broken at their hyphens
        text = re.sub(r"[^\s<>]+-[^\s<>]+", r'<span class="whole">\g<0></span>', text)
    return f"<p{kind}{role}>{text}</p>"


def _card(card: Card) -> str:
    return (
        f'<div class="card"><p class="label">{safe(card.label)}</p><p class="value">{safe(card.value)}</p>'
        f'<p class="around">{safe(card.around)}</p></div>'
    )


def _figure(chart: Chart) -> str:
    command = f'<code class="print">{safe(chart.command)}</code>' if chart.command else ""
    return (
        f'<figure class="chart" data-chart="{chart.name}"><h3>{safe(chart.title)}</h3>'
        f'<div class="controls"></div><div class="plot"><noscript>This figure needs JavaScript; the tables do not.'
        f"</noscript></div><figcaption>{safe(chart.caption)}{' For print: ' if command else ''}{command}</figcaption>"
        "</figure>"
    )


def _shown(block: Shows) -> str:
    rows = block.rows
    text = {0, *block.words, *(range(len(rows.heads)) if rows.left else ())}
    kinds = ["" if at in text else ' class="number"' for at in range(len(rows.heads))]
    heads = "".join(f'<th scope="col"{kind}>{safe(head)}</th>' for kind, head in zip(kinds, rows.heads, strict=True))
    body = "".join(_row(row, kinds, at in block.strong) for at, row in enumerate(rows.cells))
    head = f"<thead><tr>{heads}</tr></thead>" if any(rows.heads) else ""
    label = safe(rows.title or "table")
    kind = ' class="pairs"' if rows.left and len(rows.heads) == 2 else ' class="wide"' if len(rows.heads) > 12 else ""
    table = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"<table{kind}>{head}<tbody>{body}</tbody></table></div>"
    )
    note = f'<p class="note">{safe(block.note)}</p>' if block.note else ""
    if block.folded:
        return f"<details><summary>{safe(rows.title)}</summary>{table}{note}</details>"
    title = f"<h3>{safe(rows.title)}</h3>" if rows.title else ""
    return f"{title}{table}{note}"


def _row(row: Sequence[str], kinds: Sequence[str], strong: bool) -> str:
    """A row; one whose first cell alone says something is a heading over the rows below it."""
    if len(row) > 1 and row[0] and not any(row[1:]):
        return f'<tr class="over"><th scope="rowgroup" colspan="{len(row)}">{breaking(row[0])}</th></tr>'
    cells = "".join(f"<td{kind}>{breaking(cell)}</td>" for kind, cell in zip(kinds[1:], row[1:], strict=True))
    mark = ' class="strong"' if strong else ""
    return f'<tr{mark}><th scope="row">{breaking(row[0])}</th>{cells}</tr>'
