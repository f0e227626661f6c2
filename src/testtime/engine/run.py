"""Fills the pool that a plan describes, from wherever a journal left it.

N workers take jobs from the agenda: draw, journal, judge, journal, land. What lands is shown to the
policies executed live, which may ask for more. Killed at any moment and started again, a run makes
only what is missing, over the replies it received.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testtime.core.errors import StoppedEarly
from testtime.core.history import Ballot, Ints
from testtime.core.protocols import Policy
from testtime.core.spend import total
from testtime.engine.agenda import Agenda, Job, issue, split
from testtime.engine.ask import Group
from testtime.engine.draw import draw, verify
from testtime.engine.energy import measured
from testtime.engine.finish import write_pool
from testtime.engine.foreign import Foreign
from testtime.engine.live import Board, Sitting, floors_of, sittings
from testtime.engine.plan import Plan
from testtime.engine.state import Pending, State, candidates_of, draw_id
from testtime.engine.wire import Wire
from testtime.store.codec import encode
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
    stopped: str | None = None
    """Why the run stopped before its end, or ended badly: a cap, or too many failures."""
    met: str | None = None
    """The cap that stopped it and that, higher, lets it go on."""
    reread: int = 0
    """Draws of earlier sessions whose answers were read again, as the parser has changed."""
    rejudged: int = 0
    """Draws of earlier sessions that were judged anew, as a verifier, their answer or its reference has changed."""


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
            session.weigh()
            return session.finished(unchanged=True)
        state.account.check()
        number, clock = state.roster.sessions, session.wire.clock
        journal.append("run", str(number), **_opening(plan, state, floors), at=clock())
        async with _at_hand(plan), measured(plan.meter, journal, number, clock, plan.window, plan.idle):
            await session.work()
        journal.append("end", str(number), at=clock(), **({"stopped": why} if (why := state.account.stopped) else {}))
    return session.finished()


@asynccontextmanager
async def _at_hand(plan: Plan) -> AsyncIterator[None]:
    """Threads for models that block, as many as calls may be under way; at the end their connections are closed."""
    threads = ThreadPoolExecutor(plan.concurrency, "testtime-call")
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        yield
    finally:
        for name, model in plan.models.items():
            if (close := getattr(model, "close", None)) is not None:
                with Foreign(f"closing {name}"):
                    await close()


def _opening(plan: Plan, state: State, floors: Mapping[str, int]) -> dict[str, Any]:
    """What a session says first: whose journal it is, and what it asks for."""
    return {
        "run": plan.run,
        "dataset": plan.dataset,
        "seed": plan.seed,
        "host": socket.gethostname(),
        "arms": [encode(arm) for arm in plan.arms.values()],
        **({"again": [encode(arm) for arm in plan.again.values()]} if plan.again else {}),
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
        self.account = state.account
        self.wire = Wire(plan, journal, self.account, state.replies, state.tries, set(state.roster.told))
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
        self.account.on_stop.append(self.agenda.close)
        self.kept = sum(len(indices) for indices in state.drawn.values())
        self.made = self.failed = 0
        self.why: str | None = None
        self.rejudged = sum(bool(one.verdicts) for one in state.pending.values())

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
        """Until nothing is left to do, or a cap is met. Raises BadInput, a full disk, a Fault of foreign code."""
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(left, self._late) if (left := self.account.left) < float("inf") else None
        try:
            async with asyncio.TaskGroup() as tasks:
                self.wire.spawn = tasks.create_task
                self.wire.pick_up(self.state.batches)
                for _ in range(self._workers()):
                    tasks.create_task(self._worker())
                    if self.plan.batch is None:
                        await asyncio.sleep(0)  # a request is on its way before the next is made: none waits for all
        except ExceptionGroup as failed:
            raise _first(failed) from failed
        finally:
            if alarm is not None:
                alarm.cancel()
        self.weigh()

    def weigh(self) -> None:
        """Says at the end whether too many of all draws in the journal failed, however few they are."""
        why = self.why or next(reversed(self.state.failed.values()), None)
        self.account.failures(self.failed + len(self.state.failed), self.made + self.kept, why, fewest=1)

    def _workers(self) -> int:
        """Jobs at once: with verifiers twice the calls that may be under way, so that sampling goes on meanwhile.

        By batches, as many as fill one.
        """
        if self.plan.batch is not None and any("batch" in model.can for model in self.plan.models.values()):
            return self.plan.batch
        return self.plan.concurrency * (2 if self.plan.verifiers else 1)

    def _late(self) -> None:
        with suppress(StoppedEarly):
            self.account.go_on()

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
            lost_usd=total(bound.usd for bound in lost.values()).value,
            unchanged=unchanged,
            stopped=self.account.stopped,
            met=self.account.met,
            reread=self.state.reread,
            rejudged=self.rejudged,
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
                    yield Job(lane, at, [record["idx"]], Pending(candidates_of(self.plan, record), pending.verdicts))

    async def _worker(self) -> None:
        while (job := await self.agenda.next()) is not None:
            if len(job.indices) == 1:
                await self._do(job, job.indices[0])
            else:
                group = Group(self.wire, len(job.indices))
                async with asyncio.TaskGroup() as draws:
                    for idx in job.indices:
                        draws.create_task(self._do(job, idx, group))
            self.agenda.done()

    async def _do(self, job: Job, idx: int, group: Group | None = None) -> None:
        """One draw, or its verdicts; left where it is once the run stops."""
        with suppress(StoppedEarly):
            if job.pending is not None:
                await self._judge(job, idx, job.pending)
            else:
                await self._draw(job, idx, group)

    async def _draw(self, job: Job, idx: int, group: Group | None) -> None:
        problem = self.plan.problems[job.at]
        made = await draw(self.wire, job.lane, problem, idx, group)
        made.verdicts |= self.state.orphans.pop(draw_id(job.lane, problem, idx), {})
        self.made += 1
        if (why := next((one.error for one in made.candidates if one.error is not None), None)) is not None:
            self.failed, self.why = self.failed + 1, why
            self.account.failures(self.failed, self.made, why)
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
