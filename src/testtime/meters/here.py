"""The meter of this machine: its GPUs and its processors, as far as each can be measured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from testtime.core.protocols import Meter
from testtime.core.records import Map
from testtime.meters import gpu
from testtime.meters.rapl import Rapl

WHY_NOT = "neither an NVIDIA GPU nor a RAPL counter can be read"


@dataclass(frozen=True)
class Together:
    """Several meters of different parts of a machine."""

    parts: Sequence[Meter]

    @property
    def source(self) -> str:
        """All of theirs."""
        return "; ".join(part.source for part in self.parts)

    def window(self) -> AbstractAsyncContextManager[Map]:
        """The sum of their joules; None where one does not know."""
        return self._window()

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[Map]:
        seen: dict[str, float | None] = {}
        async with AsyncExitStack() as stack:
            each = [await stack.enter_async_context(part.window()) for part in self.parts]
            yield seen
        joules = [one.get("joules") for one in each]
        seen["joules"] = None if None in joules else sum(one for one in joules if one is not None)


def meter() -> Meter | None:
    """What this machine has; None where nothing can be read."""
    parts: list[Meter] = [part for part in (gpu.here(), Rapl.here()) if part is not None]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Together(parts)
