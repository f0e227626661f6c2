"""How far a policy is from what any could do: the least draws for its agreement, for a certificate, and for voting.

- The least draws of any rule of counts that agrees as often with the vote over all draws, if the pool's problems
  were the prior (backward induction, policies/worth.py): what knowing the kind of problem allows, on average.
- The least draws of any rule that is right about the most common answer with probability 1 − δ whatever the
  distribution: kl(δ, 1 − δ) / D, D = (p1 + p2) kl(p1 / (p1 + p2), ½), by change of measure to the nearest
  distribution with another mode (Garivier and Kaufmann 2016).
- Voting ends at the share of problems whose most common answer is right; a perfect verifier at pass@n.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np

from testtime.analysis.estimators import maj_at_k, pass_at_k
from testtime.core.history import Floats, Ints
from testtime.policies.priors import learn
from testtime.policies.worth import expected, rule_for


def certificate(p1: float, p2: float, delta: float = 0.05) -> float:
    """The least expected draws to be right about the mode with probability 1 − delta, whatever the distribution.

    >>> round(certificate(1.0, 0.0), 2), round(certificate(0.6, 0.4)), round(certificate(0.51, 0.49))
    (3.82, 132, 13248)
    """
    both = p1 + p2
    gap = p1 * log(2 * p1 / both) + (p2 * log(2 * p2 / both) if p2 > 0 else 0.0)
    return (1 - 2 * delta) * log((1 - delta) / delta) / gap if gap > 0 else inf


def least_draws(codes: Ints, agreement: float) -> float:
    """The least mean draws at which a rule of counts agrees so often with the vote over all draws of such problems.

    Where no problem of n disagreed, what is known is an agreement of 1 − 3/n or more (the rule of three, 95 %), and the
    limit is that one's: a limit of exactly 1 would be above what the rule itself spent.
    """
    prior, most = learn(codes), codes.shape[1]
    wanted = agreement if agreement < 1 else 1 - 3 / max(len(codes), 6)
    return expected(prior, most, rule_for(prior, most, wanted))[0]


@dataclass(frozen=True)
class Headroom:
    """What a better selector could add to voting at k draws."""

    k: int
    maj: float
    passes: float

    @property
    def points(self) -> float:
        """pass@k − maj@k."""
        return self.passes - self.maj


def headroom(codes: Ints, right: Floats, k: int) -> Headroom:
    """Over the problems with a verdict."""
    known = ~np.isnan(right).any(axis=1)
    maj, passes = maj_at_k(codes[known], right[known], [k]), pass_at_k(right[known], [k])
    return Headroom(k, float(np.nanmean(maj)), float(np.nanmean(passes)))
