"""What problems are like, as a policy may assume or learn it: shares of the two top answers, each with a weight.

An atom is a problem whose most common answer comes with p1, the next with p2, and whose other answers never
repeat. A prior is a mixture of atoms. As text it is `(p1:p2:weight,…)`, so a policy that learned one can be
written down, pasted back, run live and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import lgamma

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints

LEARN = "learn"
"""In place of atoms: replay learns the prior from the other problems (cross-fitting)."""
_SHARES = (1.0, 0.99, 0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
_SECOND = (1.0, 0.6, 0.3)
"""p2 as a part of 1 − p1."""
_UNANIMOUS = 0.3
"""Weight of the atom p1 = 1 in the broad prior; the other atoms are equal."""
_ITERATIONS = 300
_LEAST = 5e-4
"""Learned weights below this are left out of the text."""


@dataclass(frozen=True)
class Prior:
    """Atoms as tuples, so that what is computed of them can be kept."""

    p1: tuple[float, ...]
    p2: tuple[float, ...]
    weight: tuple[float, ...]

    def texts(self) -> tuple[str, ...]:
        """Each atom as `p1:p2:weight`."""
        return tuple(
            f"{a:.6g}:{b:.6g}:{w:.6g}" for a, b, w in zip(self.p1, self.p2, self.weight, strict=True) if w >= _LEAST
        )


def read_prior(texts: Sequence[str]) -> Prior:
    """The prior that a setting names; the broad one for none. Raises BadInput."""
    if not texts:
        return broad()
    atoms = []
    for text in texts:
        parts = text.split(":")
        try:
            p1, p2, weight = (float(part) for part in parts)
        except ValueError:
            raise BadInput(
                f"prior atom {text!r} is not p1:p2:weight", mend="paste what `policies fit` prints"
            ) from None
        if not (0 <= p2 <= p1 <= 1 and p1 + p2 <= 1 + 1e-9 and p1 > 0 and 0 < weight < np.inf):
            raise BadInput(
                f"prior atom {text!r} is no pair of shares", mend="needs 0 ≤ p2 ≤ p1, p1 + p2 ≤ 1, weight > 0"
            )
        atoms.append((p1, p2, weight))
    total = sum(weight for *_, weight in atoms)
    p1s, p2s, weights = zip(*atoms, strict=True)
    return Prior(p1s, p2s, tuple(weight / total for weight in weights))


@lru_cache(maxsize=1)
def broad() -> Prior:
    """Problems of every kind: 30 % unanimous, the rest spread evenly over a grid of shares."""
    atoms = {(p1, min(round((1 - p1) * part, 6), p1)): None for p1 in _SHARES for part in _SECOND}
    p1s, p2s = zip(*atoms, strict=True)
    other = (1 - _UNANIMOUS) / (len(p1s) - 1)
    return Prior(p1s, p2s, tuple(_UNANIMOUS if p1 == 1 else other for p1 in p1s))


def learn(codes: Ints, toward: Prior | None = None, strength: float = 1.0) -> Prior:
    """The mixture over the broad prior's atoms that fits the two largest counts of each problem best.

    `codes` [problem, draw] are votes, negative where a draw abstains or is not there. By expectation and
    maximisation, with `toward` (a prior over the same atoms; the broad one without) as `strength` problems more,
    so that nothing seen is impossible.
    """
    start = toward or broad()
    v1, v2, voted = _counts(codes)
    known = voted > 0
    like = _likelihood(start, v1[known], v2[known], voted[known])
    base = np.array(start.weight)
    weight = base.copy()
    for _ in range(_ITERATIONS):
        share = like * weight
        share /= share.sum(axis=1, keepdims=True)
        weight = (share.sum(axis=0) + strength * base) / (len(share) + strength)
    return Prior(start.p1, start.p2, tuple(weight.tolist()))


def _counts(codes: Ints) -> tuple[Ints, Ints, Ints]:
    """[problem] the two largest counts and how many voted."""
    problems, votes = codes.shape[0], codes >= 0
    width = max(int(codes.max(initial=0)) + 1, 2)
    slot = np.arange(problems)[:, None] * width + np.where(votes, codes, 0)
    counts = np.bincount(slot[votes], minlength=problems * width).reshape(problems, width)
    top = np.sort(counts, axis=1)[:, ::-1]
    return top[:, 0], top[:, 1], votes.sum(axis=1)


def _likelihood(prior: Prior, v1: Ints, v2: Ints, n: Ints) -> Floats:
    """[problem, atom] chance of these two counts, whichever of the two answers leads; scaled by row."""
    p1, p2 = np.array(prior.p1), np.array(prior.p2)
    others = n - v1 - v2
    ways = np.array([lgamma(m + 1) - lgamma(a + 1) - lgamma(b + 1) for m, a, b in zip(n, v1, v2, strict=True)])
    one = _power(p1, v1) + _power(p2, v2) + _power(1 - p1 - p2, others)
    two = _power(p2, v1) + _power(p1, v2) + _power(1 - p1 - p2, others)
    logs = np.logaddexp(one, np.where((v1 == v2)[:, None], -np.inf, two)) + ways[:, None]
    scaled: Floats = np.exp(logs - logs.max(axis=1, keepdims=True))
    return scaled


def _power(share: Floats, count: Ints) -> Floats:
    """[problem, atom] the logarithm of share ** count."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = count[:, None] * np.log(np.clip(share, 0, 1))
    return np.where(count[:, None] == 0, 0.0, logs)
