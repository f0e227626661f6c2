"""The law of the next token after temperature, top-k and top-p, and a draw from it by a counter.

The random number of a candidate's token depends on its seed and the token's position alone, so a draw does
not depend on what else is drawn, and going on from a text draws what an uninterrupted run would have drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket.params import Params
from testtime.models.pocket.weights import Array

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass
class Settings:
    """[row] how each row samples."""

    seed: NDArray[np.uint64]
    temperature: Array
    """0: the most probable token."""
    top_k: Ids
    """0: all tokens."""
    top_p: Array
    """1: all tokens."""

    @classmethod
    def room(cls, rows: int) -> Settings:
        """For that many rows, to be `set`."""
        types: tuple[Any, ...] = (np.uint64, np.float32, np.int64, np.float32)
        return cls(*(np.zeros(rows, dtype) for dtype in types))

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The four arrays."""
        return self.seed, self.temperature, self.top_k, self.top_p

    def set(self, row: int, seed: int, params: Params) -> None:
        """How one row samples from now on."""
        values = (seed % 2**64, params.temperature, params.top_k, params.top_p)
        for column, value in zip(self.columns, values, strict=True):
            column[row] = value

    def at(self, rows: NDArray[np.bool_] | slice) -> Settings:
        """The settings of some rows."""
        return Settings(*(column[rows] for column in self.columns))


@dataclass
class Rows:
    """[row] what is being written, and how: a lane's rows, as a runtime writes them."""

    token: Ids
    """The last one, whose keys and values are not in the cache yet."""
    position: Ids
    """Of that token; the next one is drawn by it, plus one."""
    left: Ids
    """Tokens that may still be drawn."""
    settings: Settings
    stoppers: NDArray[np.bool_]
    """[row, token] whether a stop string may be complete with this token."""

    @classmethod
    def room(cls, rows: int, vocabulary: int) -> Rows:
        """For that many rows, to be set."""
        token, position, left = np.zeros((3, rows), np.int64)
        return cls(token, position, left, Settings.room(rows), np.zeros((rows, vocabulary), dtype=bool))

    def move(self, source: int, target: int) -> None:
        """Row `source` takes the place of row `target`."""
        for column in (self.token, self.position, self.left, self.stoppers, *self.settings.columns):
            column[target] = column[source]


def uniforms(seeds: NDArray[np.uint64], positions: Ids) -> Reals:
    """[row] numbers in [0, 1), multiples of 2^-32: a hash of (seed, position).

    Two rounds of the finaliser of SplitMix64 (Steele, Lea, Flood 2014), one for the seed and one for
    the position, so that neighbouring seeds and positions share nothing.
    """
    mixed = _mix(_mix(seeds * _GOLDEN + _GOLDEN) + positions.astype(np.uint64) * _GOLDEN)
    return (mixed >> np.uint64(32)).astype(np.float64) * 2.0**-32


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def choose(logits: Array, settings: Settings, positions: Ids) -> Ids:
    """[row] one token each. Ties at temperature 0 go to the smaller id."""
    chosen: Ids = np.argmax(logits, axis=1)
    warm = settings.temperature > 0
    if not warm.all():
        if warm.any():
            chosen[warm] = choose(np.ascontiguousarray(logits[warm]), settings.at(warm), positions[warm])
        return chosen
    weights = law(logits, settings)
    heights = np.cumsum(weights, axis=1, dtype=np.float64)
    targets = uniforms(settings.seed, positions) * heights[:, -1]
    return np.asarray((heights <= targets[:, None]).sum(axis=1))


def law(logits: Array, settings: Settings) -> Array:
    """[row, token] weights proportional to the probabilities, 0 for tokens that are cut.

    As elsewhere, temperature first, then top-k (tokens level with the k-th stay), then top-p of what is left:
    the fewest most probable tokens that reach p, at least one (tokens level with the last of them stay).
    """
    weights = logits / settings.temperature[:, None]
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    cut_k, cut_p = settings.top_k > 0, settings.top_p < 1
    if not (cut_k.any() or cut_p.any()):
        return weights
    falling = -np.sort(-weights, axis=1)
    size = weights.shape[1]
    ranks = np.where(cut_k, np.minimum(settings.top_k, size), size) - 1
    floor = np.take_along_axis(falling, ranks[:, None], axis=1)
    np.copyto(falling, 0, where=falling < floor)
    reached = np.cumsum(falling, axis=1, dtype=np.float64)
    before = reached - falling  # what more probable tokens hold together
    kept = (before < settings.top_p[:, None].astype(np.float64) * reached[:, -1:]) & (falling > 0)
    kept[:, 0] = True
    last = kept.sum(axis=1) - 1
    floor = np.where(cut_p, np.take_along_axis(falling, last[:, None], axis=1)[:, 0], floor[:, 0])
    np.copyto(weights, 0, where=weights < floor[:, None])
    return weights


def log_law(logits: Array) -> Reals:
    """[row, token] the model's own log-probabilities: natural, at temperature 1, nothing cut."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
