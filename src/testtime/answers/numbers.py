r"""Exact numbers in text: found, converted, and given one key per value.

`1,234` = `1234` = `1234.00` = `$1,234`, and 0.1 + 0.2 is 3/10: values are fractions, never floats.
The text is untrusted. A model can write `1e2000000` or a million digits, whose conversion takes
minutes, so a run of more than 400 digits or an exponent beyond ±400 is no number at all, and every
pattern here is linear in the text.

What counts as a number (ASCII digits only):

- `18`, `-3`, `+3`, `−3` (Unicode minus), `3.50`, `.5`, `1.5e3`, `1.5 \times 10^{3}`, `2 * 10^3`;
- `1/2`, `\frac{1}{2}`, and mixed `2 1/2` (a proper fraction after one space); never `12/25/2020`;
- `1,234,567` with every group complete. Any other digits joined by commas or points (`3,4`, `1.2.3`)
  could be a list, a decimal comma or a version: no number, neither one nor several;
- `$1,234`, `-$5`, `$-5`: currency signs are dropped, as are units; `1.5 million` is 1.5, its word a unit;
- `85%` is 85: the number as printed, not 0.85;
- never an exponent (`2^5`, the 2 of `cm^2`), an index (`x_1`), or digits glued to a letter before them (`A1`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

MOST_DIGITS = 400
"""Longer runs of digits, and exponents beyond ± this, are not converted."""


class Found(NamedTuple):
    """A number in a text."""

    printed: str
    """As written, without currency and unit."""
    value: Fraction
    start: int
    end: int


# Runs are atomic (?>…) and may not start inside another run: no pattern is tried twice on a character.
_RUN = r"(?>[0-9]+(?:[.,][0-9]+)*)"
_POINT = r"(?>(?<![0-9A-Za-z.)])\.[0-9]+(?:[.,][0-9]+)*)"
_SIGN = r"(?<![0-9A-Za-z)\]}%.$€£¥₹-])[-+](?=[$€£¥₹]?\s?\.?[0-9])"
_CURRENCY = r"[$€£¥₹]\s?"
_NUMBER = re.compile(
    rf"(?P<sign>{_SIGN})?(?:{_CURRENCY}(?P<inner>[-+](?=\.?[0-9]))?)?"
    r"(?<![0-9A-Za-z^])(?<![0-9][.,/])(?<![A-Za-z]_)(?<![_^]\{)(?<!\^[-+])(?<!\^\{[-+])"
    rf"(?P<printed>(?>(?P<whole>[0-9]{{1,9}})\s(?P<over>[0-9]{{1,9}})/(?P<under>[0-9]{{1,9}})(?![0-9]))"
    rf"|(?P<top>{_POINT}|{_RUN})(?:(?>[eE](?P<power>[-+]?[0-9]+)))?(?:(?>\s?/\s?(?P<bottom>{_RUN})))?)"
    r"(?!\s?/\s?[0-9])(?!\s?\^\s?\{?\s?[-+0-9A-Za-z])"
)
_DECIMAL = re.compile(r"([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(?:\.([0-9]+))?")

_FIXED = (("\\$", "$"), ("\\%", "%"), ("{,}", ","), ("\\!", ""), ("−", "-"), ("–", "-"))
_THIN = re.compile(r"(?<=[0-9])(?:\\,|[\u00a0\u2009\u202f])(?=[0-9]{3}(?![0-9]))")
_WRAP = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|mbox|boldsymbol)\s?\{")
_FRAC = re.compile(r"\\[dtc]?frac\s?(?:\{\s?([0-9.,]{1,400})\s?\}\s?\{\s?([0-9.,]{1,400})\s?\}|([0-9])([0-9]))")
_POWER = re.compile(r"(?<=[0-9])\s{0,2}(?:\\times|\\cdot|×|·|\*)\s{0,2}10\s?\^\s?\{?\s?([-+]?[0-9]{1,9})\}?")


def plain(text: str) -> str:
    r"""LaTeX spellings of plain numbers as plain text.

    >>> plain(r"\$1{,}234 \text{ dollars}, \frac{1}{2}, 1.5 \times 10^{3}")
    '$1,234 { dollars}, 1/2, 1.5e3'
    """
    for old, new in _FIXED:
        text = text.replace(old, new)
    text = _WRAP.sub("{", _THIN.sub(",", text))
    return _POWER.sub(r"e\1", _FRAC.sub(_slash, text))


def _slash(frac: re.Match[str]) -> str:
    over, under = frac.group(1) or frac.group(3), frac.group(2) or frac.group(4)
    mixed = frac.start() and frac.string[frac.start() - 1] in "0123456789"
    return f"{' ' if mixed else ''}{over}/{under}"


def parse(text: str) -> Fraction | None:
    """The number that the whole text is, or None. Currency, a percent sign and a final dot are allowed, units not.

    >>> parse("$1,234.50"), parse("85%"), parse("18 dollars"), parse("3,4"), parse("1e2000000")
    (Fraction(2469, 2), Fraction(85, 1), None, None, None)
    """
    return None if len(text) > 4 * MOST_DIGITS else _parse(text)


@lru_cache(maxsize=8192)  # a pool says the same few answers over and over
def _parse(text: str) -> Fraction | None:
    text = plain(text).strip()
    found = _NUMBER.match(text)
    if found is None or text[found.end() :].strip() not in ("", "%", ".", "%.", "$", "$."):
        return None
    return _value(found)


def first(text: str, start: int = 0) -> Found | None:
    """The first number of a text at or after `start`."""
    return next(_found(_NUMBER.finditer(text, start)), None)


def last(text: str) -> Found | None:
    """The last number of a text.

    >>> last("She has 16 eggs and sells 9 at $2, so $18 per day.").printed
    '18'
    """
    return next(_found(reversed(list(_NUMBER.finditer(text)))), None)


def key(value: Fraction) -> str:
    """One text per value: an integer, an exact decimal where there is one, else a reduced fraction.

    >>> key(Fraction("18.00")), key(Fraction(-5, 2)), key(Fraction(2, 6))
    ('18', '-2.5', '1/3')
    """
    over, under = abs(value.numerator), value.denominator
    places = _places(under)
    if places is None:
        return f"{value.numerator}/{under}"
    digits = str(over * 10**places // under).rjust(places + 1, "0")
    point = len(digits) - places
    return ("-" if value < 0 else "") + digits[:point] + ("." + digits[point:] if places else "")


def canonical(text: str) -> str | None:
    """The key of a text that is one number, else None.

    >>> canonical("1,234.00"), canonical("Monday")
    ('1234', None)
    """
    value = parse(text)
    return None if value is None else key(value)


def same(one: str | None, other: str | None) -> bool:
    """Whether both texts are numbers, of one value. Two texts that are no numbers are never the same.

    >>> same("18.0", "18"), same("42", "18"), same("", "")
    (True, False, False)
    """
    value = None if one is None else parse(one)
    return value is not None and other is not None and value == parse(other)


def _found(matches: Iterator[re.Match[str]]) -> Iterator[Found]:
    for match in matches:
        value = _value(match)
        if value is not None:
            sign = match["sign"] or match["inner"] or ""
            yield Found(sign + match["printed"], value, match.start(), match.end())


def _value(match: re.Match[str]) -> Fraction | None:
    value = _mixed(match) if match["whole"] else _ratio(match)
    negative = "-" in (match["sign"], match["inner"])
    return -value if value is not None and negative else value


def _mixed(match: re.Match[str]) -> Fraction | None:
    whole, over, under = (int(match[name]) for name in ("whole", "over", "under"))
    return whole + Fraction(over, under) if 0 < over < under else None


def _ratio(match: re.Match[str]) -> Fraction | None:
    top = _decimal(match["top"])
    if top is None or not _allowed(match["power"]):
        return None
    value = top * Fraction(10) ** int(match["power"]) if match["power"] else top
    if match["bottom"] is None:
        return value
    bottom = _decimal(match["bottom"])
    return value / bottom if bottom else None


def _allowed(power: str | None) -> bool:
    """Whether an exponent is small enough; leading zeros count as digits, so that nothing long is converted."""
    return power is None or (len(power) <= 4 and abs(int(power)) <= MOST_DIGITS)


def _decimal(run: str) -> Fraction | None:
    if len(run) > 2 * MOST_DIGITS:
        return None
    form = _DECIMAL.fullmatch(run)
    digits = run.replace(",", "")
    if form is None or len(digits.replace(".", "")) > MOST_DIGITS:
        return None
    whole, _, part = digits.partition(".")
    return Fraction(int((whole + part) or "0"), 10 ** len(part))


def _places(under: int) -> int | None:
    """Decimal places of a reduced fraction with this denominator; None: it never ends."""
    places = 0
    while under > 1 and places <= 4 * MOST_DIGITS:
        for factor in (10, 5, 2):
            if under % factor == 0:
                under //= factor
                places += 1
                break
        else:
            return None
    return places if under == 1 else None
