"""A name as its words: getStockPrices and stock.prices_get are get, stock, price."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
LONGEST = 400
"""Characters of a name or description that are read."""


def split(text: str) -> list[str]:
    """Words of a name or sentence, in small letters.

    >>> split("getHTTPStatus_v2"), split("arrival-date")
    (['get', 'http', 'status', 'v', '2'], ['arrival', 'date'])
    """
    return [word.lower() for word in _WORD.findall(text[:LONGEST])]


def single(word: str) -> str:
    """A noun without its plural.

    >>> single("prices"), single("bus"), single("cities")
    ('price', 'bus', 'city')
    """
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def stems(text: str) -> list[str]:
    """The words of a text, each without its plural."""
    return [single(word) for word in split(text)]
