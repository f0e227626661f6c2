"""The runtime by numba: a whole step through all layers, and many steps of writing, in one call without the lock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket import kernels
from testtime.models.pocket.cache import BLOCK, Ids
from testtime.models.pocket.runtime import ROWS, Maker, Runtime, turns_of
from testtime.models.pocket.sampling import Rows
from testtime.models.pocket.weights import Array, Config, Weights

PANEL, LANES = 256, 16
"""Columns of a matrix that lie together at most; narrower matrices are filled up to whole LANES."""


class CompiledRuntime(Runtime):
    """See Runtime."""

    kind = "numba"
    best = 32

    def __init__(self, config: Config, model: kernels.Model) -> None:
        super().__init__(config)
        self.model, self._room = model, _room(config)

    def _pass(self, tokens: Ids, slots: Ids, positions: Ids, wanted: Ids, out: Array) -> None:
        """See Runtime."""
        keys, values = self.cache.keys, self.cache.values
        kernels.passed(self.model, self._room, keys, values, self.cache.pages, tokens, slots, positions, wanted)
        out[:] = self._room.normed[: len(out), : self.config.width]

    def logits(self, states: Array) -> Array:
        """See Runtime."""
        rows, vocabulary = len(states), self.config.vocab_size
        out = np.empty((rows, self._room.logits.shape[1]), np.float32)
        kernels.product(_wide(states, self.model.head.shape[1]), self.model.head, out, rows)
        return np.ascontiguousarray(out[:, :vocabulary])

    def write(self, rows: Rows, count: int, ends: NDArray[np.bool_], most: int) -> tuple[Ids, Array]:
        """See Runtime."""
        drawn = np.empty((most, count), np.int64)
        slots = np.arange(count)
        for ahead in (0, most - 1):  # a page for each of the next tokens
            self.cache.extend(slots, np.minimum(rows.position[:count] + ahead, self.config.context - 1))
        room, keys, values, pages = self._room, self.cache.keys, self.cache.values, self.cache.pages
        steps = kernels.written(self.model, room, keys, values, pages, _plain(rows), slots, ends, drawn)
        return drawn[:steps], self._room.logits[:count, : self.config.vocab_size]

    def choose(self, logits: Array, rows: Rows, low: int) -> Ids:
        """See Runtime."""
        out = np.empty(len(logits), np.int64)
        kernels.chosen(np.ascontiguousarray(logits), _plain(rows), low, self._room, out)
        return out

    def last_queries(self, rows: int) -> Array:
        """See Runtime."""
        c = self.config
        return self._room.qkv[:rows, : c.heads * c.head_dim].reshape(rows, c.heads, c.head_dim)


def ready(weights: Weights) -> Maker:
    """Lays the weights out for the kernels."""
    c, layers = weights.config, weights.layers
    model = kernels.Model(
        embedding=weights.embedding,
        norms=np.stack([np.stack([layer.norm, layer.norm_gated]) for layer in layers]),
        qkv=np.stack([_panels(layer.qkv) for layer in layers]),
        out=np.stack([_panels(layer.out) for layer in layers]),
        gate_up=np.stack([_panels(layer.gate_up) for layer in layers]),
        down=np.stack([_panels(layer.down) for layer in layers]),
        norm=weights.norm,
        head=_panels(weights.head),
        turns=turns_of(c),
        epsilon=c.epsilon,
        heads=c.heads,
        hidden=c.hidden,
        vocabulary=c.vocab_size,
    )
    return lambda: CompiledRuntime(c, model)


def _panels(matrix: Array) -> Array:
    """[panel, in, column] of [in, out], filled up with zeros: columns to whole panels, inputs to whole fours."""
    inputs, columns = matrix.shape
    wide = np.zeros((_up(inputs, 4), _columns(columns)), np.float32)
    wide[:inputs, :columns] = matrix
    panel = min(PANEL, wide.shape[1])
    return np.ascontiguousarray(wide.reshape(len(wide), -1, panel).transpose(1, 0, 2))


def _columns(columns: int) -> int:
    """Columns of a product's result, filled up."""
    return _up(columns, LANES if columns <= PANEL else PANEL)


def _room(c: Config) -> kernels.Room:
    heads, keys = c.heads * c.head_dim, 2 * c.kv_heads * c.head_dim
    longest = max(_up(c.context, BLOCK), _up(c.vocab_size, PANEL), 2 * c.hidden)
    inputs = {"x": c.width, "normed": _up(c.width, 4), "mixed": _up(heads, 4), "gated": _up(c.hidden, 4)}
    outputs = {"qkv": heads + keys, "delta": c.width, "gate_up": 2 * c.hidden, "logits": c.vocab_size}
    widths = inputs | {name: _columns(width) for name, width in outputs.items()}
    buffers = {name: np.zeros((ROWS, width), np.float32) for name, width in widths.items()}
    scores, bits = np.zeros((c.heads, longest), np.float32), np.zeros(longest, np.int32)
    return kernels.Room(**buffers, scores=scores, bits=bits, scale=bits.view(np.float32))


def _wide(rows: Array, width: int) -> Array:
    """Rows filled up with zeros to a width."""
    wide = np.zeros((len(rows), width), np.float32)
    wide[:, : rows.shape[1]] = rows
    return wide


def _plain(rows: Rows) -> kernels.Rows:
    how = rows.settings
    seeds = how.seed, how.temperature, how.top_k, how.top_p
    return kernels.Rows(rows.token, rows.position, rows.left, *seeds, rows.stoppers)


def _up(count: int, whole: int) -> int:
    return -(-count // whole) * whole
