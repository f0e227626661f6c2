"""What settings of policies share: words, limits, and thresholds that stay as the user wrote them.

`exact` turns 0.95 into 19/20, so that rules compare whole numbers.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from testtime.core.history import Ints

TIES = "how tied answers are settled: uniform (each with equal weight) or first (the first seen)"

MOST_DRAWS = 100_000
"""More draws of one problem are a slip of the pen."""


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
