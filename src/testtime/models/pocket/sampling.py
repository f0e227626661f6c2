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
    warm = settings.temperature > 0
    if not warm.all():
        chosen: Ids = np.argmax(logits, axis=1)
        if warm.any():
            chosen[warm] = choose(np.ascontiguousarray(logits[warm]), settings.at(warm), positions[warm])
        return chosen
    heights = law(logits, settings).astype(np.float64)
    np.add.accumulate(heights, axis=1, out=heights)
    targets = uniforms(settings.seed, positions) * heights[:, -1]
    return np.asarray(np.count_nonzero(heights <= targets[:, None], axis=1))


def law(logits: Array, settings: Settings) -> Array:
    """[row, token] weights proportional to the probabilities, 0 for tokens that are cut.

    As elsewhere, temperature first, then top-k (tokens level with the k-th stay), then top-p of what is left:
    the fewest most probable tokens that reach p, at least one (tokens level with the last of them stay).
    """
    weights = logits / settings.temperature[:, None]
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    cuts_k, cuts_p = settings.top_k > 0, settings.top_p < 1
    if not (cuts_k.any() or cuts_p.any()):
        return weights
    rows, size = np.arange(len(weights)), weights.shape[1]
    falling = np.sort(weights, axis=1)[:, ::-1]
    floor = falling[rows, np.where(cuts_k, np.minimum(settings.top_k, size), size) - 1]
    if cuts_p.any():
        held = np.where(falling < floor[:, None], 0.0, falling) if cuts_k.any() else falling.astype(np.float64)
        np.add.accumulate(held, axis=1, out=held)
        enough = settings.top_p.astype(np.float64) * held[:, -1]
        short = np.count_nonzero(held < enough[:, None], axis=1)
        floor = np.where(cuts_p, np.maximum(floor, falling[rows, np.minimum(short, size - 1)]), floor)
    np.copyto(weights, 0, where=weights < floor[:, None])
    return weights


def log_law(logits: Array) -> Reals:
    """[row, token] the model's own log-probabilities: natural, at temperature 1, nothing cut."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
