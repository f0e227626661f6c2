"""A whole pass through the layers, and steps of writing, compiled by numba and run without the interpreter's lock.

Each row is computed by itself and each sum has a fixed order, so rows do not depend on one another. The compiler
may fuse a product with its sum (`contract`) and ignore signs of zero, no more: a row has the same bits whether it
comes in a tile of four or alone, in a prompt or in a step of writing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from testtime.models.pocket.cache import BLOCK, Ids
from testtime.models.pocket.weights import Array

Bools = NDArray[np.bool_]

_LIBERTIES = {"contract", "nnan", "nsz"}
_compiled = njit(nogil=True, cache=True, fastmath=_LIBERTIES, error_model="numpy", boundscheck=False)
_inlined = njit(inline="always", fastmath=_LIBERTIES, error_model="numpy", boundscheck=False)

LANES = 16
"""Partial sums of a long sum: what a vector register holds."""


class Model(NamedTuple):
    """Weights as the kernels read them: matrices [layer, panel, in, column], columns filled up with zeros."""

    embedding: Array
    norms: Array
    """[layer, 2, width]: before attention, before the gated layer."""
    qkv: Array
    out: Array
    gate_up: Array
    down: Array
    norm: Array
    head: Array
    """[panel, width, column]"""
    turns: Array
    """[position, 2, head_dim / 2] cosine and sine."""
    epsilon: float
    heads: int
    hidden: int
    vocabulary: int


class Room(NamedTuple):
    """Buffers [row, …] of one runtime, as wide as whole panels."""

    x: Array
    normed: Array
    qkv: Array
    mixed: Array
    delta: Array
    gate_up: Array
    gated: Array
    logits: Array
    scores: Array
    """[head, position or token] of one row at a time."""
    bits: NDArray[np.int32]
    scale: Array
    """The memory of `bits`, read as floats."""


class Rows(NamedTuple):
    """[row] what is being written and how: see `lane.Lane` and `sampling.Settings`."""

    token: Ids
    position: Ids
    left: Ids
    seed: NDArray[np.uint64]
    temperature: Array
    top_k: Ids
    top_p: Array
    stoppers: Bools
    """[row, token]"""


@_inlined
def _exp_into(x: Array, room: Room, count: int) -> None:
    """X = exp(x) for x ≤ 0, in place, to 2 units in the last place: 2^n · e^r, n = round(x / ln 2).

    Coefficients are the Taylor series of e^r to r^7 for |r| ≤ ln 2 / 2, with ln 2 in two parts (Cody and Waite).
    Below −87 it gives about 1e-38.
    """
    bits, scale = room.bits, room.scale
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


@_inlined
def _gate(gate_up: Array, room: Room, half: int, out: Array) -> None:
    """Out = silu(gate) · up, in one row; silu(g) = g · e^min(g,0) / (1 + e^−|g|), which cannot overflow."""
    for i in range(half):
        out[i] = -abs(gate_up[i])
    _exp_into(out, room, half)
    for i in range(half):
        g, small = gate_up[i], out[i]
        opened = np.float32(1) if g >= 0 else small
        out[i] = g * opened / (np.float32(1) + small) * gate_up[half + i]


@_compiled
def product(left: Array, panels: Array, out: Array, rows: int) -> None:
    """Out[:rows] = left[:rows] @ matrix, the matrix [panel, in, column]; in tiles of four rows, then one by one.

    Three that are left take less time as a tile with whatever stands beyond them. Each value is c = c + a·w over its
    inputs in order, whatever the tile, so that a row's result is its own.
    """
    whole = rows - rows % 4
    if rows - whole == 3 and min(left.shape[0], out.shape[0]) > rows:
        whole = rows + 1
    for index in range(panels.shape[0]):
        panel, low = panels[index], index * panels.shape[2]
        for row in range(0, whole, 4):
            _four_rows(left, panel, row, out, low)
        for row in range(whole, rows):
            _one_row(left[row], panel, out[row, low : low + panels.shape[2]])


@_inlined
def _four_rows(left: Array, panel: Array, row: int, out: Array, low: int) -> None:
    """Four inputs at a time: sixteen numbers of the left stay in registers, rows of the panel stream past."""
    a, b, d, e = left[row], left[row + 1], left[row + 2], left[row + 3]
    inputs, columns = panel.shape
    c0, c1 = out[row, low : low + columns], out[row + 1, low : low + columns]
    c2, c3 = out[row + 2, low : low + columns], out[row + 3, low : low + columns]
    for j in range(columns):
        c0[j], c1[j], c2[j], c3[j] = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for k in range(0, inputs, 4):
        w0, w1, w2, w3 = panel[k], panel[k + 1], panel[k + 2], panel[k + 3]
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        d0, d1, d2, d3 = d[k], d[k + 1], d[k + 2], d[k + 3]
        e0, e1, e2, e3 = e[k], e[k + 1], e[k + 2], e[k + 3]
        for j in range(columns):
            u0, u1, u2, u3 = w0[j], w1[j], w2[j], w3[j]
            c0[j] = (((c0[j] + a0 * u0) + a1 * u1) + a2 * u2) + a3 * u3
            c1[j] = (((c1[j] + b0 * u0) + b1 * u1) + b2 * u2) + b3 * u3
            c2[j] = (((c2[j] + d0 * u0) + d1 * u1) + d2 * u2) + d3 * u3
            c3[j] = (((c3[j] + e0 * u0) + e1 * u1) + e2 * u2) + e3 * u3


@_inlined
def _one_row(left: Array, panel: Array, out: Array) -> None:
    inputs, columns = panel.shape
    for j in range(columns):
        out[j] = np.float32(0)
    for k in range(0, inputs, 4):
        w0, w1, w2, w3 = panel[k], panel[k + 1], panel[k + 2], panel[k + 3]
        a0, a1, a2, a3 = left[k], left[k + 1], left[k + 2], left[k + 3]
        for j in range(columns):
            out[j] = (((out[j] + a0 * w0[j]) + a1 * w1[j]) + a2 * w2[j]) + a3 * w3[j]


@_inlined
def _rotate(x: Array, turn: Array) -> None:
    half = x.shape[0] // 2
    for i in range(half):
        left, right = x[i], x[half + i]
        x[i] = left * turn[0, i] - right * turn[1, i]
        x[half + i] = right * turn[0, i] + left * turn[1, i]


@_inlined
def _score(query: Array, keys: Array, width: int, p: Array) -> None:
    """p[:width] = query · keys, eight dimensions at a time: rows as whole arrays, so that the loop is vectorised."""
    dim = query.shape[0]
    whole = dim - dim % 8
    for j in range(width):
        p[j] = np.float32(0)
    for d in range(0, whole, 8):
        q0, q1, q2, q3 = query[d], query[d + 1], query[d + 2], query[d + 3]
        q4, q5, q6, q7 = query[d + 4], query[d + 5], query[d + 6], query[d + 7]
        k0, k1, k2, k3 = keys[d], keys[d + 1], keys[d + 2], keys[d + 3]
        k4, k5, k6, k7 = keys[d + 4], keys[d + 5], keys[d + 6], keys[d + 7]
        for j in range(width):
            half = (((p[j] + q0 * k0[j]) + q1 * k1[j]) + q2 * k2[j]) + q3 * k3[j]
            p[j] = (((half + q4 * k4[j]) + q5 * k5[j]) + q6 * k6[j]) + q7 * k7[j]
    for d in range(whole, dim):
        q0, k0 = query[d], keys[d]
        for j in range(width):
            p[j] += q0 * k0[j]


@_inlined
def _weigh(p: Array, room: Room, count: int, padded: int, scale: np.float32) -> None:
    """P = softmax(p · scale) over the first `count`, 0 up to `padded`."""
    top = p[0]
    for j in range(count):
        top = max(top, p[j])
    for j in range(count):
        p[j] = (p[j] - top) * scale
    _exp_into(p, room, count)
    for j in range(count, padded):
        p[j] = np.float32(0)
    share = np.float32(1) / _sum(p, padded)
    for j in range(count):
        p[j] *= share


@_inlined
def _mix(p: Array, low: int, values: Array, width: int, out: Array, dim: int) -> None:
    """Out [head · dim] += p[:, low : low + width] · values [kv head, key, dim], eight keys at a time.

    Width is a multiple of eight, and p is zero beyond the text. Heads take turns, so that no sum waits for itself.
    """
    heads, kv_heads = p.shape[0], values.shape[0]
    for j in range(0, width, 8):
        for head in range(heads):
            v, w, mixed = values[head * kv_heads // heads], p[head, low:], out[head * dim : (head + 1) * dim]
            w0, w1, w2, w3, w4, w5, w6, w7 = w[j], w[j + 1], w[j + 2], w[j + 3], w[j + 4], w[j + 5], w[j + 6], w[j + 7]
            v0, v1, v2, v3, v4, v5, v6, v7 = v[j], v[j + 1], v[j + 2], v[j + 3], v[j + 4], v[j + 5], v[j + 6], v[j + 7]
            for d in range(dim):
                half = (((mixed[d] + w0 * v0[d]) + w1 * v1[d]) + w2 * v2[d]) + w3 * v3[d]
                mixed[d] = (((half + w4 * v4[d]) + w5 * v5[d]) + w6 * v6[d]) + w7 * v7[d]


@_inlined
def _attend(
    qkv: Array, keys: Array, values: Array, pages: Ids, position: int, turn: Array, heads: int, room: Room, out: Array
) -> None:
    """One row: rotates its queries and keys in place, writes keys and values to its page, attends to all so far."""
    kv_heads, dim = keys.shape[1], keys.shape[2]
    page, inside = pages[position // BLOCK], position % BLOCK
    for head in range(heads + kv_heads):
        _rotate(qkv[head * dim : (head + 1) * dim], turn)
    for head in range(kv_heads):
        k = qkv[(heads + head) * dim : (heads + head + 1) * dim]
        v = qkv[(heads + kv_heads + head) * dim : (heads + kv_heads + head + 1) * dim]
        for d in range(dim):
            keys[page, head, d, inside] = k[d]
            values[page, head, inside, d] = v[d]
    count, padded, p = position + 1, (position // LANES + 1) * LANES, room.scores
    scale = np.float32(1 / math.sqrt(dim))
    for head in range(heads):
        query, weights = qkv[head * dim : (head + 1) * dim], p[head]
        for low in range(0, padded, BLOCK):
            near = keys[pages[low // BLOCK], head * kv_heads // heads]
            _score(query, near, min(BLOCK, padded - low), weights[low : low + BLOCK])
        _weigh(weights, room, count, padded, scale)
    for d in range(heads * dim):
        out[d] = np.float32(0)
    for low in range(0, padded, BLOCK):
        _mix(p, low, values[pages[low // BLOCK]], min(BLOCK, padded - low), out, dim)


@_compiled
def passed(
    m: Model, room: Room, keys: Array, values: Array, pages: Ids, tokens: Ids, slots: Ids, places: Ids, wanted: Ids
) -> None:
    """All rows through the layers, keys and values into the cache; the states of rows `wanted` come out in `normed`.

    Rows of one slot come in order of position.
    """
    rows, last = tokens.shape[0], m.qkv.shape[0] - 1
    for row in range(rows):
        room.x[row, :] = m.embedding[tokens[row]]
        _norm_row(room.x[row], m.norms[0, 0], m.epsilon, room.normed[row])
    for layer in range(last + 1):
        product(room.normed, m.qkv[layer], room.qkv, rows)
        for row in range(rows):
            mine, turn, mixed = pages[slots[row]], m.turns[places[row]], room.mixed[row]
            _attend(room.qkv[row], keys[layer], values[layer], mine, places[row], turn, m.heads, room, mixed)
        if layer == last and wanted.shape[0] < rows:  # beyond, only wanted rows are of use
            rows = wanted.shape[0]
            for row in range(rows):
                room.x[row, :] = room.x[wanted[row]]
                room.mixed[row, :] = room.mixed[wanted[row]]
        product(room.mixed, m.out[layer], room.delta, rows)
        _add_norm(room, rows, m.norms[layer, 1], m.epsilon)
        product(room.normed, m.gate_up[layer], room.gate_up, rows)
        for row in range(rows):
            _gate(room.gate_up[row], room, m.hidden, room.gated[row])
        product(room.gated, m.down[layer], room.delta, rows)
        _add_norm(room, rows, m.norm if layer == last else m.norms[layer + 1, 0], m.epsilon)


@_inlined
def _add_norm(room: Room, rows: int, weight: Array, epsilon: float) -> None:
    """X += delta, and its norm into `normed`."""
    for row in range(rows):
        x, delta = room.x[row], room.delta[row]
        for i in range(x.shape[0]):
            x[i] += delta[i]
        _norm_row(x, weight, epsilon, room.normed[row])


@_compiled
def written(
    m: Model, room: Room, keys: Array, values: Array, pages: Ids, rows: Rows, slots: Ids, ends: Bools, drawn: Ids
) -> int:
    """Writes a token in each row, again and again, until a row may have ended or `drawn` [step, row] is full.

    Gives the number of steps. The logits of the last one are in `logits`.
    """
    count, most = slots.shape[0], len(drawn)
    for step in range(most):
        passed(m, room, keys, values, pages, rows.token[:count], slots, rows.position[:count], slots)
        product(room.normed, m.head, room.logits, count)
        is_due = False
        for row in range(count):
            rows.position[row] += 1
            rows.left[row] -= 1
            token = _choice(room.logits[row, : m.vocabulary], rows, row, rows.position[row], room)
            rows.token[row] = token
            drawn[step, row] = token
            is_due |= ends[token] or rows.left[row] <= 0 or rows.stoppers[row, token]
        if is_due:
            return step + 1
    return most


@_compiled
def chosen(logits: Array, rows: Rows, low: int, room: Room, out: Ids) -> None:
    """A token for each row of logits, drawn as row `low`, `low` + 1, … draws at its position."""
    for row in range(out.shape[0]):
        out[row] = _choice(logits[row], rows, low + row, rows.position[low + row], room)


@_compiled
def _choice(logits: Array, rows: Rows, row: int, position: int, room: Room) -> int:
    """See `sampling.choose` and `sampling.law`."""
    size, best = logits.shape[0], 0
    for i in range(1, size):
        if logits[i] > logits[best]:
            best = i
    if rows.temperature[row] == 0:
        return best
    weights = room.scores[0]
    top, temperature = logits[best] / rows.temperature[row], rows.temperature[row]
    for i in range(size):
        weights[i] = logits[i] / temperature - top
    _exp_into(weights, room, size)
    if rows.top_k[row] > 0 or rows.top_p[row] < 1:
        floor = _floor(np.sort(weights[:size])[::-1], rows.top_k[row], np.float64(rows.top_p[row]))
        for i in range(size):
            if weights[i] < floor:
                weights[i] = np.float32(0)
    total = 0.0
    for i in range(size):
        total += np.float64(weights[i])
    target, height, index = _uniform(rows.seed[row], position) * total, np.float64(weights[0]), 0
    while height <= target and index + 1 < size:
        index += 1
        height += np.float64(weights[index])
    return index


@_compiled
def _floor(falling: Array, top_k: int, top_p: float) -> np.float32:
    """The least weight that top-k, then top-p of what is left, keep; of weights in falling order."""
    size = len(falling)
    floor: np.float32 = falling[min(top_k, size) - 1 if top_k > 0 else size - 1]
    if top_p >= 1:
        return floor
    total, held = 0.0, 0.0
    for i in range(size):
        if falling[i] >= floor:
            total += np.float64(falling[i])
    for i in range(size):
        held += np.float64(falling[i])
        if held >= top_p * total or falling[i] <= floor:
            floor = falling[i]
            break
    return floor


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@_inlined
def _mixed(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_compiled
def _uniform(seed: np.uint64, position: int) -> float:
    """See `sampling.uniforms`."""
    hashed = _mixed(_mixed(seed * _GOLDEN + _GOLDEN) + np.uint64(position) * _GOLDEN)
    return np.float64(hashed >> np.uint64(32)) * 2.0**-32
