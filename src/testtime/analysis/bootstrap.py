"""Intervals over problems: what would another draw of problems from the same source have given?

The unit is the problem, or the cluster of problems from one source where clusters are known (a
cluster is resampled whole). Resampling is by multinomial counts from a seed that depends on nothing
but (seed, number of units), so any two policies over the same problems meet the same resamples:
every comparison is paired.

The error of a simulation (orders instead of an exact law) is another thing, and is reported apart:
`monte_carlo_error`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import nan, sqrt
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from testtime.core.history import Floats, Ints
from testtime.core.seeds import rng_of

RESAMPLES = 2000
LEVEL = 0.95
FEW = 30
"""With fewer units than this, an accuracy's interval is Wilson's, not the bootstrap's."""
MANY = 20_000
"""With more units than this, the mean is normal to within its own rounding, and nothing is resampled."""
Interval = tuple[float, float]
_Value = TypeVar("_Value", float, Floats)
_BLOCK = 100
_ROWS = 200
"""Resamples whose means are taken together."""
_NORMAL = NormalDist()


def units_of(clusters: Sequence[str | None] | None, problems: int) -> Ints:
    """[problem] the unit it belongs to: its cluster, or itself where it has none.

    >>> units_of(["a", None, "a", None], 4).tolist()
    [0, 1, 0, 2]
    """
    names: dict[object, int] = {}
    keys = [None] * problems if clusters is None else clusters
    return np.array([names.setdefault(at if key is None else (key,), len(names)) for at, key in enumerate(keys)])


@lru_cache(maxsize=2)
def _draws(units: int, seed: int, resamples: int) -> NDArray[np.uint8]:
    """[resample, unit] how often each unit is drawn, in `units` draws with replacement.

    A byte holds it: the chance that one of many units is drawn 256 times is below 10⁻⁵⁰⁰.
    """
    generator = rng_of(seed, "bootstrap", units)
    drawn = np.empty((resamples, units), dtype=np.uint8)
    for start in range(0, resamples, _BLOCK):  # the counts come as whole numbers of eight bytes: never all of them
        rows = drawn[start : start + _BLOCK]
        rows[:] = generator.multinomial(units, np.full(units, 1 / units), size=len(rows))
    return drawn


def resample(unit: Ints, seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """[resample, problem] the weight of each problem in each resample of the units."""
    drawn = _draws(int(unit.max(initial=-1)) + 1, seed, resamples)
    return (drawn if np.array_equal(unit, np.arange(drawn.shape[1])) else drawn[:, unit]).astype(float)


def means(weights: Floats, values: Floats) -> Floats:
    """[resample, …] weighted means of [problem, …], unknown values (nan) left out; nan where all are."""
    known = ~np.isnan(values)
    sums, counts = weights @ np.where(known, values, 0.0), weights @ known.astype(float)
    out: Floats = np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
    return out


def accuracy_interval(
    values: Floats, unit: Ints | None = None, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The interval of a mean of chances of being right, one in [0, 1] a problem; nan values are left out.

    - All values 0 or 1 without clusters, or fewer than 30 units: Wilson's score interval with n the
      number of units. For fractions it is conservative: no values in [0, 1] vary more than 0 and 1 do.
    - No value differs from another: `no_spread`, which at 0/n and n/n is Wilson's.
    - Else the BCa bootstrap (Efron 1987) over units with Hesterberg's (2015) widening for small n; of more than
      `MANY` units the normal interval, from which it does not differ then.

    >>> low, high = accuracy_interval(np.zeros(20))
    >>> (low, round(high, 3))
    (0.0, 0.161)
    """
    known = ~np.isnan(values)
    values = _clean(values[known])
    unit = np.arange(len(values)) if unit is None else unit[known]
    number = _distinct(unit)
    if not number:
        return nan, nan
    if values.min() == values.max():
        return no_spread(float(values[0]), number, (0.0, 1.0), level)
    if number < FEW or (number == len(values) and bool(np.isin(values, (0.0, 1.0)).all())):
        return wilson(float(values.mean()), number, level)
    return _bca(values, unit, seed, resamples, level)


def difference_interval(
    differences: Floats, unit: Ints | None = None, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The interval of a mean paired difference in [−1, 1] over common problems; nan values are left out.

    Where both sides are 0 or 1, without clusters: `paired_wald`, since few discordant problems are too few to
    resample. Else the BCa bootstrap over units, widened for small n; where no difference differs, `no_spread`.
    """
    known = ~np.isnan(differences)
    values, unit = _clean(differences[known]), (np.arange(len(differences)) if unit is None else unit)[known]
    number = len(np.unique(unit))
    if not number:
        return nan, nan
    if values.min() == values.max():
        return no_spread(float(values[0]), number, (-1.0, 1.0), level)
    if number == len(values) and bool(np.isin(values, (-1.0, 0.0, 1.0)).all()):
        return paired_wald(int((values > 0).sum()), int((values < 0).sum()), number, level)
    return _bca(values, unit, seed, resamples, level) if number > 1 else (nan, nan)


def paired_wald(better: int, worse: int, n: int, level: float = LEVEL) -> Interval:
    """The adjusted Wald interval of (better − worse) / n for paired 0/1 outcomes (Bonett and Price 2012).

    One more of either kind, among n + 2, keeps its coverage at 95 % where the bootstrap's falls below 90 %.

    >>> [round(end, 4) for end in paired_wald(5, 3, 50)]
    [-0.0803, 0.1572]
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    up, down = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    half = z * sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(up - down - half, -1.0), min(up - down + half, 1.0)


def wilson(share: float, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share of n.

    >>> [round(end, 4) for end in wilson(0.5, 10)]
    [0.2366, 0.7634]
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def no_spread(value: _Value, n: int, bounds: Interval, level: float = LEVEL) -> tuple[_Value, _Value]:
    """The interval of a mean, or of each of several, when all n units show the same value.

    Up to w = the upper end of Wilson's interval of 0/n of the source's units may differ from it, and
    differ as far as the bounds let them.
    """
    other = wilson(0.0, n, level)[1]
    return value - other * (value - bounds[0]), value + other * (bounds[1] - value)


def percentile(samples: Floats, level: float = LEVEL) -> Interval:
    """The percentile interval of resampled values of a statistic; nan where a resample has none."""
    if np.isnan(samples).any():
        return nan, nan
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def monte_carlo_error(variances: Floats) -> float:
    """The standard error that simulation adds to a mean over problems: √(mean variance / n).

    `variances` [problem] are those of each problem's simulated value; 0 where it was exact.
    """
    known = variances[~np.isnan(variances)]
    return sqrt(float(known.mean()) / len(known)) if len(known) else nan


def _distinct(unit: Ints) -> int:
    """How many units there are; a rising numbering has as many as entries."""
    return len(unit) if (np.diff(unit) > 0).all() else len(np.unique(unit))


def _clean(values: Floats) -> Floats:
    """Without the last bits, in which equal chances computed by two ways can differ."""
    return values.round(12)


def _bca(values: Floats, unit: Ints, seed: int, resamples: int, level: float) -> Interval:
    """Bias-corrected and accelerated interval of Σ values / Σ problems over resampled units."""
    number = _distinct(unit)
    if number < len(unit):
        _, unit = np.unique(unit, return_inverse=True)
    mean = float(values.mean())
    alone = number == len(unit)
    sums, sizes = (values, np.ones(number)) if alone else (np.bincount(unit, weights=values), np.bincount(unit))
    if number > MANY:
        half = _NORMAL.inv_cdf((1 + level) / 2) * sqrt(float(((sums - mean * sizes) ** 2).sum())) / len(values)
        return mean - half, mean + half
    drawn = _draws(number, seed, resamples)
    samples = np.empty(resamples)
    for start in range(0, resamples, _ROWS):
        rows = drawn[start : start + _ROWS].astype(float)
        samples[start : start + _ROWS] = (rows @ sums) / (rows @ sizes)
    influence = sums - mean * sizes
    acceleration = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))
    level_with = np.abs(samples - mean) < 1e-12
    below = float((samples < mean)[~level_with].sum() + level_with.sum() / 2) / resamples
    bias = _NORMAL.inv_cdf(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples))
    reach = student((1 + level) / 2, number - 1) * sqrt(number / (number - 1))
    ends = []
    for z in (-reach, reach):
        shifted = bias + z
        ends.append(_NORMAL.cdf(bias + shifted / max(1 - acceleration * shifted, 0.1)))
    low, high = np.quantile(samples, ends)
    return float(low), float(high)


def student(share: float, freedom: int) -> float:
    """Student's t quantile by the Cornish–Fisher expansion: within 1 % from 3 degrees of freedom on."""
    z = _NORMAL.inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
