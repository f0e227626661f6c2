"""The small operations between matrix products, in numpy. kernels.py has the same ones compiled."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket.weights import Array

Ids = NDArray[np.int64]

BLOCK = 64
"""Keys that attention takes at once."""


def norm(x: Array, weight: Array, epsilon: float, out: Array) -> None:
    """Out = x · weight / rms(x), row by row."""
    scale = np.vecdot(x, x)
    scale *= np.float32(1 / x.shape[1])
    scale += np.float32(epsilon)
    np.sqrt(scale, out=scale)
    np.divide(x, scale[:, None], out=out)
    out *= weight


def add_norm(x: Array, delta: Array, weight: Array, epsilon: float, out: Array) -> None:
    """X += delta, then `norm`."""
    x += delta
    norm(x, weight, epsilon, out)


def gate(gate_up: Array, out: Array) -> None:
    """Out = silu(gate) · up of [row, gate | up]; silu(g) = g/2 · (1 + tanh(g/2)), which cannot overflow."""
    half = out.shape[1]
    opened = gate_up[:, :half] * np.float32(0.5)
    np.tanh(opened, out=out)
    out += np.float32(1)
    out *= opened
    out *= gate_up[:, half:]


def attend(
    qkv: Array, keys: Array, values: Array, slots: Ids, positions: Ids, turns: Array, heads: int, out: Array
) -> None:
    """Rotates queries and keys in place, writes keys and values to the cache, attends from each row to its slot.

    `qkv` [row, heads and keys and values]; `slots` and `positions` [row]; a row sees its slot up to its position.
    """
    rows, kv_heads, dim = len(slots), keys.shape[2], keys.shape[3]
    parts = qkv.reshape(rows, heads + 2 * kv_heads, dim)
    _rotate(parts[:, : heads + kv_heads], turns[positions])
    block, inside = positions // BLOCK, positions % BLOCK
    keys[slots, block, :, :, inside] = parts[:, heads : heads + kv_heads]
    values[slots, block, :, inside] = parts[:, heads + kv_heads :]
    queries = parts[:, :heads].reshape(rows, 1, kv_heads, heads // kv_heads, dim)
    for low, high, where in _runs(slots):
        blocks = int(block[low:high].max()) + 1
        near = queries[low:high], keys[where, :blocks], values[where, :blocks]
        out[low:high] = _attention(*near, positions[low:high]).reshape(high - low, heads * dim)


def _rotate(x: Array, turns: Array) -> None:
    """Rotates the two halves of each head in place by the angles of its position."""
    half = x.shape[2] // 2
    cos, sin = turns[:, 0][:, None], turns[:, 1][:, None]
    left, right = x[..., :half], x[..., half:]
    crossed = left * sin
    left *= cos
    left -= right * sin
    right *= cos
    right += crossed


def _runs(slots: Ids) -> list[tuple[int, int, slice]]:
    """Rows whose slots stand still or count up, as (first row, end, view of the slots)."""
    if len(slots) == 1:
        return [(0, 1, slice(int(slots[0]), int(slots[0]) + 1))]
    steps = np.diff(slots)
    if (steps == 1).all():
        return [(0, len(slots), slice(int(slots[0]), int(slots[-1]) + 1))]
    cuts = [0, *(np.flatnonzero(steps != 0) + 1).tolist(), len(slots)]
    return [(a, b, slice(int(slots[a]), int(slots[a]) + 1)) for a, b in pairwise(cuts)]


def _attention(queries: Array, keys: Array, values: Array, positions: Ids) -> Array:
    """[row, kv head, group, dim] of [row, 1, kv head, group, dim] and blocks of keys and values."""
    scores = queries @ keys  # [row, block, kv head, group, BLOCK]
    scores *= np.float32(1 / np.sqrt(queries.shape[-1]))
    blocks = scores.shape[1]
    beyond = np.arange(blocks * BLOCK).reshape(blocks, 1, 1, BLOCK) > positions[:, None, None, None, None]
    np.copyto(scores, -np.inf, where=beyond)
    scores -= scores.max(axis=(1, 4), keepdims=True)
    np.exp(scores, out=scores)
    sums, mixed = scores.sum(axis=4, keepdims=True), scores @ values
    total, mix = sums[:, 0].copy(), mixed[:, 0].copy()
    for index in range(1, blocks):  # one after the other: blocks beyond a text add exact zeros
        total += sums[:, index]
        mix += mixed[:, index]
    mix /= total
    return np.asarray(mix, np.float32)
