"""Energy: joules are known for a window of time, and divided over the calls that ran in it.

The rule. A call reads and writes its tokens evenly over its seconds. A window's joules go to the calls whose attempts
overlap it, in proportion to the tokens they had in it; by their seconds of overlap where one of them does not say its
tokens, or none has any. So what all calls get sums to what the windows with a call in them measured. A call that ran
outside any closed window for more than a millisecond (its window was lost in a kill) has unknown joules, never a part
of them. A window without a call is idle and belongs to nobody: one is measured before a session begins its work.

Sessions that ran at the same time on one machine (its shards) measured the same counter, each the whole of it. Their
windows are made one line of windows (`level`), which all their calls share: nothing is counted twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from testtime.core.history import Floats, Ints
from testtime.core.protocols import Meter
from testtime.core.spend import Spend
from testtime.engine.wire import Clock
from testtime.store.journal import Journal

TOLERANCE = 1e-3
AT_ONCE = 65_536
"""Calls whose windows are worked out together: what bounds the memory that takes."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, in seconds since the epoch, and what it took."""

    started: float
    ended: float
    joules: float | None
    source: str = ""
    idle: bool = False
    """Before the work began."""


@asynccontextmanager
async def measured(
    meter: Meter | None, journal: Journal, session: int, clock: Clock, span: float, idle: float = 0.0
) -> AsyncIterator[None]:
    """Journals one window after another, without a gap, while its body runs, after one of `idle` seconds before it.

    Without a meter, none. A counter that cannot be read any more stops no run: from there on energy is unknown.
    """
    if meter is None:
        yield
        return
    stop = asyncio.Event()
    watch = _Watch(meter, journal, session, clock, stop)
    works = not idle or await watch.window(idle, idle=True)
    task = asyncio.create_task(watch.go_on(span, works))
    try:
        yield
    finally:
        stop.set()
        await task


@dataclass
class _Watch:
    """Windows of one session."""

    meter: Meter
    journal: Journal
    session: int
    clock: Clock
    stop: asyncio.Event
    number: int = 0

    async def go_on(self, span: float, works: bool) -> None:
        """One window after another, until the session ends or the meter fails."""
        while works and not self.stop.is_set():
            works = await self.window(span)

    async def window(self, span: float, **how: Any) -> bool:
        """Writes one window down; whether the meter could be read."""
        joules, source, works, started = None, self.meter.source, True, self.clock()
        try:
            async with self.meter.window() as seen:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), span)
            joules = seen.get("joules")
        except OSError as error:
            source, works = f"{source}, which failed: {error}", False
        said = {"started": started, "ended": self.clock(), "joules": joules, "source": source}
        self.journal.append("window", f"{self.session}.{self.number}", **said, **how)
        self.number += 1
        return works


def tokens_of(spend: Spend) -> float:
    """Tokens that a call read and wrote, those from a cache left out; nan where that is not known."""
    if spend.prompt is None or spend.completion is None:
        return np.nan
    return float(spend.prompt - (spend.cached or 0) + spend.completion)


def attribute(windows: Sequence[Window], started: Floats, ended: Floats, tokens: Floats) -> Floats:
    """[call] joules, nan where unknown, from windows that do not overlap each other."""
    ordered = sorted(windows, key=lambda window: window.started)
    joules = np.array([np.nan if one.joules is None else one.joules for one in ordered])
    weight = np.zeros((2, len(ordered)))
    silent = np.zeros(len(ordered), dtype=bool)
    for part, (call, window, seconds, share) in _parts(ordered, started, ended, tokens):
        weight += [np.bincount(window, one, len(ordered)) for one in (share, seconds)]
        silent[window[np.isnan(tokens[part][call]) & (seconds > 0)]] = True
    by_tokens = ~silent & (weight[0] > 0)
    whole = np.where(by_tokens, weight[0], weight[1])
    given, covered = np.zeros(len(started)), np.zeros(len(started))
    for part, (call, window, seconds, share) in _parts(ordered, started, ended, tokens):
        mine = np.where(by_tokens[window], share, seconds)
        got = joules[window] * np.divide(mine, whole[window], out=np.zeros(len(mine)), where=whole[window] > 0)
        count = len(given[part])
        given[part] = np.bincount(call, got, count)
        covered[part] = np.where(np.bincount(call, minlength=count) > 0, np.bincount(call, seconds, count), -np.inf)
    return np.where(ended - started - covered <= TOLERANCE, given, np.nan)


def _parts(
    ordered: Sequence[Window], started: Floats, ended: Floats, tokens: Floats
) -> Iterator[tuple[slice, tuple[Ints, Ints, Floats, Floats]]]:
    """Some calls, and of each pair of them and a window that they meet: (call, window, seconds, tokens)."""
    starts, ends = (np.array([getattr(one, name) for one in ordered]) for name in ("started", "ended"))
    for low in range(0, len(started), AT_ONCE):
        part = slice(low, low + AT_ONCE)
        begun, done = started[part], ended[part]
        first = np.maximum(np.searchsorted(starts, begun, "right") - 1, 0)
        count = np.maximum(np.searchsorted(starts, done, "right") - first, 0)
        call = np.repeat(np.arange(len(begun)), count)
        window = np.arange(len(call)) - np.repeat(np.cumsum(count) - count, count) + first[call]
        seconds = np.minimum(done[call], ends[window]) - np.maximum(begun[call], starts[window])
        kept = seconds >= 0
        call, window, seconds = call[kept], window[kept], seconds[kept]
        length = (done - begun)[call]
        rate = np.divide(np.nan_to_num(tokens[part][call]), length, out=np.zeros(len(call)), where=length > 0)
        yield part, (call, window, seconds, seconds * rate)


def level(windows: Sequence[Window]) -> list[Window]:
    """The windows of one machine, of any number of sessions, as windows that do not overlap.

    Where several measured at once, they measured the same thing: that span has the mean of their powers, each window's
    being even. A window that could not be read says nothing where another could.
    """
    ordered = sorted(windows, key=lambda window: (window.started, window.ended))
    if all(one.ended <= other.started for one, other in pairwise(ordered)):
        return ordered
    edges = sorted({edge for window in ordered for edge in (window.started, window.ended)})
    open_now, waiting, found = list[Window](), deque(ordered), list[Window]()
    for started, ended in pairwise(edges):
        open_now = [window for window in open_now if window.ended > started]
        while waiting and waiting[0].started <= started:
            open_now.append(waiting.popleft())
        powers = [one.joules / (one.ended - one.started) for one in open_now if one.joules is not None]
        if open_now:
            known = sum(powers) / len(powers) * (ended - started) if powers else None
            found.append(Window(started, ended, known))
    return found
