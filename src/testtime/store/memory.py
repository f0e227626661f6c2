"""Memory between the stages of a large run: what one has let go of is the next one's only if it is given back."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> None:
    """Gives freed memory back to the system; Arrow's pool, and glibc's heap where that is the C library.

    Each allocator keeps what is freed for itself: without this a run of 400,000 candidates peaks a fifth higher.
    """
    pa.default_memory_pool().release_unused()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
