"""What inference costs, and how costs add up when some of them are unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import isfinite


@dataclass(frozen=True, slots=True)
class Spend:
    """The cost of one call, or of one candidate by itself. `None` is unknown, never zero.

    Units: tokens, seconds of work, US dollars, joules.
    """

    prompt: int | None = None
    """Prompt tokens, cached ones included."""
    cached: int | None = None
    """Of the prompt: tokens the provider read from its cache."""
    completion: int | None = None
    """Completion tokens, reasoning included."""
    reasoning: int | None = None
    """Of the completion: hidden or visible thinking."""
    seconds: float | None = None
    usd: float | None = None
    joules: float | None = None
    written: int | None = None
    """Of the prompt: tokens the provider wrote to its cache, which cost more; None: not told, so taken for ordinary."""


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over parts of which some may be unknown: at least `known`, with `unknown` parts missing."""

    known: float = 0.0
    unknown: int = 0

    @property
    def value(self) -> float | None:
        """The sum, or None where a part is unknown."""
        return None if self.unknown else self.known

    def __str__(self) -> str:
        return f"≥ {self.known:g}, {self.unknown} unknown" if self.unknown else f"{self.known:g}"


def total(parts: Iterable[float | None]) -> Sum:
    """Adds what is known and counts what is not.

    >>> print(total([1, 2, None]))
    ≥ 3, 1 unknown
    """
    known, unknown = 0.0, 0
    for part in parts:
        if part is None:
            unknown += 1
        else:
            known += part
    return Sum(known, unknown)


def add(spends: Iterable[Spend]) -> Spend:
    """The spend of several calls together; a quantity that any call leaves unknown stays unknown."""
    listed = list(spends)
    if len(listed) == 1:
        return listed[0]
    sums = {f.name: total(getattr(s, f.name) for s in listed).value for f in fields(Spend)}
    whole = {name: int(v) for name, v in sums.items() if v is not None and name in _TOKENS}
    return Spend(**{**sums, **whole})  # type: ignore[arg-type]


def count(told: object) -> int | None:
    """A number of tokens as somebody told it; None, unknown, for what is none (negative, a fraction, text, absurd).

    >>> count(12), count(-1), count("many"), count(float("nan")), count(10**30)
    (12, None, None, None, None)
    """
    whole = isinstance(told, int) and not isinstance(told, bool)
    return told if whole and 0 <= told <= MOST else None  # type: ignore[operator,return-value]


def credible(told: Spend) -> Spend:
    """A spend as somebody told it, without what cannot be: tokens that are no counts, parts larger than their whole,
    amounts below 0 or not finite.

    >>> credible(Spend(prompt=5, cached=9, completion=-1, seconds=2.0))
    Spend(prompt=5, cached=None, completion=None, reasoning=None, seconds=2.0, usd=None, joules=None, written=None)
    """
    tokens: dict[str, int | None] = {name: count(getattr(told, name)) for name in _TOKENS}
    for whole, *parts in (("prompt", "cached", "written"), ("completion", "reasoning")):
        if tokens[whole] is not None and sum(tokens[part] or 0 for part in parts) > (tokens[whole] or 0):
            tokens |= dict.fromkeys(parts)
    return Spend(**tokens, seconds=_amount(told.seconds), usd=_amount(told.usd), joules=_amount(told.joules))


def _amount(told: object) -> float | None:
    return told if isinstance(told, (int, float)) and isfinite(told) and told >= 0 else None


MOST = 2**40
"""Tokens of one call, at most: far above what any takes, and the sum over millions of calls still has 64 bits."""
_TOKENS = ("prompt", "cached", "completion", "reasoning", "written")
