"""Seeds: which random numbers a draw, an order or a bootstrap uses.

A draw's seed is `seed_of(seed, arm, query_id) + j`. It depends on nothing else, so chunking,
sharding, resuming and the order of work change nothing, and the first four draws of sixteen are
the four of four. The sum is also what vLLM gives child j of a request with `n`.
"""

from __future__ import annotations

import hashlib

import numpy as np

_SPAN = 2**31 - 2**20  # providers take 32-bit signed seeds; this leaves room for a million draws


def digest(*parts: object, length: int = 12) -> str:
    """A short hex digest of the parts, in order; `str` of each, separated so that no two lists collide."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def seed_of(seed: int, *scope: object) -> int:
    """The seed of draw 0 in this scope, in [0, 2^31 − 2^20)."""
    return int(digest(seed, *scope, length=15), 16) % _SPAN


def rng_of(seed: int, *scope: object) -> np.random.Generator:
    """An independent generator for this scope (Philox keyed by 128 bits of the digest)."""
    return np.random.Generator(np.random.Philox(key=int(digest(seed, *scope, length=32), 16)))
