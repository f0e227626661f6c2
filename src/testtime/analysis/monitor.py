"""An anytime-valid comparison of two policies: look after every problem, end whenever it is settled.

Paired differences d in [−1, 1] come one by one. A gambler who stakes a part λ of his wealth that b is better has
1 + λ d times it afterwards, which is 1 on average where the true difference is 0; so is the mean over many λ of
either sign. The wealth exceeds 1/α at any time with probability at most α (Ville 1939): whoever looks after every
problem and ends then is wrong in at most α of the cases in which nothing differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints
from testtime.core.seeds import rng_of

STAKES = tuple(float(stake) for stake in np.geomspace(0.01, 0.9, 12))
"""Parts of the wealth that are staked, each on both sides: even in the logarithm, as the difference is not known."""


def wealth(differences: Floats) -> Floats:
    """[…, problem] the wealth after each of the differences, along the last axis; unknown ones (nan) change nothing.

    Raises BadInput for differences outside −1 … 1.

    >>> wealth(np.zeros(3)).tolist()
    [1.0, 1.0, 1.0]
    """
    known = np.nan_to_num(np.asarray(differences, dtype=float))
    if np.abs(known).max(initial=0.0) > 1:
        raise BadInput("a difference outside −1 … 1", mend="give differences of chances to be right")
    logs = [np.cumsum(np.log1p(sign * stake * known), axis=-1) for stake in STAKES for sign in (1.0, -1.0)]
    total: Floats = np.mean(np.exp(np.minimum(logs, 600.0)), axis=0)
    return total


def settled(differences: Floats, alpha: float = 0.05) -> Ints:
    """[…] after how many problems the wealth first reached 1/α; 0 where it never did."""
    reached = wealth(differences) >= 1 / alpha
    first: Ints = np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1, 0)
    return first


def by_unit(differences: Floats, unit: Ints) -> Floats:
    """[unit] the mean difference of each cluster, in order of first appearance: clusters are bet on whole."""
    _, first, place = np.unique(unit, return_index=True, return_inverse=True)
    known = ~np.isnan(differences)
    sums = np.bincount(place[known], weights=differences[known], minlength=len(first))
    counts = np.bincount(place[known], minlength=len(first))
    means = np.divide(sums, counts, out=np.full(len(first), np.nan), where=counts > 0)
    ordered: Floats = means[np.argsort(first, kind="stable")]
    return ordered


@dataclass(frozen=True)
class Power:
    """What a comparison that is looked at after every problem would make of a true difference."""

    effect: float
    problems: int
    settles: float
    """The chance that it ends within so many problems."""
    after: float
    """Problems it takes on average, all of them where it does not end."""
    fixed: float
    """The chance that a two-sided test of the mean, looked at once after all of them, notices it."""


def power(
    differences: Floats,
    effect: float,
    problems: int | None = None,
    alpha: float = 0.05,
    *,
    seed: int = 0,
    runs: int = 1000,
) -> Power:
    """By simulation, of differences like these but with the mean `effect`; as many problems as there are by default.

    The law of differences is the observed one, and one win and one loss more, tilted exponentially to that mean: what
    is rare stays rare. Raises BadInput for an effect that no such differences have.
    """
    known = np.append(differences[~np.isnan(differences)], [1.0, -1.0])
    if not 0 < abs(effect) < 1:
        raise BadInput(f"a difference of {effect:g}", mend="give one between 0 and 1, as 2pt")
    number = problems or len(known) - 2
    share = tilted(known, effect)
    rng = rng_of(seed, "monitor", "power")
    drawn = rng.choice(known, p=share, size=(runs, number))
    ended = settled(drawn, alpha)
    spread = drawn.std(axis=1, ddof=1) if number > 1 else np.full(runs, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(drawn.mean(axis=1)) * sqrt(number) / spread
    noticed = z > NormalDist().inv_cdf(1 - alpha / 2)
    return Power(
        effect, number, float((ended > 0).mean()), float(np.where(ended > 0, ended, number).mean()),
        float(noticed.mean()),
    )  # fmt: skip


def tilted(values: Floats, mean: float) -> Floats:
    """[value] weights ∝ exp(θ value) with this mean: of all laws on the values with it, the nearest to the even one.

    >>> tilted(np.array([-1.0, 0.0, 1.0]), 0.0).round(3).tolist()
    [0.333, 0.333, 0.333]
    """
    low, high = -50.0, 50.0
    for _ in range(100):
        theta = (low + high) / 2
        weights = np.exp(theta * values - np.abs(theta * values).max())
        low, high = (theta, high) if (weights @ values) / weights.sum() < mean else (low, theta)
    found: Floats = weights / weights.sum()
    return found


@dataclass
class Monitor:
    """A live comparison: `add` differences as they come, stop when `settled`.

    >>> watch = Monitor(alpha=0.05)
    >>> for _ in range(20):
    ...     watch.add([1.0])
    >>> watch.settled
    True
    """

    alpha: float = 0.05
    seen: int = 0
    _logs: Floats = field(default_factory=lambda: np.zeros(2 * len(STAKES)), repr=False)
    _best: float = field(default=1.0, repr=False)

    def add(self, differences: Iterable[float]) -> None:
        """Differences b − a of further problems, in [−1, 1]. Raises BadInput for others."""
        stakes = np.concatenate([np.array(STAKES), -np.array(STAKES)])
        for difference in differences:
            if not -1 <= difference <= 1:
                raise BadInput(f"a difference of {difference}", mend="differences lie in −1 … 1")
            self._logs = self._logs + np.log1p(stakes * difference)
            self.seen += 1
            self._best = max(self._best, self.e_value)

    @property
    def e_value(self) -> float:
        """The wealth now: evidence against no difference, valid at any look."""
        return float(np.mean(np.exp(np.minimum(self._logs, 600.0))))

    @property
    def settled(self) -> bool:
        """Whether it ever reached 1/α."""
        return self._best >= 1 / self.alpha
