r"""Measures in different units: `1\text{ m}` is `100\text{ cm}`, and `12\text{ cm}` is not `12\text{ m}`.

Only lengths, their squares and cubes, volumes, masses, times and cents, exact by definition; a measure in both a metric
and an imperial unit is equal to a relative 1e-4, as converted values are rounded. A unit that one side leaves out, or
has with another power, says nothing: units are dropped then (see `expression`).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from testtime.answers import expression, numbers

ROUNDED = Fraction(1, 10_000)
"""Relative difference between a metric and an imperial measure of the same size, at most."""
LONGEST = 120
"""Characters of a measure."""

_METRIC = {
    "length": {"1/1000": "mm millimeter millimetre", "1/100": "cm centimeter centimetre", "1/10": "dm decimeter",
               "1": "m meter metre", "1000": "km kilometer kilometre"},
    "mass": {"1/1000": "mg milligram", "1": "g gram", "1000": "kg kilogram", "1000000": "tonne"},
    "time": {"1/1000": "ms millisecond", "1": "s sec second", "60": "min minute", "3600": "h hr hour",
             "86400": "day", "604800": "week"},
    "money": {"1": "cent", "100": "dollar"},
    "volume": {"1/1000000": "ml milliliter millilitre", "1/100000": "cl centiliter", "1/1000": "l liter litre"},
}  # fmt: skip
_IMPERIAL = {
    "length": {"127/5000": "in inch inche", "381/1250": "ft foot feet", "1143/1250": "yd yard",
               "201168/125": "mi mile"},
    "mass": {"45359237/1600000": "oz ounce", "45359237/100000": "lb pound"},
}  # fmt: skip


class Unit(NamedTuple):
    """What a measure is counted in."""

    kind: str
    power: int
    """Of a metre: a litre is a volume."""
    size: Fraction
    """In metres, cubic metres, grams, seconds or cents."""
    imperial: bool


_UNITS = {
    name: Unit(*(("length", 3) if kind == "volume" else (kind, 1)), Fraction(size), imperial)
    for imperial, table in ((False, _METRIC), (True, _IMPERIAL))
    for kind, sizes in table.items()
    for size, said in sizes.items()
    for name in said.split()
}
_TEXT = re.compile(r"\\(?:text|textrm|textbf|mbox|mathrm|hbox|textnormal)\s?\{([^{}]{0,60})\}")
_DOLLARS = re.compile(r"\\?\$\s?([0-9.,]+)")
_SPACE = re.compile(r"\\[,;:! ]|~|\$|\\q?quad(?![a-z])")
_MEASURE = re.compile(
    r"(?:[A-Za-z]\s?=\s?)?(?P<value>.*?[0-9)}\]a-z])\s*(?:\b(?P<word>square|sq|cubic)\.?\s+)?"
    r"(?<![A-Za-z\\])(?P<unit>[A-Za-z]{1,11})\.?\s?(?:\^\s?\{?\s?(?P<power>[23])\s?\}?|(?P<raised>[²³]))?\.?"
)
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "²": 2, "³": 3}


def same(one: str, other: str) -> bool | None:
    r"""Whether two measures in different units are equal; None where both are not such measures.

    >>> same(r"1\text{ m}", r"100\text{ cm}"), same("12 cm", "12 m"), same("2 hours", "120 min"), same("12 cm", "12")
    (True, False, True, None)
    >>> same(r"1\text{ m}^2", "10000 cm^2"), same("3 feet", "1 kg"), same("5 km", "3.1069 miles"), same("1 L", "1 dm³")
    (True, False, True, True)
    """
    first, second = _measure(one), _measure(other)
    if first is None or second is None or first[1:] == second[1:]:
        return None
    (value, unit, power), (other_value, other_unit, other_power) = first, second
    if unit.kind != other_unit.kind:
        return False
    if unit.power * power != other_unit.power * other_power:
        return None
    times = unit.size**power / other_unit.size**other_power
    return _equal(value, other_value, times, rounded=unit.imperial != other_unit.imperial)


def _measure(text: str) -> tuple[str, Unit, int] | None:
    """(Value, unit, its power) of a text that is one measure."""
    if len(text) > LONGEST:
        return None
    dollars = _DOLLARS.fullmatch(text.strip())
    plain = f"{dollars[1]} dollars" if dollars else _SPACE.sub(" ", _TEXT.sub(r" \1 ", text)).strip()
    found = _MEASURE.fullmatch(plain)
    if found is None or _WORDS.search(found["value"]):
        return None
    name = found["unit"].lower() if len(found["unit"]) > 1 or found["unit"] == "L" else found["unit"]
    unit = _UNITS.get(name) or (_UNITS.get(name.removesuffix("s")) if len(name) > 2 else None)
    power = found["power"] or _POWERS.get(found["word"] or found["raised"] or "", 1)
    return None if unit is None else (found["value"].strip(), unit, int(power))


def _equal(value: str, other: str, times: Fraction, *, rounded: bool) -> bool:
    """Whether so many times a value is the other one."""
    one, two = numbers.parse(value), numbers.parse(other)
    if one is None or two is None:
        scaled = rf"({value})*\frac{{{times.numerator}}}{{{times.denominator}}}"
        return expression.key(scaled) == expression.key(other)
    return abs(one * times - two) <= (ROUNDED * abs(two) if rounded else 0)
