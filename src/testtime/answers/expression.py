r"""Mathematical answers to one key: LaTeX or plain text read by a small parser, never evaluated as a program.

`\frac12`, `1/2`, `0.5` and `x = \dfrac{1}{2}` have one key, as have `(x+1)^2` and `x^2+2x+1`, `\{2, 1\}` and
`1, 2`, `5 < x` and `x > 5`, `1 \pm \sqrt{2}` and its two values. Rules, beside those of `algebra`:

- a tuple keeps its order, `{…}`, a bare list and a union do not; an interval keeps its brackets;
- units, degrees, currency and `%` after a value are dropped (85% is 85, as printed); `x =` before it too;
- words are compared without case and marks, single letters with case;
- what cannot be read keeps its own text, without spaces: it then equals only itself.

Equal keys are equal answers; equal answers can still have two keys (`\cos^2 x` and `1-\sin^2 x`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from testtime.answers import numbers
from testtime.answers.algebra import Unreadable, constant
from testtime.answers.latex import spelling
from testtime.answers.terms import Parser

LONGEST = 600
"""Characters of an answer that are read as mathematics."""

_WORDS = re.compile(r"(?=.{0,99}[A-Za-z]{2})[A-Za-z][A-Za-z'\- ]*[A-Za-z]")
_UNION = re.compile(r"\\cup|∪|\bU\b")
_EDGES = {"(": ")", "[": "]", "{": "}"}
_BELONGS = re.compile(r"\\in(?![A-Za-z])")
_RELATION = re.compile(r"(<=|>=|!=|<|>)")
_TURNED = {">": "<", ">=": "<="}
_LOOSE = re.compile(r"(?<![0-9])[\s$]+|[\s$]+(?![0-9\s$])")
_SPACES = re.compile(r"[\s$]+")
_NAMED = re.compile(r"(?:[A-Za-z](?:_\{?\w{1,3}\}?)?|[A-Za-z]\([A-Za-z, ]{1,9}\)|\([A-Za-z](?:,[A-Za-z]){1,5}\))")


def key(text: str) -> str | None:
    r"""The key of an answer; None where the text holds nothing.

    >>> key(r"x = \dfrac{1}{2}"), key(r"\frac{\sqrt8}{4}") == key(r"1/\sqrt{2}"), key(r"\text{Monday.}")
    ('0.5', True, 'monday')
    >>> key(r"[0, \tfrac12) \cup \{3\}"), key(r"(2, 1)"), key(r"2, 1"), key(r"15\mbox{ cm}^2")
    ('[0,0.5)∪{3}', '(2,1)', '{1,2}', '15')
    """
    if len(text) > LONGEST:  # and not kept: gigantic texts would pile up
        plain = numbers.canonical(text)
        return _bare(text) if plain is None else plain
    return _key(text)


@lru_cache(maxsize=8192)  # a pool says the same few answers over and over
def _key(text: str) -> str | None:
    plain = numbers.canonical(text)
    if plain is not None:
        return plain
    spelt = spelling(text)
    try:
        return _answer(spelt) if spelt else None
    except (Unreadable, RecursionError):
        return _bare(spelt)


def _bare(text: str) -> str | None:
    """The text itself, without spaces but between numerals, marks at its edges, or the case of words."""
    bare = _SPACES.sub(" ", _LOOSE.sub("", text)).strip(" .,;:!")
    return bare or None


def _answer(text: str) -> str | None:
    text = _right_side(text)
    if not text:
        return None
    if _WORDS.fullmatch(text) and (len(text) > 2 or text.casefold() == "no"):
        return " ".join(text.casefold().split())
    parts = _UNION.split(text)
    if len(parts) > 1:
        return "∪".join(sorted({_one(part) for part in parts}))
    items = _split(text)
    if len(items) > 1:
        return _set(items)
    relation = _RELATION.split(text)
    if len(relation) > 1:
        return _relation(relation)
    return _equation(text) if "=" in text else _one(text)


def _right_side(text: str) -> str:
    """What an answer says of a name: `x = 5` is 5, `f(x) = 2x` is 2x, `x ∈ [0, 1)` is the interval."""
    name, sign, value = text.partition("=")
    if not sign and (belongs := _BELONGS.search(text)):
        name, sign, value = text[: belongs.start()], "∈", text[belongs.end() :]
    named = sign and "=" not in value and _NAMED.fullmatch(name.replace(" ", ""))
    return value.strip() if named else text


def _one(text: str) -> str:
    """One thing: a tuple, an interval, a set, a matrix, or an expression."""
    text = text.strip()
    if text.startswith("\\begin"):
        return _matrix(text)
    first, last = text[:1], text[-1:]
    if first in _EDGES and last in ")]}" and _closes(text):
        items = _split(text[1:-1])
        if first == "{":
            return _set(items)
        if len(items) > 1:
            return f"{first}{','.join(map(_one, items))}{last}"
    return _expression(text)


def _set(items: list[str]) -> str:
    """Its elements once each, sorted; those of `a ± b` are two."""
    found: set[str] = set()
    names = {item.partition("=")[0].strip().partition("_")[0] for item in items if "=" in item}
    for item in items:
        name, value = item.partition("=")[0].strip(), _right_side(item.strip())
        said = _both(value) if "±" in value else {_one(value)}
        found |= {f"{name}={one}" for one in said} if len(names) > 1 else said
    return f"{{{','.join(sorted(found))}}}"


def _both(text: str) -> set[str]:
    """The two values of an expression with ±."""
    return {_expression(text.replace("±", sign)) for sign in "+-"}


def _expression(text: str) -> str:
    if "±" in text:
        return f"{{{','.join(sorted(_both(text)))}}}"
    return Parser(text).value().text


def _relation(parts: list[str]) -> str:
    """A chain of comparisons, turned to ascend where it descends."""
    signs = parts[1::2]
    values = [_one(part) for part in parts[::2]]
    if all(sign in _TURNED for sign in signs):
        values, signs = values[::-1], [_TURNED[sign] for sign in signs[::-1]]
    if signs == ["!="]:
        values.sort()
    return values[0] + "".join(sign + value for sign, value in zip(signs, values[1:], strict=True))


def _equation(text: str) -> str:
    """An equation with everything on one side, so that its terms may stand on either, times any number."""
    left, _, right = text.partition("=")
    if "=" in right:
        raise Unreadable
    sides = Parser(left).value() - Parser(right).value()
    if not sides.terms:
        raise Unreadable
    return f"0={(sides / constant(sides.terms[min(sides.terms)])).text}"


def _matrix(text: str) -> str:
    body = re.fullmatch(r"\\begin\{([a-z]?matrix)\}(.*)\\end\{\1\}", text, re.DOTALL)
    if body is None:
        raise Unreadable
    rows = [row for row in body[2].split("\\\\") if row.strip()]
    mark = "det" if body[1] == "vmatrix" else ""
    return mark + f"[{';'.join(','.join(_expression(cell) for cell in row.split('&')) for row in rows)}]"


def _closes(text: str) -> bool:
    """Whether the bracket at the start is closed by the one at the end."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return at == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    """The items of a list, split at commas and semicolons outside brackets."""
    items, start, depth = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and sign in ",;":
            items.append(text[start:at])
            start = at + 1
    items.append(text[start:])
    return [item for item in items if item.strip()]
