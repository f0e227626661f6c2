"""What a setting is: a dataclass field with a sentence and a range, read by checks, flags and docs.

Thresholds stay as the user wrote them: `exact` turns 0.95 into 19/20, so that rules compare whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Ints

TIES = "how tied answers are settled: uniform (each with equal weight) or first (the first seen)"

MOST_DRAWS = 100_000
"""More draws of one problem are a slip of the pen."""


def setting(
    sentence: str,
    default: Any = MISSING,
    *,
    above: float | None = None,
    below: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A dataclass field with its sentence for flags and docs, and the range its values must lie in."""
    limits = {"above": above, "below": below, "at least": least, "at most": most}
    kept = {word: limit for word, limit in limits.items() if limit is not None}
    return field(default=default, metadata={"sentence": sentence, "limits": kept})


def check(record: Any) -> None:
    """Raises BadInput where a setting of a dataclass lies outside its range. Use as `__post_init__`."""
    hints = hints_of(type(record))
    for f in fields(record):
        _check_one(f, hints[f.name], getattr(record, f.name))


def hints_of(kind: type) -> Mapping[str, Any]:
    """Field → type, with names resolved."""
    return get_type_hints(kind)


def expected(f: Field[Any], hint: Any) -> str:
    """What a setting may be, in words.

    >>> from testtime.policies.sc_fixed import ScFixed
    >>> expected(fields(ScFixed)[0], int)
    'a whole number at least 1'
    """
    if get_origin(hint) is Literal:
        return " or ".join(get_args(hint))
    noun = {int: "a whole number", float: "a number", bool: "true or false"}.get(plain(hint), "text")
    limits = f.metadata.get("limits", {})
    return " ".join([noun, " and ".join(f"{word} {limit:,g}" for word, limit in limits.items())]).strip()


def plain(hint: Any) -> Any:
    """The type itself where None is allowed besides."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in get_args(hint) else hint


def _check_one(f: Field[Any], hint: Any, value: Any) -> None:
    if value is None and type(None) in get_args(hint):
        return
    kind = plain(hint)
    wrong = (
        (kind is int and (isinstance(value, bool) or not isinstance(value, (int, np.integer))))
        or (kind is float and (isinstance(value, bool) or not isinstance(value, (int, float, np.floating))))
        or (kind is bool and not isinstance(value, bool))
        or (get_origin(kind) is Literal and value not in get_args(kind))
        or not _within(value, f.metadata.get("limits", {}))
    )
    if wrong:
        raise BadInput(f"{f.name}={value} cannot be", mend=f"expected {expected(f, hint)}")


def _within(value: Any, limits: Mapping[str, float]) -> bool:
    holds = {
        "above": lambda limit: value > limit,
        "below": lambda limit: value < limit,
        "at least": lambda limit: value >= limit,
        "at most": lambda limit: value <= limit,
    }
    return all(holds[word](limit) for word, limit in limits.items())


def exact(value: float) -> Fraction:
    """The fraction of the text a number was written as.

    >>> exact(0.95)
    Fraction(19, 20)
    """
    return Fraction(str(float(value)))


def shares(threshold: float, n: Ints) -> Ints:
    """The fewest votes that are at least `threshold` of n, elementwise: ⌈threshold · n⌉ in exact arithmetic."""
    return _ceilings(exact(threshold), reach(n))[n]


def reach(values: Ints) -> int:
    """A power of two above all values: the size of a look-up table that is shared by many calls."""
    return 1 << max(int(np.max(values, initial=0)).bit_length(), 6)


@lru_cache(maxsize=256)
def _ceilings(share: Fraction, size: int) -> Ints:
    return np.array([-(-share.numerator * n // share.denominator) for n in range(size)], dtype=np.int64)
