"""When a request may leave: how many are under way, how many a minute, and how long the provider wants peace.

The rule (additive increase, multiplicative decrease). A gate lets `ceiling` requests be under way. Each answer
"too many" (429, 503, 529) shuts it for the seconds the provider names and halves how many may be under way, once
for all requests that left before the last cut: they tell one story. Each answer then adds 1 / limit, so that a
round of them adds one, until the ceiling is reached again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

LESS = 0.5
"""What is left of the limit after "too many"."""


@dataclass
class Pace:
    """So much a minute, evenly spread: without bursts, so that no window of a minute ever holds more."""

    a_minute: float
    _free: float = 0.0
    """When the next may leave."""

    def take(self, amount: float, now: float) -> float:
        """Seconds to wait before `amount` may leave; the place is taken."""
        start = max(now, self._free)
        self._free = start + 60.0 * amount / self.a_minute
        return start - now

    def give_back(self, amount: float) -> None:
        """What was taken and not used."""
        self._free -= 60.0 * amount / self.a_minute


@dataclass
class Gate:
    """The way to one model. `async with` is left out on purpose: `enter` and `leave` are on the hot path."""

    ceiling: int
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits, or raises where the run stops meanwhile."""
    requests: Pace | None = None
    tokens: Pace | None = None
    limit: float = 0.0
    """How many may be under way now."""
    inside: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _shut: float = 0.0
    """Until when nothing leaves."""
    _cut: float = -1.0
    """When the limit was last cut."""

    def __post_init__(self) -> None:
        self.limit = float(self.ceiling)

    async def enter(self, tokens: int = 0) -> float:
        """Waits until a request of about so many tokens may leave; gives the time it leaves at."""
        loop = asyncio.get_running_loop()
        if self.inside < int(self.limit) and not self._waiting:
            self.inside += 1
        else:
            await self._queue(loop)
        now = loop.time()
        if self.requests is self.tokens is None and now >= self._shut:
            return now
        try:
            paces = [(self.requests, 1), (self.tokens, tokens)]
            wait = max((pace.take(amount, now) for pace, amount in paces if pace is not None), default=0.0)
            until = now + wait
            while (left := max(until, self._shut) - loop.time()) > 0:
                await self.sleep(left)
        except BaseException:
            self.leave()
            raise
        return loop.time()

    async def _queue(self, loop: asyncio.AbstractEventLoop) -> None:
        """Waits for a place, which whoever leaves hands on."""
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()  # it was handed to one who does not come
            raise

    def leave(self) -> None:
        """A request has ended."""
        self.inside -= 1
        self._admit()

    def answered(self, unused: int = 0) -> None:
        """It was answered, with so many tokens fewer than was thought."""
        if self.tokens is not None:
            self.tokens.give_back(unused)
        if self.limit < self.ceiling:
            self.limit = min(float(self.ceiling), self.limit + 1.0 / self.limit)
            self._admit()

    def too_many(self, left_at: float, seconds: float) -> None:
        """It left at this time and was refused; the provider wants `seconds` of peace."""
        now = asyncio.get_running_loop().time()
        self._shut = max(self._shut, now + seconds)
        if left_at > self._cut:
            self.limit, self._cut = max(1.0, self.limit * LESS), now

    def _admit(self) -> None:
        while self._waiting and self.inside < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self.inside += 1
                place.set_result(None)
