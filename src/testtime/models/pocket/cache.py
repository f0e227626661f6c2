"""Keys and values of the texts that a runtime computes, in pages of BLOCK tokens.

A slot is one text's place; its pages may lie anywhere. Pages in use have no gap between them, so that numpy can
take all of them at once: where one is given back, the last one moves into its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from testtime.models.pocket.weights import Array, Config

Ids = NDArray[np.int64]

BLOCK = 64
"""Tokens of a page."""


class Cache:
    """Keys [layer, page, head, dim, BLOCK] and values [layer, page, head, BLOCK, dim] of some slots."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.used = 0
        """Pages in use: the first ones."""
        self.pages: Ids = np.full((0, -(-config.context // BLOCK)), -1)
        """[slot, block] the page that holds a slot's tokens from block · BLOCK on; −1: none."""
        self.owners: Ids = np.zeros(0, np.int64)
        """[page] its slot."""
        self.places: Ids = np.zeros(0, np.int64)
        """[page] which of its slot's blocks it is."""
        self.keys, self.values = self._room(0)

    def _room(self, pages: int) -> tuple[Array, Array]:
        c = self.config
        front = (c.layers, pages, c.kv_heads)
        return np.zeros((*front, c.head_dim, BLOCK), np.float32), np.zeros((*front, BLOCK, c.head_dim), np.float32)

    def reserve(self, slots: int) -> None:
        """Makes room for that many slots, as long as the context; memory that was never written costs nothing."""
        has, blocks = self.pages.shape
        if slots <= has:
            return
        self.pages = np.concatenate([self.pages, np.full((slots - has, blocks), -1)])
        more = np.zeros((slots - has) * blocks, np.int64)
        self.owners, self.places = np.concatenate([self.owners, more]), np.concatenate([self.places, more])
        old, used = (self.keys, self.values), self.used
        self.keys, self.values = self._room(slots * blocks)
        self.keys[:, :used], self.values[:, :used] = old[0][:, :used], old[1][:, :used]

    def extend(self, slots: Ids, positions: Ids) -> None:
        """Gives each slot the page of its position, where it has none; all earlier pages it has, or gets before."""
        blocks = positions // BLOCK
        for row in np.flatnonzero(self.pages[slots, blocks] < 0).tolist():
            self._fit(int(slots[row]), int(blocks[row]) + 1)

    def _fit(self, slot: int, blocks: int) -> Ids:
        """Gives a slot pages for so many blocks at least; these pages."""
        for block in np.flatnonzero(self.pages[slot, :blocks] < 0).tolist():
            self.pages[slot, block], self.owners[self.used], self.places[self.used] = self.used, slot, block
            self.used += 1
        return self.pages[slot, :blocks]

    def release(self, slot: int) -> None:
        """Gives all pages of a slot back."""
        for block in range(int((self.pages[slot] >= 0).sum())):
            hole, last = int(self.pages[slot, block]), self.used - 1
            self.pages[slot, block] = -1
            if hole != last:
                self.keys[:, hole], self.values[:, hole] = self.keys[:, last], self.values[:, last]
                owner, place = self.owners[last], self.places[last]
                self.owners[hole], self.places[hole], self.pages[owner, place] = owner, place, hole
            self.used = last

    def clear(self) -> None:
        """Gives all pages of all slots back."""
        self.pages[:] = -1
        self.used = 0

    def move(self, source: int, target: int) -> None:
        """The text of one slot into another, which loses its own."""
        self.release(target)
        self.pages[target] = self.pages[source]
        self.pages[source] = -1
        self.owners[self.pages[target][self.pages[target] >= 0]] = target

    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        """The first `tokens` of one slot into others."""
        blocks = -(-tokens // BLOCK)
        pages = np.stack([self._fit(target, blocks) for target in targets])
        for block, page in enumerate(self.pages[source, :blocks].tolist()):
            self.keys[:, pages[:, block]] = self.keys[:, page, None]
            self.values[:, pages[:, block]] = self.values[:, page, None]

    def save(self, slot: int, tokens: int) -> tuple[Array, Array]:
        """A copy of the first `tokens` of a slot [layer, block, …], for `restore`."""
        pages = self.pages[slot, : -(-tokens // BLOCK)]
        return self.keys[:, pages], self.values[:, pages]

    def restore(self, slot: int, saved: tuple[Array, Array], tokens: int) -> None:
        """Puts the first `tokens` of what was saved into a slot."""
        blocks = -(-tokens // BLOCK)
        pages = self._fit(slot, blocks)
        self.keys[:, pages], self.values[:, pages] = saved[0][:, :blocks], saved[1][:, :blocks]

    @staticmethod
    def bytes_of(config: Config, tokens: int) -> int:
        """What a text takes."""
        return 8 * config.layers * config.kv_heads * config.head_dim * BLOCK * -(-tokens // BLOCK)
