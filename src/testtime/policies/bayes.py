"""Optimal stopping with a learned prior: the fewest draws at a wanted agreement with the vote over all max_n.

What problems are like is learned from other problems (priors.py), the rule follows by backward induction
(worth.py). With `prior=learn` a replay cross-fits: the problems are parted, and each part meets a rule that was
learned on the others, never on its own answers. `testtime policies fit` writes a learned prior down as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from testtime.core.errors import Refused
from testtime.core.history import Bools, Floats, Ints, Tally
from testtime.core.settings import setting
from testtime.policies.counted import Counted
from testtime.policies.priors import LEARN, learn, read_prior
from testtime.policies.worth import least_leads

PRIOR = "atoms p1:p2:weight of the prior; learn: from the other problems of the pool"


@dataclass(frozen=True)
class Bayes(Counted):
    """Stops where going on is not worth it, at the price of a draw that gives the wanted agreement."""

    agreement: float = setting("wanted probability of the same answer as all max_n draws", 0.99, above=0, below=1)
    prior: tuple[str, ...] = setting(PRIOR, (LEARN,))

    name: ClassVar[str] = "bayes"
    grade: ClassVar[str] = "bayes"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.learns:
            read_prior(self.prior)

    @property
    def learns(self) -> bool:
        """Whether it needs other problems before it can say anything."""
        return self.prior == (LEARN,)

    @property
    def floor(self) -> int:
        """One draw; all of them while it has still to learn, for then only a replay can play it."""
        return self.max_n if self.learns else 1

    def fitted(self, codes: Ints, columns: Mapping[str, Floats]) -> Bayes:
        """The same with the prior that fits these problems [problem, draw]."""
        return replace(self, prior=learn(codes).texts())

    def enough(self, tally: Tally) -> Bools:
        """Elementwise. Raises Refused for a prior that is still to be learned."""
        if self.learns:
            raise Refused(
                "bayes has not learned its prior", mend="run: testtime policies fit, and paste what it prints"
            )
        least = least_leads(read_prior(self.prior), self.max_n, self.agreement)
        others = np.clip(tally.n - tally.v1, 0, self.max_n)
        stopped: Bools = tally.v1 >= least[np.minimum(tally.v2, self.max_n), others]
        return stopped
