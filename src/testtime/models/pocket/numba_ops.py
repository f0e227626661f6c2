"""The same small operations as numpy_ops, compiled by numba and run without the interpreter's lock.

Each row is computed by itself and each sum has a fixed order, so rows do not depend on one another here either.
`contract` (fused multiply-add) is the only liberty the compiler has; sums are split by hand into LANES.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from testtime.models.pocket.numpy_ops import BLOCK, Ids, Ops
from testtime.models.pocket.weights import Array

_compiled = njit(nogil=True, cache=True, fastmath={"contract", "nnan", "nsz"}, error_model="numpy", boundscheck=False)
_inlined = njit(inline="always", fastmath={"contract", "nnan", "nsz"}, error_model="numpy", boundscheck=False)

LANES = 16
"""Partial sums of a long sum: what a vector register holds."""


@_inlined
def _exp_into(x: Array, bits: Array, count: int) -> None:
    """X = exp(x) for x ≤ 0, in place, to 2 units in the last place: 2^n · e^r, n = round(x / ln 2).

    Coefficients are the Taylor series of e^r to r^7 for |r| ≤ ln 2 / 2, with ln 2 in two parts (Cody and Waite).
    `bits` is an int32 buffer; x below −87 gives about 1e-38.
    """
    scale = bits.view(np.float32)
    for i in range(count):
        v = max(x[i], np.float32(-87.0))
        n = np.floor(v * np.float32(1.44269504) + np.float32(0.5))
        r = v - n * np.float32(0.693359375)
        r = r + n * np.float32(2.12194440e-4)
        p = np.float32(1 / 5040)
        p = p * r + np.float32(1 / 720)
        p = p * r + np.float32(1 / 120)
        p = p * r + np.float32(1 / 24)
        p = p * r + np.float32(1 / 6)
        p = p * r + np.float32(0.5)
        p = p * r + np.float32(1.0)
        x[i] = p * r + np.float32(1.0)
        bits[i] = (np.int32(n) + np.int32(127)) << np.int32(23)
    for i in range(count):
        x[i] *= scale[i]


_summed = njit(nogil=True, fastmath=True, error_model="numpy", boundscheck=False)
"""For sums alone: the compiler may choose their order, the same for every row of one length."""


@_summed
def _sum(x: Array, count: int) -> np.float32:
    total = np.float32(0)
    for i in range(count):
        total += x[i]
    return total


@_summed
def _squares(x: Array) -> np.float32:
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    return total


@_inlined
def _norm_row(x: Array, weight: Array, epsilon: float, out: Array) -> None:
    width = x.shape[0]
    scale = np.float32(1) / np.float32(math.sqrt(_squares(x) / np.float32(width) + np.float32(epsilon)))
    for i in range(width):
        out[i] = x[i] * scale * weight[i]


@_compiled
def norm(x: Array, weight: Array, epsilon: float, out: Array) -> None:
    """See Ops."""
    for row in range(x.shape[0]):
        _norm_row(x[row], weight, epsilon, out[row])


@_compiled
def add_norm(x: Array, delta: Array, weight: Array, epsilon: float, out: Array) -> None:
    """See Ops."""
    for row in range(x.shape[0]):
        for i in range(x.shape[1]):
            x[row, i] += delta[row, i]
        _norm_row(x[row], weight, epsilon, out[row])


@_compiled
def gate(gate_up: Array, out: Array) -> None:
    """See Ops; silu(g) = g · e^min(g,0) / (1 + e^−|g|), which cannot overflow."""
    half = out.shape[1]
    small = np.empty(half, np.float32)
    bits = np.empty(half, np.int32)
    for row in range(out.shape[0]):
        for i in range(half):
            small[i] = -abs(gate_up[row, i])
        _exp_into(small, bits, half)
        for i in range(half):
            g = gate_up[row, i]
            opened = np.float32(1) if g >= 0 else small[i]
            out[row, i] = g * opened / (np.float32(1) + small[i]) * gate_up[row, half + i]


@_inlined
def _rotate(x: Array, turn: Array) -> None:
    half = x.shape[0] // 2
    for i in range(half):
        left, right = x[i], x[half + i]
        x[i] = left * turn[0, i] - right * turn[1, i]
        x[half + i] = right * turn[0, i] + left * turn[1, i]


@_inlined
def _scores(query: Array, keys: Array, width: int, p: Array) -> None:
    """p[:width] = query · keys, four dimensions at a time: rows as whole arrays, so that the loop is vectorised."""
    dim = query.shape[0]
    whole = dim - dim % 4
    for j in range(width):
        p[j] = np.float32(0)
    for d in range(0, whole, 4):
        q0, q1, q2, q3 = query[d], query[d + 1], query[d + 2], query[d + 3]
        k0, k1, k2, k3 = keys[d], keys[d + 1], keys[d + 2], keys[d + 3]
        for j in range(width):
            p[j] += (q0 * k0[j] + q1 * k1[j]) + (q2 * k2[j] + q3 * k3[j])
    for d in range(whole, dim):
        q0, k0 = query[d], keys[d]
        for j in range(width):
            p[j] += q0 * k0[j]


@_inlined
def _mix(p: Array, values: Array, width: int, out: Array) -> None:
    """Out += p · values, four keys at a time; width is a multiple of four, and p is zero beyond the text."""
    for j in range(0, width, 4):
        p0, p1, p2, p3 = p[j], p[j + 1], p[j + 2], p[j + 3]
        v0, v1, v2, v3 = values[j], values[j + 1], values[j + 2], values[j + 3]
        for d in range(out.shape[0]):
            out[d] += (p0 * v0[d] + p1 * v1[d]) + (p2 * v2[d] + p3 * v3[d])


@_inlined
def _attend_head(
    query: Array, keys: Array, values: Array, head: int, last: int, p: Array, bits: Array, out: Array
) -> None:
    """One head of one row; keys [block, head, dim, BLOCK], values [block, head, BLOCK, dim]."""
    dim, count, padded = query.shape[0], last + 1, (last // LANES + 1) * LANES
    for low in range(0, padded, BLOCK):
        _scores(query, keys[low // BLOCK, head], min(BLOCK, padded - low), p[low : low + BLOCK])
    scale = np.float32(1 / math.sqrt(dim))
    top = p[0]
    for j in range(count):
        top = max(top, p[j])
    for j in range(count):
        p[j] = (p[j] - top) * scale
    _exp_into(p, bits, count)
    for j in range(count, padded):
        p[j] = np.float32(0)
    total = _sum(p, padded)
    for d in range(dim):
        out[d] = np.float32(0)
    for low in range(0, padded, BLOCK):
        _mix(p[low : low + BLOCK], values[low // BLOCK, head], min(BLOCK, padded - low), out)
    for d in range(dim):
        out[d] /= total


@_compiled
def attend(
    qkv: Array, keys: Array, values: Array, slots: Ids, positions: Ids, turns: Array, heads: int, out: Array
) -> None:
    """See Ops."""
    blocks, kv_heads, dim = keys.shape[1], keys.shape[2], keys.shape[3]
    group = heads // kv_heads
    p = np.empty(blocks * BLOCK, np.float32)
    bits = np.empty(blocks * BLOCK, np.int32)
    for row in range(slots.shape[0]):
        slot, position = slots[row], positions[row]
        for head in range(heads + kv_heads):
            _rotate(qkv[row, head * dim : (head + 1) * dim], turns[position])
        for head in range(kv_heads):
            k = qkv[row, (heads + head) * dim : (heads + head + 1) * dim]
            v = qkv[row, (heads + kv_heads + head) * dim : (heads + kv_heads + head + 1) * dim]
            for d in range(dim):
                keys[slot, position // BLOCK, head, d, position % BLOCK] = k[d]
                values[slot, position // BLOCK, head, position % BLOCK, d] = v[d]
        for head in range(heads):
            q = qkv[row, head * dim : (head + 1) * dim]
            mixed = out[row, head * dim : (head + 1) * dim]
            _attend_head(q, keys[slot], values[slot], head // group, position, p, bits, mixed)


OPS = Ops("numba", norm, add_norm, attend, gate)
