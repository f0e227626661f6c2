"""Self-consistency: the answer with the most votes (Wang et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Ballot, Ints, Track
from testtime.core.settings import check, setting
from testtime.policies.settings import TIES


@dataclass(frozen=True)
class Majority:
    """Each answer is represented by the draw at which it was first seen."""

    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "majority"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check(self)

    def ballot(self, track: Track) -> Ballot:
        """No entry for a row where nobody voted."""
        tally = track.tally
        tied, leader = tally.tied.reshape(-1), tally.leader.reshape(-1)
        alone = np.flatnonzero((tied == 1) if self.ties == "uniform" else (tied > 0))
        row, draw, weight = alone, leader[alone].astype(np.int64), np.ones(alone.size)
        shared = np.flatnonzero(tied > 1)
        if self.ties == "uniform" and shared.size:
            among = Track(track.cells, track.rows.reshape(-1)[shared], track.seen.reshape(-1)[shared])
            which, also = _leaders(among.answer)
            row, draw = np.concatenate([row, shared[which]]), np.concatenate([draw, also])
            weight = np.concatenate([weight, 1.0 / tied[shared[which]]])
        return Ballot(row, draw, weight, np.zeros(row.shape, dtype=np.int64))


def _leaders(codes: Ints) -> tuple[Ints, Ints]:
    """(Row, draw) of the first sight of every answer that has the most votes in its row."""
    rows, draws = codes.shape
    votes = codes >= 0
    slot = np.arange(rows)[:, None] * draws + np.where(votes, codes, 0)
    counts = np.bincount(slot[votes], minlength=rows * draws).reshape(rows, draws)
    newest = np.maximum.accumulate(codes, axis=1)
    before = np.concatenate([np.full((rows, 1), -1), newest[:, :-1]], axis=1)
    first = votes & (codes > before)  # codes are dealt in order of first sight
    most = np.take_along_axis(counts, np.where(votes, codes, 0), axis=1) == counts.max(axis=1, keepdims=True)
    row, draw = np.nonzero(first & most)
    return row, draw
