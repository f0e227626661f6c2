"""A runtime: rows through the model, a cache updated in place, and the law of the next token.

A row is one token of one text: (token, slot of the cache, position). A prompt is many rows of one slot, a
step of writing one row of many slots, teacher forcing both; all go the same way. What is computed for a
row depends on nothing but its own text, to the bit: so a candidate is the same alone or in any company, keys of
a shared prefix may be copied, and going on from a text equals never having stopped.

There are two: numpy_runtime.py, and compiled.py by numba. Their last bits differ from each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket.cache import Cache, Ids
from testtime.models.pocket.sampling import Rows
from testtime.models.pocket.weights import Array, Config, Weights

ROWS = 256
"""Rows of one pass through the layers."""


class Runtime(ABC):
    """One model on one thread, over buffers and a cache of its own."""

    kind: ClassVar[str]
    """What computes."""
    best: ClassVar[int]
    """Rows beyond which a step gains nothing: its fixed cost is shared, and keys fit a usual cache."""

    def __init__(self, config: Config) -> None:
        self.config, self.cache = config, Cache(config)

    def forward(self, tokens: Ids, slots: Ids, positions: Ids, wanted: Ids | None = None) -> Array:
        """[wanted, width] the normed states after the rows `wanted`, in rising order (None: all rows).

        Keys and values of all rows are written to the cache. Rows of one slot come in order of position, after
        all earlier positions of that slot are in the cache.
        """
        self.cache.extend(slots, positions)
        wanted = np.arange(len(tokens)) if wanted is None else wanted
        out = np.empty((len(wanted), self.config.width), np.float32)
        cuts = range(0, len(tokens), ROWS)
        bounds = np.searchsorted(wanted, [*cuts, len(tokens)])
        for low, first, end in zip(cuts, bounds, bounds[1:], strict=False):
            part = slice(low, low + ROWS)
            self._pass(tokens[part], slots[part], positions[part], wanted[first:end] - low, out[first:end])
        return out

    @abstractmethod
    def _pass(self, tokens: Ids, slots: Ids, positions: Ids, wanted: Ids, out: Array) -> None:
        """At most ROWS rows; `out` gets the states of the rows `wanted`."""

    @abstractmethod
    def logits(self, states: Array) -> Array:
        """[row, vocabulary] of normed states."""

    @abstractmethod
    def write(self, rows: Rows, count: int, ends: NDArray[np.bool_], most: int) -> tuple[Ids, Array]:
        """Draws a token in each of the first `count` rows, at most `most` times, until a row may have ended.

        Row i is slot i. A row may have ended with a token of `ends`, a stopper of its own, or nothing `left`.
        Gives the tokens [step, row], and the logits [row, vocabulary] of the last step.
        """

    @abstractmethod
    def choose(self, logits: Array, rows: Rows, low: int) -> Ids:
        """One token for each row of logits, as row `low`, `low` + 1, … draws at its position."""

    @abstractmethod
    def last_queries(self, rows: int) -> Array:
        """[row, head, dim] rotated queries of the last layer, of the last `rows` ≤ ROWS rows computed."""


Maker = Callable[[], Runtime]
"""Makes a runtime for one thread; the weights are shared."""
Ready = Callable[[Weights], Maker]
"""Lays the weights out, once."""


def turns_of(config: Config) -> Array:
    """[position, 2, head_dim / 2] cosine and sine of the rotary angles (Su et al. 2021, RoFormer, eq. 34)."""
    powers = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = np.float32(1) / np.float32(config.theta) ** powers
    angles = np.arange(config.context, dtype=np.float32)[:, None] * frequencies
    turns: Array = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return turns
