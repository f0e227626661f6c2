"""Keys and values of texts that may be gone on from: prompts, and candidates that a limit or a stop string ended."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import OrderedDict

import numpy as np

from testtime.models.pocket.runtime import Runtime
from testtime.models.pocket.weights import Array

Saved = tuple[Array, Array]
Tokens = tuple[int, ...]

WORTH = 8
"""New tokens that make a text worth keeping: fewer are computed again in less time than a copy takes."""


class Kept:
    """The least recently used go first when there is no more room. Shared by all threads of a model.

    What is taken from here has the very bits that computing it anew would give (see runtime.py), so a hit
    or a miss changes the time alone.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        """Bytes."""
        self.reused = 0
        """Tokens that were taken from here so far. A request's `Spend` does not tell: that would depend on company."""
        self._texts: OrderedDict[Tokens, Saved] = OrderedDict()
        self._sorted: list[Tokens] = []
        """The same texts in order: the one that begins most alike stands beside a text's own place."""
        self._bytes = 0
        self._lock = threading.Lock()

    def restore(self, runtime: Runtime, slot: int, tokens: Tokens, most: int) -> int:
        """Puts into a slot what is kept of the first `most` tokens of a text; gives how many that is."""
        shared, found = self.longest(tokens)
        shared = min(shared, most)
        if found is not None:
            runtime.cache.restore(slot, found, shared)
        self.reused += shared
        return shared

    def fill(self, runtime: Runtime, slot: int, tokens: Tokens) -> Array:
        """Computes a text into a slot, as far as it is not kept, and keeps it; the logits after it [1, vocabulary]."""
        shared = self.restore(runtime, slot, tokens, len(tokens) - 1)  # the last one's logits are wanted
        places = np.arange(shared, len(tokens))
        states = runtime.forward(np.array(tokens[shared:]), np.full_like(places, slot), places, places[-1:] - shared)
        self.note(runtime, slot, tokens, shared)
        return runtime.logits(states)

    def note(self, runtime: Runtime, slot: int, tokens: Tokens, shared: int) -> None:
        """Keeps the text in a slot, unless it has hardly more tokens than the `shared` ones that are kept already."""
        if len(tokens) - shared >= WORTH:
            self.put(tokens, runtime.cache.save(slot, len(tokens)))

    def put(self, tokens: Tokens, saved: Saved) -> None:
        """Keeps a text."""
        with self._lock:
            if tokens in self._texts:
                return
            self._texts[tokens] = saved
            insort(self._sorted, tokens)
            self._bytes += _size(saved)
            while self._bytes > self.room:
                gone, saved = self._texts.popitem(last=False)
                del self._sorted[bisect_left(self._sorted, gone)]
                self._bytes -= _size(saved)

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._texts.clear()
            self._sorted.clear()
            self._bytes = 0

    def longest(self, tokens: Tokens) -> tuple[int, Saved | None]:
        """The kept text that shares the longest beginning, and how many tokens that is."""
        with self._lock:
            place = bisect_left(self._sorted, tokens)
            beside = self._sorted[max(place - 1, 0) : place + 1]
            best, found = max(((_shared(text, tokens), text) for text in beside), default=(0, ()))
            if not best:
                return 0, None
            self._texts.move_to_end(found)
            return best, self._texts[found]


def _shared(one: Tokens, other: Tokens) -> int:
    """How many tokens two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _size(saved: Saved) -> int:
    return saved[0].nbytes + saved[1].nbytes
