"""What every command prints with: tables that fit 80 columns, notes below them, and what to try next."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.text import Text

from testtime.figures.tables import Rows, condensed, printable

PIPED = 120
"""Columns where there is no terminal to ask."""


class _Console(Console):
    """A console that leaves a closed pipe to `main`: rich itself would end with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Called while BrokenPipeError is handled."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output: plain where it is no terminal."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return _Console(highlight=False, width=PIPED if piped else None, markup=False, soft_wrap=False)


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
    """Prints what a reader must be told, one a line."""
    out = console()
    for line in condensed(lines):
        out.print(f"note: {printable(line)}")


def json(value: object) -> None:
    """Prints a value as JSON and nothing else: what a program reads."""
    console().print(dumps(value, ensure_ascii=False, allow_nan=False, indent=1), soft_wrap=True)


def wrote(*paths: Path | None) -> None:
    """Says which files were written."""
    if known := [str(path) for path in paths if path]:
        console().print(f"wrote {', '.join(known)}", soft_wrap=True)


def next_step(command: str) -> None:
    """One command worth trying now, on one line so that it can be copied."""
    console().print(f"next: {command}", soft_wrap=True)
