"""Whether a text declines to answer, how sure that is, and of which type: by signs (`refusal_signs`), no model asked.

What the text only shows is left out first: thinking, code, quotations, letters and dialogues that it was asked to
write, and phrases that a persona is known for. A refusal stands where a text begins or ends, so only that is read. An
answer beside it (a box, "the answer is 4", "but here are the steps") speaks against it: a text that helps and declines
a part is no refusal.

Type: `safety` (will not), `capability` (cannot: no tool, no access, no knowledge), `unclear` (the question cannot be
answered as it stands, or is asked back).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from testtime.answers.extract import unthink
from testtime.answers.refusal_signs import ANSWERS, AROUND, SIGNS, UNREAD, Sign

BEGINNING, END = 350, 250
"""Characters of a text that are read."""
LONGEST = 20_000
"""Characters in which code, quotations and letters are looked for."""
SAYS = 0.5
"""The score from which a text is a refusal."""
UNSURE = 0.7
"""Confidence below which the signs do not settle it, and a model may be asked."""
ANSWERED = 0.55
"""What an answer beside the sign takes from its score."""


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern for lower-case texts: its letters made small but for those of escapes."""
    return re.compile(re.sub(r"\\.|[A-Z]", lambda one: one[0] if one[0][0] == "\\" else one[0].lower(), text), re.M)


_SIGNS = [(sign, _pattern(sign.pattern)) for sign in SIGNS]
_ANSWERS = [_pattern(pattern) for pattern in ANSWERS]
_AROUND = {kind: _pattern(pattern) for kind, pattern in AROUND.items()}
_CODE = re.compile(r"(?s:```.*?(?:```|\Z))|^(?:def |class |import |    ).*$", re.MULTILINE)
_QUOTED = re.compile(r"\"[^\"\n]{1,400}\"|“[^”\n]{1,400}”|„[^“”\n]{1,400}[“”]|«[^»\n]{1,400}»|「[^」\n]{1,400}」")
_LINES = re.compile(r"^[A-Z][\w ]{0,20}: .*$", re.MULTILINE)
_LETTER = re.compile(r"^(?:Subject:|Dear |To: )", re.MULTILINE)
_UNREAD = re.compile(UNREAD)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the signs say of a text."""

    refuses: bool
    confidence: float
    """That `refuses` is so, 0.5 to 1."""
    type: str | None
    """safety, capability or unclear; None for no refusal."""
    matched: tuple[str, ...]
    """Names of the signs that matched, also where the text is no refusal after all."""


def read(text: str, allowed: Sequence[str] = ()) -> Reading:
    """The reading of a text; `allowed` are phrases that say nothing here, as a persona's.

    >>> read("I’m sorry, but I can’t help with that.").refuses, read("You can't help but smile: hone the edge.").refuses
    (True, False)
    >>> read("The side lengths are not given, so it cannot be solved. Could you provide them?").type
    'unclear'
    """
    said = _own(text, allowed)
    found = [sign for sign, pattern in _SIGNS if pattern.search(said)]
    if not found:
        unread = len(_UNREAD.findall(said)) > 0.3 * max(1, len(said))
        return Reading(False, 0.5 if unread else 0.95, None, ())
    score = max(sign.weight for sign in found) + 0.15 * min(2, len(found) - 1)
    if any(pattern.search(said) for pattern in _ANSWERS):
        score -= ANSWERED
    score = min(0.99, max(0.01, score))
    matched = tuple(sign.name for sign in found)
    if score < SAYS:
        return Reading(False, 1 - score, None, matched)
    return Reading(True, score, _type(found, said), matched)


def _own(text: str, allowed: Sequence[str]) -> str:
    """What the text says in its own voice."""
    said = unthink(text)
    if len(said) > LONGEST:
        said = f"{said[: LONGEST // 2]}\n\n{said[-LONGEST // 2 :]}"
    said = said.replace("’", "'").replace("‘", "'")
    for phrase in allowed:
        said = re.sub(re.escape(phrase), " ", said, flags=re.IGNORECASE)
    said = _QUOTED.sub(" ", _CODE.sub(" ", said))
    if len(_LINES.findall(said)) > 1:
        said = _LINES.sub(" ", said)
    if (letter := _LETTER.search(said)) is not None:
        said = said[: letter.start()]
    said = said.strip().lower()
    return said if len(said) <= BEGINNING + END else f"{said[:BEGINNING]}\n\n{said[-END:]}"


def _type(signs: Sequence[Sign], said: str) -> str:
    """The type that the strongest sign of a kind speaks for; of signs of any kind, the words around decide."""
    kinds = {sign.kind: sign.weight for sign in sorted(signs, key=lambda sign: sign.weight)}
    kinds.pop("any", None)
    if kinds:
        return max(kinds, key=lambda kind: kinds[kind])
    for kind in ("capability", "unclear"):
        if _AROUND[kind].search(said):
            return kind
    return "safety"
