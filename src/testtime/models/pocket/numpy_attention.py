"""Attention in numpy: rows of any length at once, each over the pages of its own text and no others.

A pair is (row, page). Each pair is one product of fixed shape, whatever the company; pairs of one row are added
one after the other, so that pages beyond a text would add exact zeros.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from testtime.models.pocket.cache import BLOCK, Cache, Ids
from testtime.models.pocket.weights import Array, Config


class Turns:
    """Rotary tables [position, 2, heads · dim / 2] for queries and keys side by side, first halves before second."""

    def __init__(self, config: Config, turns: Array) -> None:
        wide = np.tile(turns, config.heads + config.kv_heads)
        self.cosines = np.stack([wide[:, 0], wide[:, 0]], axis=1)
        self.sines = np.stack([-wide[:, 1], wide[:, 1]], axis=1)


def halved(config: Config, qkv: Array) -> Array:
    """Columns of [in, query, key and value heads]: first halves of all queries and keys, second halves, values."""
    turned = (config.heads + config.kv_heads) * config.head_dim
    halves = qkv[:, :turned].reshape(len(qkv), -1, 2, config.head_dim // 2).swapaxes(1, 2)
    return np.concatenate([halves.reshape(len(qkv), turned), qkv[:, turned:]], axis=1)


class Attention:
    """One pass at a time over a cache: `begin` it, then attend layer by layer."""

    def __init__(self, config: Config, turns: Turns, cache: Cache) -> None:
        self.config, self.turns, self.cache = config, turns, cache
        self._turned = (config.heads + config.kv_heads) * config.head_dim
        self._scale = np.float32(1 / np.sqrt(config.head_dim))
        self._room(0)

    def _room(self, pairs: int) -> None:
        c = self.config
        front = (pairs, c.kv_heads, c.heads // c.kv_heads)
        self._queries, self._mixed = np.zeros((2, *front, c.head_dim), np.float32)
        self._scores = np.zeros((*front, BLOCK), np.float32)
        self._tops, self._sums = np.zeros((2, *front), np.float32)

    def begin(self, slots: Ids, positions: Ids) -> None:
        """A row of each slot and position; a row sees its slot up to its position, whose page is there."""
        self._cos, self._sin = self.turns.cosines[positions], self.turns.sines[positions]
        self._crossed = np.empty_like(self._cos)
        blocks = positions // BLOCK
        self._most = int(blocks.max()) + 1
        row, place = self._pairs(slots, blocks)
        self._row = row
        if len(row) >= len(self._scores):
            self._room(len(row) + len(row) // 2 + 1)
        seen = positions[row] + 1 - place * BLOCK
        self._beyond = (np.arange(BLOCK) >= seen[:, None])[:, None, None]
        self._index(self.cache.pages[slots, blocks], positions % BLOCK)

    def _pairs(self, slots: Ids, blocks: Ids) -> tuple[Ids, Ids]:
        """(Row, block) of each pair; sets which pairs are a row's, and which products make them."""
        cache, rows, used = self.cache, len(slots), self.cache.used
        distinct = rows == 1 or bool((np.diff(slots) > 0).all())
        if distinct and used <= 2 * int((blocks + 1).sum()):  # all pages there are, in one product
            row_of = np.zeros(len(cache.pages), np.int64)
            row_of[slots] = np.arange(rows)
            self._pair = cache.pages[slots, : self._most]
            self._pair[np.arange(self._most) > blocks[:, None]] = -1
            self._parts: list[tuple[slice, slice | int]] = [(slice(0, used), slice(0, used))]
            return row_of[cache.owners[:used]], cache.places[:used]
        self._pair, self._parts, at = np.full((rows, self._most), -1), [], 0
        row, place = [], []
        for low, high in pairwise([0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), rows]):
            for block in range(int(blocks[high - 1]) + 1):
                first = low + int(np.searchsorted(blocks[low:high], block))
                end = at + high - first
                self._pair[first:high, block] = np.arange(at, end)
                self._parts.append((slice(at, end), int(cache.pages[slots[low], block])))
                row.append(np.arange(first, high))
                place.append(np.full(high - first, block))
                at = end
        return np.concatenate(row), np.concatenate(place)

    def _index(self, pages: Ids, inside: Ids) -> None:
        """Where each row's key and value [row, number] lie in a layer's keys and values."""
        c = self.config
        numbers = np.arange(c.kv_heads * c.head_dim)
        head, dim = numbers // c.head_dim, numbers % c.head_dim
        start = pages[:, None] * (c.kv_heads * c.head_dim * BLOCK)
        self._keys_at = start + (numbers * BLOCK + inside[:, None])
        self._values_at = start + (head * c.head_dim * BLOCK + dim + inside[:, None] * c.head_dim)

    def layer(self, index: int, qkv: Array, out: Array) -> None:
        """Rotates queries and keys [row, `halved`] in place, keeps keys and values, attends: out [row, head · dim]."""
        c, rows, count = self.config, len(qkv), len(self._row)
        turned = qkv[:, : self._turned].reshape(rows, 2, self._turned // 2)
        np.multiply(turned[:, ::-1], self._sin, out=self._crossed)
        turned *= self._cos
        turned += self._crossed
        halves = turned.reshape(rows, 2, c.heads + c.kv_heads, c.head_dim // 2).swapaxes(1, 2)
        keys, values = self.cache.keys[index], self.cache.values[index]
        keys.reshape(-1)[self._keys_at] = halves[:, c.heads :].reshape(rows, -1)
        values.reshape(-1)[self._values_at] = qkv[:, self._turned :]
        queries = (halves[:, : c.heads] * self._scale).reshape(rows, c.kv_heads, c.heads // c.kv_heads, c.head_dim)
        queries.take(self._row, axis=0, out=self._queries[:count], mode="clip")
        self._weigh(keys, count)
        scores, mixed, sums = self._scores[:count], self._mixed[: count + 1], self._sums[: count + 1]
        np.add.reduce(scores, axis=3, out=sums[:count])
        for pairs, pages in self._parts:
            np.matmul(scores[pairs], values[pages], out=mixed[pairs])
        mixed[count], sums[count] = 0, 0
        first, *others = self._pair.T
        mix, total = mixed[first], sums[first]
        for pair in others:
            mix += mixed[pair]
            total += sums[pair]
        np.divide(mix, total[..., None], out=out.reshape(mix.shape))

    def _weigh(self, keys: Array, count: int) -> None:
        """Scores = e^(query · key − the row's greatest); 0 beyond the row's position."""
        scores, tops = self._scores[:count], self._tops[: count + 1]
        for pairs, pages in self._parts:
            np.matmul(self._queries[pairs], keys[pages], out=scores[pairs])
        np.copyto(scores, -np.inf, where=self._beyond)
        np.maximum.reduce(scores, axis=3, out=tops[:count])
        tops[count] = -np.inf
        top = tops[self._pair].max(axis=1)
        scores -= top[self._row][..., None]
        np.exp(scores, out=scores)
