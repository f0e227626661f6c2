"""What must never be written down: values that were read as secrets, and texts without them.

Every error of this project, every line of a journal and every traceback of the command line goes through here.
Who reads a secret calls `keep` at once, so nothing is written in between.
"""

from __future__ import annotations

import json
import os
from urllib.parse import quote

SHORTEST = 8
"""Shorter values ("EMPTY" for a local server) are no secrets, and would be found inside ordinary words."""
HIDDEN = "[secret]"
_KEPT: set[str] = set()
_LENT: dict[str, str] = {}


def keep(value: str) -> str:
    """The value itself, from now on struck out as it is written, as JSON spells it, and as addresses do."""
    if len(value) >= SHORTEST:
        _KEPT.update((value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, "")))
    return value


def lend(variable: str, value: str | None) -> None:
    """Lets rooms that read no keys have this one, by its variable; None: there is none."""
    _LENT.pop(variable, None)
    if value is not None:
        _LENT[variable] = keep(value)


def lent(variable: str) -> str | None:
    """A key that was lent, or the environment's."""
    found = _LENT.get(variable) or os.environ.get(variable) or None
    return None if found is None else keep(found)


def struck(text: str) -> str:
    """The text with every kept value struck out, longest first: one may be part of another.

    >>> _ = keep("sk-0123456789")
    >>> struck("401 from Bearer sk-0123456789")
    '401 from Bearer [secret]'
    """
    for value in sorted(_KEPT, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def struck_line(line: bytes) -> bytes:
    """The same for a line of a file."""
    for value in sorted(_KEPT, key=len, reverse=True):
        line = line.replace(value.encode("utf-8", "surrogatepass"), HIDDEN.encode())
    return line
