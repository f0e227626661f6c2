"""Score-weighted self-consistency: answers gather the scores of their draws.

With `keep` the least confident draws do not vote (DeepConf offline; Fu et al. 2025, arXiv 2508.15260).
With `temperature` T the weights are softmax(score / T) over the problem's draws, as in CISC (Taubenfeld et al.
2025, arXiv 2502.06233): a very large T is the plain majority, a very small one is best-of-N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import Refused
from testtime.core.history import Ballot, Bools, Floats, Ints, Track
from testtime.core.settings import setting
from testtime.policies.settings import TIES
from testtime.policies.votes.scored import Scored

KEEP = "only this share of the draws votes, the highest scores first"


@dataclass(frozen=True)
class WeightedVote(Scored):
    """The answer with the largest sum of weights; a draw with an unknown score weighs nothing."""

    temperature: float | None = setting("weigh by softmax(score / temperature) in place of the score", None, above=0)
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")
    keep: float | None = setting(KEEP, None, above=0, below=1)

    name: ClassVar[str] = "weighted"

    def ballot(self, track: Track) -> Ballot:
        """No entry for a row where no answer has weight. Raises Refused for negative weights."""
        codes = track.answer.reshape(-1, track.answer.shape[-1])
        scores = track.column(self.by).reshape(codes.shape)
        weights = np.where(best(scores, self.keep), self._weights(scores), 0.0)
        sums, first = gather(codes, weights)
        top = sums.max(axis=1, keepdims=True, initial=0.0)
        wins = (sums >= top - 1e-12 * top) & (sums > 0)  # sums in another order are the same sum
        if self.ties == "first":
            wins &= np.cumsum(wins, axis=1) == 1
        row, answer = np.nonzero(wins)
        dense = np.zeros(codes.shape)
        dense[row, first[row, answer]] = 1.0
        return Ballot.of(dense)

    def _weights(self, scores: Floats) -> Floats:
        known = np.where(np.isnan(scores), -np.inf, scores)
        if self.temperature is not None:
            top = known.max(axis=1, keepdims=True, initial=-np.inf)
            return np.exp((known - np.where(np.isfinite(top), top, 0.0)) / self.temperature)
        if (scores < 0).any():
            raise Refused(
                f"the scores {self.by} are negative in places and cannot be weights", mend="set temperature=1"
            )
        return np.where(np.isnan(scores), 0.0, scores)


def best(scores: Floats, keep: float | None) -> Bools:
    """[row, draw] the draws at or above the row's (1 − keep) quantile of known scores; all where keep is None."""
    if keep is None or not scores.size:
        return np.ones(scores.shape, dtype=bool)
    known = ~np.isnan(scores)
    cut = np.full((scores.shape[0], 1), np.inf)
    some = known.any(axis=1)
    cut[some, 0] = np.nanquantile(scores[some], 1 - keep, axis=1)
    kept: Bools = known & (scores >= cut)
    return kept


def gather(codes: Ints, weights: Floats) -> tuple[Floats, Ints]:
    """[row, answer] the sum of weights, and the draw at which the answer was first seen."""
    rows, draws = codes.shape
    row, draw = np.nonzero(codes >= 0)
    slot = row * draws + codes[row, draw]
    sums: Floats = np.bincount(slot, weights=weights[row, draw], minlength=rows * draws).astype(float)
    first = np.full(rows * draws, draws)
    np.minimum.at(first, slot, draw)
    return sums.reshape(rows, draws), first.reshape(rows, draws)
