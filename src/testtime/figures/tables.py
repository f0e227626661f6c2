"""Tables for reading: a few columns, numbers with their intervals, `~` before what was modelled.

The same rows are printed in the terminal, as text, and in a notebook.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from testtime.figures.axes import MODELLED

UNKNOWN = "–"
_COSTS = {
    "candidates": "samples",
    "gen_tokens": "tokens",
    "total_tokens": "with prompt",
    "seconds": "seconds",
    "usd": "dollars",
    "joules": "joules",
}


@dataclass(frozen=True)
class Rows:
    """One readable table: a title, its heads, and its cells as text. The first column is text, the rest numbers."""

    title: str
    heads: Sequence[str]
    cells: Sequence[Sequence[str]]
    left: bool = False
    """All columns are text."""

    def rich(self) -> RichTable:
        """For the terminal."""
        table = RichTable(title=self.title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        table.show_header = any(self.heads)
        table.pad_edge = False
        for at, head in enumerate(self.heads):
            number = at > 0 and not self.left
            table.add_column(head, justify="right" if number else "left", overflow="fold", no_wrap=number)
        for row in self.cells:
            table.add_row(*row)
        return table

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


def text(tables: Sequence[Rows], width: int = 100) -> str:
    """Tables as plain text."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    with console.capture() as taken:
        for table in tables:
            console.print(table.rich())
    return "\n".join(line.rstrip() for line in taken.get().split("\n")).rstrip("\n")


def summary(table: pl.DataFrame) -> list[Rows]:
    """The table of replay and analyze: one readable table for each run, dataset and split."""
    return [_group(group) for group in _groups(table)]


def _groups(table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    keys = [
        name for name in ("run", "provider", "model", "dataset", "split", "decoding", "temperature") if name in table
    ]
    yield from table.partition_by(keys, maintain_order=True)


def _group(group: pl.DataFrame) -> Rows:
    first = group.row(0, named=True)
    counts = group["n_problems"].unique().to_list()
    title = _place(first) + (f", {counts[0]:,} problems" if len(counts) == 1 else "")
    costs = [name for name in _COSTS if group[name].null_count() < group.height]
    if "total_tokens" in costs and group["total_tokens"].equals(group["gen_tokens"]):
        costs.remove("total_tokens")
    cells = [
        [f"{row['policy']}:{row['setting']}", interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"])]
        + [cost(row[name], name, modelled=name in MODELLED and not row["measured"]) for name in costs]
        for row in group.iter_rows(named=True)
    ]
    return Rows(title, ["policy", "accuracy %", *(_COSTS[name] for name in costs)], cells)


def frontier(table: pl.DataFrame) -> list[Rows]:
    """FA and MVC: one readable table for each model, dataset and split. Needs both axes of analysis.frontier."""
    return [
        _curves(group) for group in table.partition_by("provider", "model", "dataset", "split", maintain_order=True)
    ]


def _curves(group: pl.DataFrame) -> Rows:
    first = group.row(0, named=True)
    unit = "1,000 tokens" if first["per"] == 1000 else {"usd": "dollar"}.get(first["x"], first["x"].rstrip("s"))
    keys = ("decoding", "temperature", "family")
    cells = []
    for lines in group.partition_by(keys, maintain_order=True):
        linear, log2 = (lines.row(by_predicate=pl.col("axis") == axis, named=True) for axis in ("linear", "log2"))
        cells.append([
            linear["family"], str(linear["points"]), _bounded(log2, "fa_common"), _bounded(linear, "mvc"),
            _bounded(log2, "mvc"), str(linear["negative"]) if linear["negative"] is not None else UNKNOWN,
        ])  # fmt: skip
    title = f"Area (FA) and marginal value of compute (MVC) over {first['x']}, {_place(first)}"
    return Rows(title, ["policies", "points", "FA %", f"MVC / {unit}", "MVC / doubling", "falls"], cells)


def against(table: pl.DataFrame, base: str) -> list[Rows]:
    """What each setting saves beside the base's curve: one readable table for each run, dataset and split."""
    keys = ("run", "provider", "model", "dataset", "split", "arm")
    shown = []
    for group in table.partition_by(keys, maintain_order=True):
        cells = []
        for row in group.iter_rows(named=True):
            gain = interval(row["difference"], row["low"], row["high"])
            saving = interval(row["saving"], row["saving_low"], row["saving_high"])
            out = {"above": "never as accurate", "below": "cheapest is better"}.get(row["equal_accuracy"] or "", saving)
            cells.append([f"{row['policy']}:{row['setting']}", gain, out])
        title = f"Against {base}, {_place(group.row(0, named=True))}"
        shown.append(Rows(title, ["policy", "accuracy at equal spend", f"{table['x'][0]} saved %"], cells))
    return shown


def _place(row: Mapping[str, Any]) -> str:
    """`model on dataset split`, as far as known."""
    dataset = " ".join(part for part in (row["dataset"], row["split"]) if part)
    model = row["model"] or row.get("run") or "all"
    return f"{model} on {dataset}" if dataset else str(model)


def _bounded(row: Mapping[str, Any], name: str) -> str:
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def interval(value: float | None, low: float | None, high: float | None, scale: float = 100, digits: int = 1) -> str:
    """A number with its interval, as percent unless told.

    >>> interval(0.942, 0.923, 0.958)
    '94.2 [92.3, 95.8]'
    """
    if value is None:
        return UNKNOWN
    middle = f"{value * scale:.{digits}f}"
    return middle if low is None or high is None else f"{middle} [{low * scale:.{digits}f}, {high * scale:.{digits}f}]"


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
