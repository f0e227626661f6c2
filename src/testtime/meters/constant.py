"""Energy from a declared power: an estimate for machines without a counter, and the meter of tests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from testtime.core.records import Map


@dataclass(frozen=True)
class Constant:
    """A machine that always draws `watts`."""

    watts: float

    @property
    def source(self) -> str:
        """Says that the number was declared, not measured."""
        return f"declared {self.watts:g} W"

    def window(self) -> AbstractAsyncContextManager[Map]:
        """Joules = watts × seconds the window was open."""
        return self._window()

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[Map]:
        seen: dict[str, float] = {}
        opened = time.perf_counter()
        yield seen
        seen["joules"] = self.watts * (time.perf_counter() - opened)
