"""Plain values as one text: values that Python calls equal have one text, and so do numbers equal to nine digits.

Runs inside sandboxes too: standard library only.
"""

from __future__ import annotations

from collections import deque
from typing import Any

_KINDS: dict[Any, str] = {list: "l", tuple: "t", set: "s", frozenset: "s", deque: "q"}


def form(value: Any) -> str:
    """The text of a value. Raises ValueError for an object of another kind, of which nothing plain is known.

    >>> form([1, True, 1.0]), form({2, 1}) == form({1.0, 2}), form((1,)) == form([1])
    ('l(0x1,0x1,0x1)', True, False)
    >>> form(0.1 + 0.2) == form(0.3), form("1") == form(1), form({"a": None})
    (True, False, "d('a':None)")
    """
    kind = type(value)
    if kind in _KINDS:
        inside = [form(one) for one in value]
        return f"{_KINDS[kind]}({','.join(sorted(inside) if _KINDS[kind] == 's' else inside)})"
    if kind is dict:
        return f"d({','.join(sorted(f'{form(key)}:{form(one)}' for key, one in value.items()))})"
    if value is None or kind is str or kind is type:
        return repr(value)
    if kind is bytes:
        return f"b{value.hex()}"
    if kind is complex:
        return f"c({_number(value.real)},{_number(value.imag)})" if value.imag else _number(value.real)
    return _number(value)


def _number(value: Any) -> str:
    """Whole numbers in base 16, which has no limit on digits; others by nine digits."""
    if type(value) in (bool, int):
        return hex(value)
    if type(value) is not float and type(value).__module__ not in ("decimal", "fractions"):
        raise ValueError("no plain value")
    given = float(value)
    near = given if given.is_integer() else float(f"{given:.9g}")
    return hex(int(near)) if near.is_integer() else repr(near)
