"""Confidence decides which draws count and when they suffice (DeepConf, Fu et al. 2025, arXiv 2508.15260).

The first `warmup` draws set a bar: the (1 − keep) quantile of their confidence. A later draw below the bar would
have been cut off while it was written; here it is drawn and paid for whole, and does not vote. Sampling stops when
the leading answer has at least `threshold` of all confidence that votes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Asks, Ballot, Floats, History, Ints, Track, only
from testtime.core.settings import check, setting
from testtime.policies.settings import MOST_DRAWS, TIES
from testtime.policies.votes.scored import column_of
from testtime.policies.votes.weighted import gather


@dataclass(frozen=True)
class DeepConf:
    """Warm-up, a bar, then draw by draw until the confident ones agree."""

    by: str = setting("the column of a draw's confidence, larger is surer")
    max_n: int = setting("the most draws a problem", least=1, most=MOST_DRAWS)
    warmup: int = setting("draws that set the bar", 16, least=1, most=MOST_DRAWS)
    keep: float = setting("share of the warm-up draws that lies above the bar", 0.1, above=0, most=1)
    threshold: float = setting("stop at this share of the confidence for the leading answer", 0.95, above=0, most=1)
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "deepconf"
    arms: ClassVar[tuple[str, ...]] = ()
    across: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        column_of(self.by)

    @property
    def needs(self) -> frozenset[str]:
        """The confidence."""
        return frozenset({self.by})

    @property
    def floor(self) -> int:
        """The warm-up is due whatever comes out."""
        return min(self.warmup, self.max_n)

    @property
    def most(self) -> int:
        """No problem gets more."""
        return self.max_n

    def ask(self, history: History) -> Asks:
        """The warm-up; then one at a time, as any draw can decide."""
        arm, track = only(history)
        if not track.seen.any():
            return {arm: np.full(track.seen.shape, self.floor)}
        sums, _ = self._sums(track)
        top, total = sums.max(axis=1, initial=0.0), sums.sum(axis=1)
        agreed = ((total > 0) & (top >= self.threshold * total - 1e-12 * total)).reshape(track.seen.shape)
        further = np.where(agreed | (track.seen >= self.max_n), 0, 1)
        return {arm: np.where(track.seen < self.floor, self.floor - track.seen, further)}

    def choose(self, history: History) -> Ballot:
        """The answer with the most confidence; where no draw has any, none."""
        _, track = only(history)
        sums, first = self._sums(track)
        top = sums.max(axis=1, keepdims=True, initial=0.0)
        wins = (sums >= top - 1e-12 * top) & (sums > 0)
        if self.ties == "first":
            wins &= np.cumsum(wins, axis=1) == 1
        row, answer = np.nonzero(wins)
        dense = np.zeros(sums.shape)
        dense[row, first[row, answer]] = 1.0
        return Ballot.of(dense)

    def _sums(self, track: Track) -> tuple[Floats, Ints]:
        """[row, answer] confidence of the draws above the bar, and the draw at which the answer was first seen."""
        answers = track.answer
        codes = answers.reshape(-1, answers.shape[-1])
        scores = track.column(self.by).reshape(codes.shape)
        known = ~np.isnan(scores)
        bar = np.full((codes.shape[0], 1), -np.inf)
        warm = scores[:, : self.floor]
        some = ~np.isnan(warm).all(axis=1) if warm.size else np.zeros(len(codes), dtype=bool)
        bar[some, 0] = np.nanquantile(warm[some], 1 - self.keep, axis=1) if some.any() else -np.inf
        return gather(codes, np.where(known & (scores >= bar), np.maximum(scores, 0.0), 0.0))
