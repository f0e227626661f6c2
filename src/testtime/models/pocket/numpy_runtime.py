"""The runtime in numpy alone: matrix products by BLAS, in tiles of one shape whatever the batch.

- Products are done in tiles of TILE rows and panels of PANEL columns, rows that are missing filled up: BLAS picks
  its order of summation by shape, so one shape is one order.
- Attention adds up pages of keys one after the other: see numpy_attention.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket import numpy_ops, sampling
from testtime.models.pocket.cache import Ids
from testtime.models.pocket.numpy_attention import Attention, Turns, halved
from testtime.models.pocket.runtime import ROWS, Maker, Runtime, turns_of
from testtime.models.pocket.sampling import Rows
from testtime.models.pocket.weights import Array, Layer, Weights

TILE, PANEL = 4, 256
"""Rows and columns of a product."""


Panels = list[tuple[slice, Array]]


def _panels(matrix: Array) -> Panels:
    """A matrix cut into contiguous panels of columns."""
    cuts = (slice(low, low + PANEL) for low in range(0, matrix.shape[1], PANEL))
    return [(cut, np.ascontiguousarray(matrix[:, cut])) for cut in cuts]


class Packed:
    """Weights cut into panels, constant factors worked in: made once, shared by the runtimes of all threads."""

    def __init__(self, weights: Weights) -> None:
        self.config, self.embedding = weights.config, weights.embedding
        self.turns = Turns(weights.config, turns_of(weights.config))
        self.layers = [self._layer(layer) for layer in weights.layers]
        self.head = _panels(self._normed(weights.norm, weights.head))

    def _layer(self, layer: Layer) -> tuple[Panels, Panels, Panels, Panels]:
        """Query-key-value, out, gate-up, down."""
        qkv = halved(self.config, self._normed(layer.norm, layer.qkv))
        gate_up = self._normed(layer.norm_gated, layer.gate_up)
        gate_up[:, : self.config.hidden] *= np.float32(0.5)
        return _panels(qkv), _panels(layer.out), _panels(gate_up), _panels(layer.down)

    def _normed(self, norm: Array, matrix: Array) -> Array:
        """A matrix that takes what `numpy_ops.norm` gives."""
        return matrix * (norm * np.float32(np.sqrt(self.config.width)))[:, None]


class NumpyRuntime(Runtime):
    """See Runtime."""

    kind = "numpy"
    best = 64

    def __init__(self, packed: Packed) -> None:
        super().__init__(packed.config)
        c, self.packed = packed.config, packed
        heads, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
        widths = {"x": c.width, "normed": c.width, "qkv": heads + 2 * keys, "heads": heads, "delta": c.width}
        widths |= {"gate_up": 2 * c.hidden, "gated": c.hidden}
        self.room = {name: np.zeros((ROWS, width), np.float32) for name, width in widths.items()}
        self.attention = Attention(c, packed.turns, self.cache)
        self.epsilon = c.epsilon * c.width

    def write(self, rows: Rows, count: int, ends: NDArray[np.bool_], most: int) -> tuple[Ids, Array]:
        """See Runtime; always one step."""
        logits = self.logits(self.forward(rows.token[:count], np.arange(count), rows.position[:count]))
        rows.position[:count] += 1
        rows.left[:count] -= 1
        rows.token[:count] = self.choose(logits, rows, 0)
        return rows.token[None, :count].copy(), logits

    def choose(self, logits: Array, rows: Rows, low: int) -> Ids:
        """See Runtime."""
        part = slice(low, low + len(logits))
        return sampling.choose(logits, rows.settings.at(part), rows.position[part])

    def _pass(self, tokens: Ids, slots: Ids, positions: Ids, wanted: Ids, out: Array) -> None:
        """See Runtime."""
        rows = len(tokens)
        x = self.room["x"]
        x[rows : rows + TILE] = 0
        np.take(self.packed.embedding, tokens, axis=0, out=x[:rows])
        self.attention.begin(slots, positions)
        for index, (w_qkv, w_out, w_gate_up, w_down) in enumerate(self.packed.layers):
            self._attend(index, rows, w_qkv)
            if index == len(self.packed.layers) - 1 and len(wanted) < rows:  # beyond, only wanted rows are of use
                rows = len(wanted)
                x[:rows], self.room["heads"][:rows] = x[wanted], self.room["heads"][wanted]
            self._gate(rows, w_out, w_gate_up, w_down)
        numpy_ops.norm(x[:rows], self.epsilon, out)

    def _attend(self, index: int, rows: int, w_qkv: Panels) -> None:
        x, normed, qkv = self._padded(rows, "x", "normed", "qkv")
        numpy_ops.norm(x, self.epsilon, normed)
        _product(normed, w_qkv, qkv)
        self.attention.layer(index, qkv[:rows], self.room["heads"][:rows])

    def _gate(self, rows: int, w_out: Panels, w_gate_up: Panels, w_down: Panels) -> None:
        x, normed, heads, delta, gate_up, gated = self._padded(
            rows, "x", "normed", "heads", "delta", "gate_up", "gated"
        )
        _product(heads, w_out, delta)
        x += delta
        numpy_ops.norm(x, self.epsilon, normed)
        _product(normed, w_gate_up, gate_up)
        numpy_ops.gate(gate_up, gated)
        _product(gated, w_down, delta)
        x += delta

    def _padded(self, rows: int, *names: str) -> list[Array]:
        """The named buffers, as many rows as whole tiles; what stands beyond `rows` is finite and of no use."""
        whole = -(-rows // TILE) * TILE
        return [self.room[name][:whole] for name in names]

    def logits(self, states: Array) -> Array:
        """See Runtime."""
        out = np.empty((-(-len(states) // TILE) * TILE, self.config.vocab_size), np.float32)
        padded = np.zeros((len(out), self.config.width), np.float32)
        padded[: len(states)] = states
        _product(padded, self.packed.head, out)
        return out[: len(states)]

    def last_queries(self, rows: int) -> Array:
        """See Runtime."""
        c = self.config
        turned = self.room["qkv"][:rows, : (c.heads + c.kv_heads) * c.head_dim]
        halves = turned.reshape(rows, 2, -1, c.head_dim // 2).swapaxes(1, 2)
        return halves[:, : c.heads].reshape(rows, c.heads, c.head_dim)


def _product(left: Array, panels: Panels, out: Array) -> None:
    """Out = left @ matrix in tiles of fixed shape; rows are a multiple of TILE."""
    tiles, result = left.reshape(-1, TILE, left.shape[1]), out.reshape(-1, TILE, out.shape[1])
    for cut, panel in panels:
        np.matmul(tiles, panel, out=result[:, :, cut])


def ready(weights: Weights) -> Maker:
    """Lays the weights out for numpy."""
    packed = Packed(weights)
    return lambda: NumpyRuntime(packed)
