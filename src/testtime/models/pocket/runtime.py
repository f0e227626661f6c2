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

from testtime.models.pocket.numpy_ops import BLOCK
from testtime.models.pocket.sampling import Rows
from testtime.models.pocket.weights import Array, Config, Weights

Ids = NDArray[np.int64]

ROWS = 256
"""Rows of one pass through the layers."""


class Cache:
    """Keys and values by slot: a slot is one text's room.

    Keys [layer, slot, block, head, dim, BLOCK], values [layer, slot, block, head, BLOCK, dim]. It grows when a
    longer text or more slots are asked for.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.keys, self.values = self._room(0, 0)

    def _room(self, slots: int, blocks: int) -> tuple[Array, Array]:
        c = self.config
        front = (c.layers, slots, blocks, c.kv_heads)
        return np.zeros((*front, c.head_dim, BLOCK), np.float32), np.zeros((*front, BLOCK, c.head_dim), np.float32)

    def reserve(self, slots: int, tokens: int, lengths: Ids | None = None) -> None:
        """Makes room for that many slots of that many tokens, keeping the first `lengths[i]` tokens of slot i.

        Memory that was never written costs nothing until it is.
        """
        _, has_slots, has_blocks = self.keys.shape[:3]
        blocks = -(-tokens // BLOCK)
        if slots <= has_slots and blocks <= has_blocks:
            return
        old = self.keys, self.values
        self.keys, self.values = self._room(max(slots, has_slots), max(blocks, has_blocks))
        for slot, length in enumerate(() if lengths is None else lengths.tolist()):
            live = -(-length // BLOCK)
            self.keys[:, slot, :live], self.values[:, slot, :live] = old[0][:, slot, :live], old[1][:, slot, :live]

    def copy(self, source: int, targets: slice | list[int], tokens: int) -> None:
        """The first `tokens` of one slot into others."""
        blocks = -(-tokens // BLOCK)
        self.keys[:, targets, :blocks] = self.keys[:, source, None, :blocks]
        self.values[:, targets, :blocks] = self.values[:, source, None, :blocks]

    def save(self, slot: int, tokens: int) -> tuple[Array, Array]:
        """A copy of the first `tokens` of a slot, for `restore`."""
        blocks = -(-tokens // BLOCK)
        return self.keys[:, slot, :blocks].copy(), self.values[:, slot, :blocks].copy()

    def restore(self, slot: int, saved: tuple[Array, Array], tokens: int) -> None:
        """Puts the first `tokens` of what was saved into a slot."""
        blocks = -(-tokens // BLOCK)
        self.keys[:, slot, :blocks] = saved[0][:, :blocks]
        self.values[:, slot, :blocks] = saved[1][:, :blocks]

    @staticmethod
    def bytes_of(config: Config, tokens: int) -> int:
        """What one slot takes."""
        return 8 * config.layers * config.kv_heads * config.head_dim * BLOCK * -(-tokens // BLOCK)


class Runtime(ABC):
    """One model on one thread, over buffers and a cache of its own."""

    kind: ClassVar[str]
    """What computes."""

    def __init__(self, config: Config) -> None:
        self.config, self.cache = config, Cache(config)

    def forward(self, tokens: Ids, slots: Ids, positions: Ids, wanted: Ids | None = None) -> Array:
        """[wanted, width] the normed states after the rows `wanted`, in rising order (None: all rows).

        Keys and values of all rows are written to the cache. Rows of one slot come in order of position, after
        all earlier positions of that slot are in the cache.
        """
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
