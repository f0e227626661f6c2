"""An anytime-valid comparison of two policies: look after every problem, end whenever it is settled.

Paired differences d in [−1, 1] come one by one. A gambler who stakes a part λ of his wealth that b is better has
1 + λ d times it afterwards, which is 1 on average where the true difference is 0; so is the mean over many λ of
either sign. The wealth exceeds 1/α at any time with probability at most α (Ville 1939): whoever looks after every
problem and ends then is wrong in at most α of the cases in which nothing differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints

STAKES = tuple(float(stake) for stake in np.geomspace(0.01, 0.9, 12))
"""Parts of the wealth that are staked, each on both sides: even in the logarithm, as the difference is not known."""


def wealth(differences: Floats) -> Floats:
    """[…, problem] the wealth after each of the differences, along the last axis; unknown ones (nan) change nothing.

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
