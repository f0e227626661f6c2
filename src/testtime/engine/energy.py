"""Energy: joules are known for a window of time, and divided over the calls that ran in it.

The rule. A window's joules go to the calls whose attempts overlap it, in proportion to their seconds of
overlap, whatever they did; so what all calls get sums to what the windows with a call in them measured.
A call that ran outside any closed window for more than a millisecond (its window was lost in a kill)
has unknown joules, never a part of them. A window without a call is idle and belongs to nobody.

Sessions that ran at the same time on one machine (its shards) measured the same counter, each the whole of it. Their
windows are made one line of windows (`level`), which all their calls share: nothing is counted twice.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise

from testtime.core.protocols import Meter
from testtime.engine.wire import Clock
from testtime.store.journal import Journal

TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, in seconds since the epoch, and what it took."""

    started: float
    ended: float
    joules: float | None


@asynccontextmanager
async def measured(
    meter: Meter | None, journal: Journal, session: int, clock: Clock, span: float
) -> AsyncIterator[None]:
    """Journals one window after another, without a gap, while its body runs. Without a meter, none.

    A counter that cannot be read any more stops no run: from there on energy is unknown.
    """
    if meter is None:
        yield
        return
    stop = asyncio.Event()
    watch = asyncio.create_task(_watch(meter, journal, session, clock, span, stop))
    try:
        yield
    finally:
        stop.set()
        await watch


async def _watch(meter: Meter, journal: Journal, session: int, clock: Clock, span: float, stop: asyncio.Event) -> None:
    number, started, works = 0, clock(), True
    while works and not stop.is_set():
        joules, source = None, meter.source
        try:
            async with meter.window() as seen:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), span)
            joules = seen.get("joules")
        except OSError as error:
            source, works = f"{source}, which failed: {error}", False
        ended = clock()
        journal.append("window", f"{session}.{number}", started=started, ended=ended, joules=joules, source=source)
        number, started = number + 1, ended


def attribute(windows: Sequence[Window], calls: Mapping[str, tuple[float, float]]) -> dict[str, float | None]:
    """Call id → joules, from the calls' (started, ended) and windows that do not overlap each other."""
    ordered = sorted(windows, key=lambda window: window.started)
    starts = [window.started for window in ordered]
    overlaps: dict[str, list[tuple[int, float]]] = {}
    weight = [0.0] * len(ordered)
    for id, (started, ended) in calls.items():
        overlaps[id] = []
        for at in range(max(bisect_right(starts, started) - 1, 0), len(ordered)):
            if starts[at] > ended:
                break
            if (seconds := min(ended, ordered[at].ended) - max(started, starts[at])) >= 0:
                overlaps[id].append((at, seconds))
                weight[at] += seconds
    shares: dict[str, float | None] = {}
    for id, (started, ended) in calls.items():
        parts = [(ordered[at].joules, seconds / (weight[at] or 1.0)) for at, seconds in overlaps[id]]
        covered = ended - started - sum(seconds for _, seconds in overlaps[id]) <= TOLERANCE
        known = covered and parts and all(joules is not None for joules, _ in parts)
        shares[id] = sum(joules * part for joules, part in parts if joules is not None) if known else None
    return shares


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
