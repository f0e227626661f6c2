"""Connections of models that are asked outside the engine, closed in the loop that opened them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager


@asynccontextmanager
async def closing(models: Iterable[object]) -> AsyncIterator[None]:
    """At the end each model that `Closes` lets go of what it holds, also where the work or another one failed."""
    async with AsyncExitStack() as stack:
        for model in models:
            if (close := getattr(model, "close", None)) is not None:
                stack.push_async_callback(close)
        yield
