"""Fills the pool that a plan describes, from wherever a journal left it.

N workers take jobs from the agenda: draw, journal, judge, journal, land. What lands is shown to the
policies executed live, which may ask for more. Killed at any moment and started again, a run makes
only what is missing, over the replies it received.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testtime.core.history import Ballot, Ints
from testtime.core.protocols import Policy
from testtime.core.records import Candidate
from testtime.core.spend import total
from testtime.engine.agenda import Agenda, Job, issue, split
from testtime.engine.ask import Group
from testtime.engine.draw import draw, verify
from testtime.engine.energy import measured
from testtime.engine.finish import write_pool
from testtime.engine.live import Board, Sitting, floors_of, sittings
from testtime.engine.plan import Plan
from testtime.engine.state import Pending, State, draw_id
from testtime.engine.wire import Wire
from testtime.store.codec import decode, encode
from testtime.store.journal import Journal, scan


@dataclass(frozen=True, eq=False)
class Realised:
    """What a policy executed live did on the rows that it decided together."""

    policy: Policy
    arms: tuple[str, ...]
    problems: Ints
    """[row] places in the plan."""
    seen: dict[str, Ints]
    """Arm → [1, row] draws it asked for."""
    ballot: Ballot


@dataclass(frozen=True, eq=False)
class Finished:
    """What a session did."""

    made: int
    """Draws made in this session."""
    kept: int
    """Draws found in the journal."""
    failed: int
    """Of those made: rows with an error."""
    dropped: int
    """Damaged journal lines."""
    realised: Sequence[Realised]
    lost: int = 0
    """Requests of earlier sessions of which nothing came back."""
    lost_usd: float | None = 0.0
    """Dollars they can have cost at most; None where that is not known."""
    unchanged: bool = False
    """Nothing was missing, so no file was touched."""


async def execute(plan: Plan, folder: Path) -> Finished:
    """Fills the pool and writes its files; touches nothing where both are there.

    Raises BadInput where the folder holds another run's journal, another process writes it, or the disk is full;
    Fault where foreign code is at fault. What was received by then is kept, and the same call goes on from there.
    """
    finished = await fill(plan, folder)
    written = write_pool(plan, folder)
    return replace(finished, unchanged=finished.unchanged and not written)


async def fill(plan: Plan, folder: Path) -> Finished:
    """Makes what the journal lacks. The pool is in the journal then, and in no other file."""
    floors = floors_of(plan)
    with Journal.open(folder, "main") as journal:
        board = Board(plan)
        state = State.of(plan, folder, lambda pending: _show(plan, board, pending))
        session = _Session(plan, folder, state, board, floors, journal)
        if session.lacks_nothing():
            return session.finished(unchanged=True)
        number = state.roster.sessions
        journal.append("run", str(number), **_opening(plan, state, floors))
        async with measured(plan.meter, journal, number, session.wire.clock, plan.window):
            await session.work()
        journal.append("end", str(number))
    return session.finished()


def _opening(plan: Plan, state: State, floors: Mapping[str, int]) -> dict[str, Any]:
    """What a session says first: whose journal it is, and what it asks for."""
    return {
        "run": plan.run,
        "dataset": plan.dataset,
        "seed": plan.seed,
        "arms": [encode(arm) for arm in plan.arms.values()],
        "floors": {id: floors[arm.label] for id, arm in plan.arms.items()},
        "grouped": {id: state.roster.grouped[id] for id in plan.arms},
        "problems": list(plan.at),
    }


class _Session:
    """The workers' common state."""

    def __init__(
        self, plan: Plan, folder: Path, state: State, board: Board, floors: Mapping[str, int], journal: Journal
    ) -> None:
        self.plan, self.folder, self.state, self.board = plan, folder, state, board
        self.wire = Wire(plan, journal, state.replies, state.tries, set(state.roster.told))
        self.sittings = list(sittings(plan))
        self.at_problem: dict[int, list[Sitting]] = {}
        for sitting in self.sittings:
            for at in sitting.rows:
                self.at_problem.setdefault(int(at), []).append(sitting)
        self.floors = floors
        self.due = {lane.scope: max(floors[arm.label] for arm in lane.arms) for lane in plan.lanes}
        self.issued: dict[tuple[str, int], int] = {}
        self.lanes = {lane.scope: lane for lane in plan.lanes}
        self.agenda = Agenda(self._due())
        self.kept = sum(len(indices) for indices in state.drawn.values())
        self.made = self.failed = 0

    def lacks_nothing(self) -> bool:
        """Consults the policies on what is there; whether all that the plan asks for is in the journal."""
        self._consult(self.sittings)
        whole = not self.agenda.urgent and self.state.roster.covers(self.floors)
        ours = self.plan.at
        judged = not any(
            one.candidates[0].query_id in ours and one.candidates[0].arm in self.plan.arms
            for one in self.state.pending.values()
        )
        return whole and judged and next(issue(self.plan, self.due, self.state.drawn), None) is None

    async def work(self) -> None:
        """Until nothing is left to do. Raises what stops a run: BadInput, a full disk, a Fault of foreign code."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self.plan.concurrency):
                    workers.create_task(self._worker())
        except ExceptionGroup as failed:
            raise _first(failed) from failed

    def finished(self, unchanged: bool = False) -> Finished:
        """What came of it, with the answers of the policies."""
        realised = [Realised(s.policy, s.labels, s.rows, s.seen, s.choose(self.board)) for s in self.sittings]
        lost = self.state.lost
        return Finished(
            self.made,
            self.kept,
            self.failed,
            self.state.dropped,
            realised,
            lost=len(lost),
            lost_usd=total(lost.values()).value,
            unchanged=unchanged,
        )

    def _due(self) -> Iterator[Job]:
        yield from self._unjudged()
        yield from issue(self.plan, self.due, self.state.drawn)

    def _unjudged(self) -> Iterator[Job]:
        """Draws that lack verdicts; their texts are read again, one at a time."""
        if not self.state.pending:
            return
        for _, record in scan(self.folder, kinds={"draw"}):
            if record["id"] in self.state.pending:
                lane, at = self.lanes.get(record["scope"]), self.plan.at.get(record["query"])
                if lane is not None and at is not None:
                    pending = self.state.pending.pop(record["id"])
                    candidates = [decode(Candidate, one) for one in record["candidates"]]
                    yield Job(lane, at, [record["idx"]], Pending(candidates, pending.verdicts))

    async def _worker(self) -> None:
        while (job := await self.agenda.next()) is not None:
            await self._do(job)
            await self.agenda.done()

    async def _do(self, job: Job) -> None:
        if job.pending is not None:
            await self._judge(job, job.indices[0], job.pending)
            return
        group = Group(self.wire, len(job.indices)) if len(job.indices) > 1 else None
        async with asyncio.TaskGroup() as draws:
            for idx in job.indices:
                draws.create_task(self._draw(job, idx, group))

    async def _draw(self, job: Job, idx: int, group: Group | None) -> None:
        problem = self.plan.problems[job.at]
        made = await draw(self.wire, job.lane, problem, idx, group)
        made.verdicts |= self.state.orphans.pop(draw_id(job.lane, problem, idx), {})
        self.made += 1
        self.failed += any(one.error is not None for one in made.candidates)
        await self._judge(job, idx, made)

    async def _judge(self, job: Job, idx: int, pending: Pending) -> None:
        problem = self.plan.problems[job.at]
        await verify(self.wire, problem, pending, draw_id(job.lane, problem, idx))
        _show(self.plan, self.board, pending)
        self._consult(self.at_problem.get(job.at, ()))

    def _consult(self, consulted: Sequence[Sitting]) -> None:
        """Lets policies ask for more; what nobody asked for before is put on the agenda."""
        for sitting in consulted:
            if sitting.advance(self.board):
                for label in sitting.labels:
                    for at, want in zip(sitting.rows.tolist(), sitting.seen[label][0].tolist(), strict=True):
                        self._want(label, at, want)

    def _want(self, label: str, at: int, want: int) -> None:
        lane = self.plan.by_label[label]
        issued = self.issued.get((lane.scope, at), self.due[lane.scope])
        if want > issued:
            self.issued[lane.scope, at] = want
            self.agenda.urgent.extend(split(self.plan, lane, at, range(issued, want), self.state.drawn))


def _first(failed: Exception) -> Exception:
    """What went wrong first: a run stops at one error, and says that one."""
    while isinstance(failed, ExceptionGroup):
        failed = failed.exceptions[0]
    return failed


def _show(plan: Plan, board: Board, pending: Pending) -> None:
    if plan.policies:
        board.show(pending.candidates, lambda candidate: pending.of(candidate, plan))
