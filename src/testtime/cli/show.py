"""What every command prints with: tables that fit 80 columns, notes below them, and what to try next."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from json import dumps
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from testtime.figures.tables import Rows, condensed, printable

PIPED = 80
"""Columns where there is no terminal to ask."""


class _Console(Console):
    """A console that leaves a closed pipe to `main`: rich itself would end with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Called while BrokenPipeError is handled."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output: plain where it is no terminal."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return _Console(highlight=False, width=PIPED if piped else None, markup=False, emoji=False, soft_wrap=False)


def tables(several: Sequence[Rows]) -> None:
    """Prints tables with a blank line between them."""
    out = console()
    for rows in several:
        out.print(rows.rich())


def indented(said: Text, indent: int = 0, lead: str = "") -> None:
    """Prints a text wrapped to the width that is left beside the indent; `lead` stands before its first line."""
    out = console()
    for at, line in enumerate(said.wrap(out, max(out.width - indent, 20))):
        line.rstrip()
        out.print(Text((lead if at == 0 else "").ljust(indent)) + line if indent else line, soft_wrap=True)


def notes(lines: Sequence[str]) -> None:
    """Prints what a reader must be told, one a line; no path is broken."""
    out = console()
    for line in condensed(lines):
        out.print(f"note: {printable(line)}", overflow="ignore", crop=False)


def json(value: object) -> None:
    """Prints a value as JSON and nothing else: what a program reads."""
    sys.stdout.write(dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def plain(value: Any) -> Any:
    """As JSON can hold it: tables as lists of rows, records as mappings, what is unknown or not finite as null."""
    if hasattr(value, "to_dicts"):
        return [plain(row) for row in value.to_dicts()]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def wrote(*paths: Path | None) -> None:
    """Says which files were written."""
    if known := [str(path) for path in paths if path]:
        console().print(f"wrote {', '.join(known)}", soft_wrap=True)


def next_step(command: str) -> None:
    """One command worth trying now, on one line so that it can be copied."""
    console().print(f"next: {command}", soft_wrap=True)
