"""Prompts that a provider's cache keeps: one request goes first and fills it, those with the same prompt wait.

Sent together, all of them would write the cache and none would read it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

KEPT = 300.0
"""Seconds that a provider keeps a prompt after its last use."""
MOST = 10_000
"""Prompts remembered."""


@dataclass
class _Prompt:
    filled: asyncio.Lock = field(default_factory=asyncio.Lock)
    used: float = -KEPT


@dataclass
class Warm:
    """The prompts of one model, in one event loop."""

    prompts: dict[str, _Prompt] = field(default_factory=dict)

    @asynccontextmanager
    async def turn(self, prompt: str | None) -> AsyncIterator[None]:
        """Waits until a request with this prompt may leave; None: at once. One that fails fills nothing."""
        if prompt is None:
            yield
            return
        known = self.prompts.setdefault(prompt, _Prompt())
        while len(self.prompts) > MOST:
            self.prompts.pop(next(iter(self.prompts)))
        async with known.filled:
            if first := time.monotonic() - known.used >= KEPT:
                yield
                known.used = time.monotonic()
        if not first:
            known.used = time.monotonic()
            yield
