"""Keys and values of texts that may be gone on from: prompts, and candidates that a limit or a stop string ended."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from testtime.models.pocket.runtime import Runtime
from testtime.models.pocket.weights import Array

Saved = tuple[Array, Array]
Tokens = tuple[int, ...]


class Kept:
    """The least recently used go first when there is no more room. Shared by all threads of a model.

    What is taken from here has the very bits that computing it anew would give (see runtime.py), so a hit
    or a miss changes the time alone.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        """Bytes."""
        self._texts: OrderedDict[Tokens, Saved] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def fill(self, runtime: Runtime, slot: int, tokens: Tokens) -> tuple[Array, Saved, int]:
        """Computes a text into a slot, as far as it is not kept, and keeps it.

        Gives the logits after it [1, vocabulary], its keys and values, and how many tokens were taken from here.
        """
        shared, found = self.longest(tokens)
        shared = min(shared, len(tokens) - 1)  # the last token is computed: its logits are wanted
        if found is not None:
            runtime.cache.restore(slot, found, shared)
        places = np.arange(shared, len(tokens))
        states = runtime.forward(np.array(tokens[shared:]), np.full_like(places, slot), places, wanted=1)
        saved = runtime.cache.save(slot, len(tokens))
        self.put(tokens, saved)
        return runtime.logits(states), saved, shared

    def put(self, tokens: Tokens, saved: Saved) -> None:
        """Keeps a text."""
        with self._lock:
            if tokens in self._texts:
                return
            self._texts[tokens] = saved
            self._bytes += _size(saved)
            while self._bytes > self.room:
                self._bytes -= _size(self._texts.popitem(last=False)[1])

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._texts.clear()
            self._bytes = 0

    def longest(self, tokens: Tokens) -> tuple[int, Saved | None]:
        """The kept text that shares the longest beginning, and how many tokens that is."""
        with self._lock:
            best, found = 0, None
            for text in self._texts:
                if len(text) > best and len(tokens) > best and text[best] == tokens[best]:
                    shared = _shared(text, tokens)
                    if shared > best:
                        best, found = shared, text
            if found is None:
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
