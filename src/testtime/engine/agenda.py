"""In which order work is handed to the workers: what is due index by index, what policies ask for as it comes.

Nothing is queued that is not known to be needed, and what is due is never listed: a run of millions of
draws holds as many jobs as it has workers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from testtime.core.seeds import seed_of
from testtime.engine.plan import Lane, Plan
from testtime.engine.state import Pending


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Draws of one problem to make together, or one draw to judge."""

    lane: Lane
    at: int
    """Place of the problem in the plan."""
    indices: Sequence[int]
    pending: Pending | None = None
    """The draw that lacks verdicts, where it is made already."""


@dataclass
class Agenda:
    """Hands out jobs until none is left and none that runs could bring another."""

    due: Iterator[Job]
    urgent: deque[Job] = field(default_factory=deque)
    _running: int = 0
    _closed: bool = False
    _idle: list[asyncio.Future[None]] = field(default_factory=list)

    async def next(self) -> Job | None:
        """A job; waits while one that runs may bring more; None when all is done, or the run stops."""
        while not self._closed:
            job = self.urgent.popleft() if self.urgent else next(self.due, None)
            if job is not None:
                self._running += 1
                return job
            if not self._running:
                break
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(news)
            await news
        return None

    def done(self) -> None:
        """A job has ended, and what it brought is in `urgent`."""
        self._running -= 1
        if self.urgent or not self._running:
            self._tell()

    def close(self) -> None:
        """Hands out nothing more."""
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        idle, self._idle = self._idle, []
        for news in idle:
            if not news.done():
                news.set_result(None)


def split(plan: Plan, lane: Lane, at: int, indices: range, drawn: Mapping[tuple[str, str], set[int]]) -> Iterator[Job]:
    """Jobs for the draws of a range that are not made yet."""
    have = drawn.get((lane.scope, plan.problems[at].query_id), set())
    chunk = plan.chunk(lane)
    for first in range(indices.start - indices.start % chunk, indices.stop, chunk):
        missing = [j for j in range(max(first, indices.start), min(first + chunk, indices.stop)) if j not in have]
        if missing:
            yield Job(lane, at, missing)


def issue(plan: Plan, due: Mapping[str, int], drawn: Mapping[tuple[str, str], set[int]]) -> Iterator[Job]:
    """What is due (lane scope → draws), index by index over the problems in seeded order.

    So a run that is stopped early is a smaller whole pool. A problem's place in the order depends on
    (seed, query_id) alone.
    """
    order = sorted(range(len(plan.problems)), key=lambda at: seed_of(plan.seed, "issue", plan.problems[at].query_id))
    chunks = {lane.scope: plan.chunk(lane) for lane in plan.lanes}
    lacking = {lane.scope: [at for at in order if _lacks(plan, lane, at, due, drawn)] for lane in plan.lanes}
    for first in range(max(due.values(), default=0)):
        for lane in plan.lanes:
            if first % chunks[lane.scope] or first >= due[lane.scope]:
                continue
            last = min(first + chunks[lane.scope], due[lane.scope])
            for at in lacking[lane.scope]:
                yield from split(plan, lane, at, range(first, last), drawn)


def _lacks(plan: Plan, lane: Lane, at: int, due: Mapping[str, int], drawn: Mapping[tuple[str, str], set[int]]) -> bool:
    """Whether a problem has not all draws that are due."""
    have = drawn.get((lane.scope, plan.problems[at].query_id))
    return have is None or not have.issuperset(range(due[lane.scope]))
