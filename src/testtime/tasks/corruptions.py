"""Ways to break a solvable word problem, each a function of its text: what is asked stays, what it needs does not.

They work on sentences and numbers alone, so they fit any word problem in English. Which number is taken depends on the
problem's id alone. Not every change is certain to matter: a sentence or a number may have been idle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from testtime.answers import numbers
from testtime.core.records import Problem
from testtime.core.seeds import seed_of

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w,.]*\d)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\s])")
_ABBREVIATED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|No|vs|a\.m|p\.m|[A-Z])\.$")
_LETTERS = "knmpqt"


class Told(NamedTuple):
    """A problem's text in pieces."""

    sentences: list[str]
    asks: int
    """Which sentence asks."""
    query: str
    reference: str | None

    @property
    def facts(self) -> list[int]:
        """The sentences that give a number and do not ask."""
        return [at for at, said in enumerate(self.sentences) if at != self.asks and _NUMBER.search(said)]

    def pick(self, kind: str) -> tuple[int, re.Match[str]] | None:
        """A sentence that gives a number, and the number; that which asks where no other does."""
        places = self.facts or ([self.asks] if _NUMBER.search(self.sentences[self.asks]) else [])
        if not places:
            return None
        at = places[seed_of(0, kind, self.query) % len(places)]
        found = list(_NUMBER.finditer(self.sentences[at]))
        return at, found[seed_of(1, kind, self.query) % len(found)]

    def with_sentence(self, at: int, *said: str) -> str:
        """The text with other sentences in place of one."""
        return " ".join([*self.sentences[:at], *said, *self.sentences[at + 1 :]])


def told(problem: Problem) -> Told:
    """A problem in pieces; the last sentence that ends in a question mark asks, else the last."""
    sentences: list[str] = []
    for piece in _SENTENCE.split(problem.question.strip()):
        if sentences and _ABBREVIATED.search(sentences[-1]):
            sentences[-1] += f" {piece}"
        else:
            sentences.append(piece)
    asking = [at for at, said in enumerate(sentences) if said.endswith("?")]
    return Told(sentences, asking[-1] if asking else len(sentences) - 1, problem.query_id, problem.reference)


def constraint_removed(text: Told) -> str | None:
    """The first sentence that gives a number is left out: what comes later builds on it more often than not."""
    return text.with_sentence(text.facts[0]) if text.facts else None


def undefined_variable(text: Told) -> str | None:
    """One number becomes a letter that nothing defines."""
    if (found := text.pick("undefined_variable")) is None:
        return None
    at, number = found
    words = set(re.findall(r"\w+", " ".join(text.sentences)))
    letter = next((one for one in _LETTERS if one not in words), None)
    said = text.sentences[at]
    return letter and text.with_sentence(at, f"{said[: number.start()]}{letter}{said[number.end() :]}")


def formula_omitted(text: Told) -> str | None:
    """One number becomes the value of a function whose formula is not there."""
    if (found := text.pick("formula_omitted")) is None:
        return None
    at, number = found
    said = text.sentences[at]
    whole = f"{said[: number.start()]}f({number[0].replace(',', '')}){said[number.end() :]}"
    more = "Here f is given by the formula above."
    return text.with_sentence(at, *((more, whole) if at == text.asks else (whole, more)))


def contradictory(text: Told) -> str | None:
    """A number that is given is then said to be another one."""
    if (found := text.pick("contradictory")) is None:
        return None
    at, number = found
    other = _other(number[0], seed_of(2, "contradictory", text.query))
    more = f"The number given here as {number[0]} is both {other} and not {other}."
    return text.with_sentence(at, *((more, text.sentences[at]) if at == text.asks else (text.sentences[at], more)))


def overdetermined(text: Told) -> str | None:
    """A further condition fixes the result to a number that the others exclude."""
    value = numbers.parse(text.reference or "")
    if value is None or value.denominator != 1:
        return None
    other = value + 1 + seed_of(0, "overdetermined", text.query) % 9
    more = f"It is known besides that the result must be exactly {other}."
    return text.with_sentence(text.asks, more, text.sentences[text.asks])


def insufficient(text: Told) -> str | None:
    """Every number becomes "some"."""
    whole = " ".join(text.sentences)
    changed = _NUMBER.sub("some", whole)
    return None if changed == whole else changed


def _other(number: str, dice: int) -> str:
    """Another number of its kind."""
    value = float(number.replace(",", ""))
    return f"{value + 2 + dice % 7:g}"


CORRUPTIONS: Mapping[str, Callable[[Told], str | None]] = {
    "constraint_removed": constraint_removed,
    "undefined_variable": undefined_variable,
    "formula_omitted": formula_omitted,
    "contradictory": contradictory,
    "overdetermined": overdetermined,
    "insufficient": insufficient,
}
"""By name; each gives the broken text, or None where it does not fit the problem."""
