"""The forward pass over rows, a cache updated in place, and the law of the next token.

A row is one token of one text: (token, slot of the cache, position). A prompt is many rows of one slot, a
step of generation one row of many slots, teacher forcing both; all go the same way. What is computed for a
row depends on nothing but its own text, to the bit:

- matrix products are done in tiles of TILE rows and panels of PANEL columns, the same shape whatever the batch
  (a float32 product with one row differs in the last bits from one with many; and tiles this small are also
  where OpenBLAS is fastest on such models: it skips packing and threads);
- attention adds up blocks of BLOCK keys one after the other, so that keys beyond a text add exact zeros.

So a candidate is the same alone or in any company, keys of a shared prefix may be copied, and going on from
a text equals never having stopped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket import numpy_ops
from testtime.models.pocket.numpy_ops import BLOCK, Ops
from testtime.models.pocket.weights import Array, Config, Weights

Ids = NDArray[np.int64]

TILE, PANEL, ROWS = 4, 256, 256
"""Rows of a product, columns of a product, rows of one pass through the layers."""


Panels = list[tuple[slice, Array]]


def _panels(matrix: Array) -> Panels:
    """A matrix cut into contiguous panels of columns."""
    cuts = (slice(low, low + PANEL) for low in range(0, matrix.shape[1], PANEL))
    return [(cut, np.ascontiguousarray(matrix[:, cut])) for cut in cuts]


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


class Packed:
    """Weights cut into panels: made once, shared by the runtimes of all threads."""

    def __init__(self, weights: Weights) -> None:
        self.config, self.embedding, self.norm = weights.config, weights.embedding, weights.norm
        self.turns = _turns(weights.config)
        self.layers = [
            (layer.norm, _panels(layer.qkv), _panels(layer.out), layer.norm_gated, _panels(layer.gate_up),
             _panels(layer.down))
            for layer in weights.layers
        ]  # fmt: skip
        self.head = _panels(weights.head)


class Runtime:
    """One model on one thread: `forward` and `logits`, over buffers and a cache of its own."""

    def __init__(self, packed: Packed, ops: Ops = numpy_ops.OPS) -> None:
        c = self.config = packed.config
        self.packed, self.ops, self.cache = packed, ops, Cache(c)
        heads, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
        widths = {"x": c.width, "normed": c.width, "qkv": heads + 2 * keys, "heads": heads, "delta": c.width}
        widths |= {"gate_up": 2 * c.hidden, "gated": c.hidden}
        self.room = {name: np.zeros((ROWS, width), np.float32) for name, width in widths.items()}

    def forward(self, tokens: Ids, slots: Ids, positions: Ids, wanted: int | None = None) -> Array:
        """[row, width] the normed states after the last `wanted` rows (None: all).

        Keys and values of all rows are written to the cache. Rows of one slot come in order of position, after
        all earlier positions of that slot are in the cache.
        """
        rows = len(tokens)
        skipped = 0 if wanted is None else rows - wanted
        out = np.empty((rows - skipped, self.config.width), np.float32)
        for low in range(0, rows, ROWS):
            high = min(low + ROWS, rows)
            first = min(max(skipped, low), high)
            part = slice(low, high)
            self._pass(tokens[part], slots[part], positions[part], first - low, out[first - skipped : high - skipped])
        return out

    def _pass(self, tokens: Ids, slots: Ids, positions: Ids, first: int, out: Array) -> None:
        """One pass; `out` gets the states from row `first` on."""
        rows = len(tokens)
        x = self.room["x"]
        x[rows : rows + TILE] = 0
        np.take(self.packed.embedding, tokens, axis=0, out=x[:rows])
        for index, (norm, w_qkv, w_out, norm_gated, w_gate_up, w_down) in enumerate(self.packed.layers):
            self._attend(index, rows, norm, w_qkv, slots, positions)
            if index == len(self.packed.layers) - 1 and first:  # beyond, only wanted rows are of use
                x[: rows - first], self.room["heads"][: rows - first] = x[first:rows], self.room["heads"][first:rows]
                rows -= first
            self._gate(rows, w_out, norm_gated, w_gate_up, w_down)
        self.ops.norm(x[:rows], self.packed.norm, self.config.epsilon, out)

    def _attend(self, index: int, rows: int, norm: Array, w_qkv: Panels, slots: Ids, positions: Ids) -> None:
        x, normed, qkv, heads = self._padded(rows, "x", "normed", "qkv", "heads")
        self.ops.norm(x, norm, self.config.epsilon, normed)
        _product(normed, w_qkv, qkv)
        keys, values = self.cache.keys[index], self.cache.values[index]
        self.ops.attend(qkv[:rows], keys, values, slots, positions, self.packed.turns, self.config.heads, heads[:rows])

    def _gate(self, rows: int, w_out: Panels, norm: Array, w_gate_up: Panels, w_down: Panels) -> None:
        x, normed, heads, delta, gate_up, gated = self._padded(
            rows, "x", "normed", "heads", "delta", "gate_up", "gated"
        )
        _product(heads, w_out, delta)
        self.ops.add_norm(x, delta, norm, self.config.epsilon, normed)
        _product(normed, w_gate_up, gate_up)
        self.ops.gate(gate_up, gated)
        _product(gated, w_down, delta)
        x += delta

    def _padded(self, rows: int, *names: str) -> list[Array]:
        """The named buffers, as many rows as whole tiles; what stands beyond `rows` is finite and of no use."""
        whole = -(-rows // TILE) * TILE
        return [self.room[name][:whole] for name in names]

    def logits(self, states: Array) -> Array:
        """[row, vocabulary] of normed states."""
        out = np.empty((-(-len(states) // TILE) * TILE, self.config.vocab_size), np.float32)
        padded = np.zeros((len(out), self.config.width), np.float32)
        padded[: len(states)] = states
        _product(padded, self.packed.head, out)
        return out[: len(states)]

    def last_queries(self, rows: int) -> Array:
        """[row, head, dim] rotated queries of the last layer, of the last `rows` ≤ ROWS rows computed."""
        c = self.config
        return self.room["qkv"][:rows, : c.heads * c.head_dim].reshape(rows, c.heads, c.head_dim)


def _product(left: Array, panels: Panels, out: Array) -> None:
    """Out = left @ matrix in tiles of fixed shape; rows are a multiple of TILE."""
    tiles, result = left.reshape(-1, TILE, left.shape[1]), out.reshape(-1, TILE, out.shape[1])
    for cut, panel in panels:
        np.matmul(tiles, panel, out=result[:, :, cut])


def _turns(config: Config) -> NDArray[Any]:
    """[position, 2, head_dim / 2] cosine and sine of the rotary angles (Su et al. 2021, RoFormer, eq. 34)."""
    powers = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = np.float32(1) / np.float32(config.theta) ** powers
    angles = np.arange(config.context, dtype=np.float32)[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
