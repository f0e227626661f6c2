"""What the logs of evaluation harnesses share: an answer that is given, or the last number of the text; its key."""

from __future__ import annotations

from typing import Any

from testtime.answers import extract, numbers

VOTE = "the harness's own answer, without it the answer or last number of the text; a number by its value"


def answer_of(given: Any, said: str | None) -> tuple[str | None, str | None]:
    """(As printed, key) of one completion. An empty or absent answer abstains.

    >>> answer_of("18.0", "so it is 18")
    ('18.0', '18')
    >>> answer_of(None, "so it is 18.")
    ('18', '18')
    """
    if given is not None:
        printed = str(given).strip()
        return (printed, numbers.canonical(printed) or printed) if printed else (None, None)
    return extract.number(said)


def count_of(value: Any) -> int | None:
    """A count of tokens, or None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
