"""Tables for reading: a few columns, numbers with their intervals, `~` before what was modelled.

The same rows are printed in the terminal, as text, and in a notebook.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import category

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from testtime.core.strings import unusual
from testtime.figures.axes import MODELLED

UNKNOWN = "–"
WIDTH, LEAST, MOST = 80, 14, 40
"""Columns that a table of settings fits; letters of a setting on one line where the numbers leave less, and of the
longest word by which a first column is kept from being broken."""
_COSTS = {
    "candidates": "samples",
    "gen_tokens": "tokens",
    "total_tokens": "with prompt",
    "seconds": "seconds",
    "usd": "dollars",
    "joules": "joules",
}


_PROMISE_NOTHING = frozenset({"sc_fixed", "adaptive_margin", "best_of_n", "weighted"})
"""Beside other policies the table says how often the answer is that of all draws."""


@dataclass(frozen=True)
class Rows:
    """One readable table: a title, its heads, and its cells as text. The first column is text, the rest numbers."""

    title: str
    heads: Sequence[str]
    cells: Sequence[Sequence[str]]
    left: bool = False
    """All columns are text."""

    def rich(self) -> Group:
        """For the terminal."""
        return Group(*([Text(printable(self.title), style="bold")] if self.title else []), _Fitting(self))

    def only(self, columns: Sequence[int]) -> RichTable:
        """A table of some of the columns."""
        table = RichTable(box=SIMPLE_HEAD)
        table.show_header = any(self.heads)
        table.padding, table.pad_edge = (0, 1, 0, 0), False
        for at in columns:
            number = at > 0 and not self.left
            table.add_column(self.heads[at], justify="right" if number else "left", overflow="fold", no_wrap=number)
        for row in self.cells:
            table.add_row(*(Text("\n".join(map(printable, row[at].split("\n")))) for at in columns))
        return table

    def parts(self, width: int) -> list[list[int]]:
        """Columns that fit so many letters beside the first, which stands in each part; one part where all fit."""
        columns = [[line for text in column for line in text.split("\n")] for column in self._columns()]
        if self.left or len(columns) < 2:
            return [list(range(len(columns)))]
        first = min(max(max(map(len, line.split()), default=0) + (line[:1] == " ") for line in columns[0]), MOST)
        parts, used = [[0]], first + 2
        for at, column in enumerate(columns[1:], start=1):
            wide = max(map(len, column)) + 2
            if used + wide > width and len(parts[-1]) > 1:
                parts.append([0])
                used = first + 2
            parts[-1].append(at)
            used += wide
        return parts

    def _columns(self) -> list[list[str]]:
        return [[head, *(row[at] for row in self.cells)] for at, head in enumerate(self.heads)]

    def html(self) -> str:
        """For a notebook."""
        style = "" if self.left else ' style="text-align:right"'
        heads = "".join(f"<th{style if at else ''}>{escape(head)}</th>" for at, head in enumerate(self.heads))
        body = "".join(
            "<tr>" + "".join(f"<td{style if at else ''}>{escape(cell)}</td>" for at, cell in enumerate(row)) + "</tr>"
            for row in self.cells
        )
        title = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        return f"<table>{title}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class _Fitting:
    """A table as wide as where it is printed: columns that do not fit stand in a further one below; none is lost."""

    rows: Rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich."""
        yield from map(self.rows.only, self.rows.parts(options.max_width))


def printable(line: str) -> str:
    """A line without what a terminal would obey: names come from files, and files from anywhere.

    >>> printable("a" + chr(27) + "[31mb")
    'a�[31mb'
    """
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)


def visible(said: str) -> str:
    """A text of many lines in which what a terminal would obey, or not show, is spelled out: nothing of it is lost.

    >>> print(visible("red" + chr(27) + "[31m" + chr(0x202E) + chr(10) + "next" + chr(9) + "tab"))
    red␛[31m<U+202E>
    next	tab
    """
    return "".join(sign if sign in "\n\t" or sign.isprintable() or _is_space(sign) else _spelled(sign) for sign in said)


def _is_space(sign: str) -> bool:
    """A space of some width: it hides nothing."""
    return category(sign) == "Zs"


def _spelled(sign: str) -> str:
    """Controls by their pictures, everything else that cannot be seen by its number."""
    code = ord(sign)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"<U+{code:04X}>"


def text(tables: Sequence[Rows], width: int = 100) -> str:
    """Tables as plain text."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, emoji=False)
    with console.capture() as taken:
        for table in tables:
            console.print(table.rich())
    return "\n".join(line.rstrip() for line in taken.get().split("\n")).rstrip("\n")


def summary(table: pl.DataFrame) -> list[Rows]:
    """The table of replay and analyze: one readable table for each run, dataset and split."""
    return [_group(*named) for named in _named(table, (*_PLACE, "decoding", "temperature"))]


_PLACE = ("run", "provider", "model", "dataset", "split")


def _named(table: pl.DataFrame, keys: Sequence[str]) -> list[tuple[str, pl.DataFrame]]:
    """(What its rows are of, rows) of each group by the keys that the table has; the run's name tells equals apart."""
    groups = table.partition_by([name for name in keys if name in table.columns], maintain_order=True)
    firsts = [group.row(0, named=True) for group in groups]
    places = [_place(first) for first in firsts]
    return [
        (f"{first['run']}: {place}" if places.count(place) > 1 and first.get("run") else place, group)
        for first, place, group in zip(firsts, places, groups, strict=True)
    ]


def _group(place: str, group: pl.DataFrame) -> Rows:
    counts = group["n_problems"].unique().to_list()
    title = place + (f", {counts[0]:,} problems" if len(counts) == 1 else "")
    costs = [name for name in _COSTS if group[name].null_count() < group.height]
    if "total_tokens" in costs and group["total_tokens"].equals(group["gen_tokens"]):
        costs.remove("total_tokens")
    promised = "agreement" in group and not set(group["policy"]) <= _PROMISE_NOTHING
    same = ["same %"] if promised else []
    heads = ["accuracy %", *same, *(_COSTS[name] for name in costs)]
    cells = _sections(
        group,
        heads,
        lambda row: [
            interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"]),
            *([interval(row["agreement"], None, None, digits=2)] if promised else []),
            *(cost(row[name], name, modelled=name in MODELLED and not row["measured"]) for name in costs),
        ],
    )
    return Rows(title, ["setting", *heads], cells)


def _sections(
    group: pl.DataFrame, heads: Sequence[str], numbers: Callable[[Mapping[str, Any]], list[str]]
) -> list[list[str]]:
    """A line for each policy's name, and below it its settings with their numbers, under heads."""
    rows = [(row, numbers(row)) for row in group.iter_rows(named=True)]
    widths = [max(map(len, column)) for column in zip(heads, *(shown for _, shown in rows), strict=True)]
    part = max(len(part) for row, _ in rows for part in (row["policy"], *row["setting"].split(",")))
    room = max(WIDTH - sum(widths) - 2 * len(widths) - 2, LEAST, min(part + 2, MOST))
    cells: list[list[str]] = []
    policy = None
    for row, shown in rows:
        if row["policy"] != policy:
            policy = row["policy"]
            cells.append([policy, *[""] * len(shown)])
        cells.append([_broken(row["setting"], room), *shown])
    return cells


def _broken(setting: str, room: int) -> str:
    """A setting that is longer than the room over several lines, broken at its commas only, which stay in their lines.

    >>> print(_broken("stop_rule=sprt,p1=0.7,error=0.05,max_n=8", 18))
     stop_rule=sprt,
     p1=0.7,
     error=0.05,
     max_n=8
    """
    lines, parts = [""], setting.split(",")
    for at, part in enumerate(parts, start=1):
        grown = f"{lines[-1]},{part}" if lines[-1] else part
        if len(grown) + 1 + (at < len(parts)) > room and lines[-1]:  # a blank leads each line, a comma ends all but one
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = grown
    return "\n".join(f" {line}" if len(line) < room else line for line in lines)


def frontier(table: pl.DataFrame) -> list[Rows]:
    """FA and MVC: one readable table for each run, dataset and split.

    FA is raw, then over the common range, without and with the envelope (env.); falls are segments that lose accuracy.
    """
    return [_curves(*named) for named in _named(table, _PLACE)]


def _curves(place: str, group: pl.DataFrame) -> Rows:
    """A line a policy family and axis."""
    first = group.row(0, named=True)
    unit = "1k tokens" if first["per"] == 1000 else {"usd": "dollar"}.get(first["x"], first["x"].rstrip("s"))
    cells = []
    for curve in group.partition_by("decoding", "temperature", "family", maintain_order=True):
        names = [*family_words(curve["family"][0]).split(" "), ""]
        for name, row in zip(names, curve.iter_rows(named=True), strict=False):
            cells.append([
                name, row["axis"], cost(row["fa"], "area"), _bounded(row, "fa_common"),
                interval(row["fa_common_envelope"], None, None), _bounded(row, "mvc"),
                str(row["negative"]) if row["negative"] is not None else UNKNOWN,
            ])  # fmt: skip
    over = f"Frontier over {_COSTS.get(first['x'], first['x'])}: {place}".rstrip(": ")
    title = f"{over}; MVC for each {unit}, on log2 each doubling"
    return Rows(title, ["policy", "axis", "FA", "FA %", "env. %", "MVC", "falls"], cells)


def against(table: pl.DataFrame, base: str) -> list[Rows]:
    """What each setting saves beside the base's curve: one readable table for each run, dataset and split."""
    shown = []
    for place, group in _named(table, (*_PLACE, "arm")):
        title = f"Against {base}: {place}"
        heads = ["setting", "accuracy gained", f"{_COSTS.get(group['x'][0], group['x'][0])} saved %"]
        shown.append(Rows(title, heads, _sections(group, heads[1:], _saving)))
    return shown


def _saving(row: Mapping[str, Any]) -> list[str]:
    beyond = {"above": "beyond its best", "below": "below its least"}
    saving = interval(row["saving"], row["saving_low"], row["saving_high"])
    return [interval(row["difference"], row["low"], row["high"]), beyond.get(row["equal_accuracy"] or "", saving)]


def family_words(family: str) -> str:
    """A policy family as a legend says it: `adaptive_margin:stop_rule=beta` is `adaptive_margin beta`."""
    return family.replace(":stop_rule=", " ")


def letters_of(names: Sequence[str]) -> dict[str, str]:
    """Long names → the letters that stand for them in a table: A, B, … Z, AA, …; equal names are numbered apart.

    >>> letters_of(["runs/one", "runs/two"])
    {'runs/one': 'A', 'runs/two': 'B'}
    """
    letters: dict[str, str] = {}
    for at, name in enumerate(names):
        letter, rest = chr(ord("A") + at % 26), at // 26
        unique = name if name not in letters else f"{name} ({at + 1})"
        letters[unique] = (chr(ord("A") + rest - 1) if rest else "") + letter
    return letters


def condensed(notes: Sequence[str]) -> list[str]:
    """Notes of which several say the same of different settings, told once with their number."""
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(re.sub(r"[0-9][0-9.,e%-]*", "#", note.partition(": ")[2]) or note, []).append(note)
    return [
        f"{several[0]} (and {len(several) - 1} more alike)" if several[1:] else several[0] for several in alike.values()
    ]


def _place(row: Mapping[str, Any]) -> str:
    """`model on dataset split`, as far as known."""
    dataset = " ".join(part for part in (row["dataset"], row["split"]) if part)
    model = row["model"] or row.get("run") or ""
    title = f"{model} on {dataset}" if dataset else str(model)
    title += f", {how}" if (how := made(row)) else ""
    return title + (f", T = {row['temperature']:g}" if row.get("temperature") is not None else "")


def made(row: Mapping[str, Any]) -> str:
    """How a row's candidates were made, where not plainly, without what is as usual: as its arm's label says it.

    >>> made({"decoding": "tools:max_iterations=20,tools=['add']"})
    'tools:tools=(add)'
    """
    decoding, label = str(row.get("decoding") or "plain"), str(row.get("arm") or "")
    if decoding == "plain":
        return ""
    return label if label.partition(":")[0] == decoding.partition(":")[0] else unusual("decoding", decoding)


def _bounded(row: Mapping[str, Any], name: str) -> str:
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def interval(value: float | None, low: float | None, high: float | None, scale: float = 100, digits: int = 1) -> str:
    """A number with its interval, as percent unless told.

    >>> interval(0.942, 0.923, 0.958)
    '94.2 [92.3, 95.8]'
    """
    if value is None:
        return UNKNOWN
    middle, *ends = ("?" if one is None else _unsigned(f"{one * scale:.{digits}f}") for one in (value, low, high))
    return middle if low is None and high is None else f"{middle} [{', '.join(ends)}]"


def _unsigned(text: str) -> str:
    """Without the minus that rounding leaves before nothing."""
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def signed(share: float) -> str:
    """A difference in points, with a sign unless it is none.

    >>> signed(-0.0001), signed(0.012)
    ('0.0', '+1.2')
    """
    text = f"{100 * share:+.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text


def cost(value: float | None, name: str, *, modelled: bool = False) -> str:
    """A spend in as many digits as it deserves; `~` marks a modelled one."""
    if value is None:
        return UNKNOWN
    if name == "usd":
        written = f"{value:.2g}" if value < 0.01 else f"{value:,.4f}"
    elif name == "candidates":
        written = f"{value:,.2f}".removesuffix(".00")
    else:
        written = f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
    return f"~{written}" if modelled else written


def boundary(table: pl.DataFrame) -> Rows:
    """Where a stopping rule stops."""
    cells = [[UNKNOWN if value is None else str(value) for value in row] for row in table.iter_rows()]
    heads = ["v2", "rule stops at v1", "with min_samples, curtailment, max_n"]
    return Rows("Smallest v1 that stops, when only two answers have votes", heads, cells)
