"""One draw, from its decoding to rows of the pool, and one verdict: each journalled as soon as it is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from testtime.core.errors import BadInput, BoundaryError, ModelError, StoppedEarly, TesttimeError
from testtime.core.protocols import Verifier
from testtime.core.records import Candidate, Map, Problem, Verdict
from testtime.core.seeds import seed_of
from testtime.core.spend import Spend, add
from testtime.engine.ask import Group, Handle, verdict_of
from testtime.engine.foreign import Foreign
from testtime.engine.plan import Lane
from testtime.engine.roster import introduced
from testtime.engine.state import Pending, draw_id, verdict_id
from testtime.engine.wire import Wire
from testtime.store.codec import encode

RETRIES = 2**20
"""The r-th marked retry of draw j is row j + r · RETRIES: no number of draws reaches it."""


async def draw(wire: Wire, lane: Lane, problem: Problem, idx: int, group: Group | None = None) -> Pending:
    """Makes draw `idx` of a problem and writes it down. A draw that fails is a row that says why."""
    scope = (lane.scope, problem.query_id)
    with Foreign(f"the prompt of {lane.arms[0].label} at {problem.query_id}"):
        messages = lane.messages(problem)
    handle = Handle(
        wire,
        lane.arms,
        draw_id(lane, problem, idx),
        seed_of(wire.plan.seed, *scope) + idx,
        (*scope, idx),
        opening=messages,
        group=group,
    )
    failed: Map = {}
    try:
        with Foreign(f"the decoding of {lane.arms[0].label} at {handle.scope}"):
            made = await lane.decoding.draw(problem, messages, idx, handle)
    except BoundaryError as error:
        made, failed = _failed(handle, lane, problem, idx, error)
    except StoppedEarly:
        if group:
            await group.leave()
        raise
    except (asyncio.CancelledError, TesttimeError):
        if group:
            group.abandon()
        raise
    if group:
        await group.leave()
    with Foreign(f"the answer of {handle.scope}"):
        rows = list(_rows(handle, lane, problem, idx, made))
        first = {} if scope in wire.told else {"first": introduced(problem, messages)}
        line = {"scope": lane.scope, "query": problem.query_id, "idx": idx, "at": wire.clock(), **first, **failed}
        if wire.plan.parser:
            line["parser"] = wire.plan.parser
        wire.journal.append("draw", handle.scope, **line, candidates=[encode(row) for row in rows])
    wire.told.add(scope)
    wire.forget(handle.keys)
    return Pending(rows)


def _failed(
    handle: Handle, lane: Lane, problem: Problem, idx: int, error: BoundaryError
) -> tuple[list[Candidate], Map]:
    """The rows of a draw that failed, and what its line says of that: whether it may go better another time.

    It cost what was received by then: a request that is refused costs nothing; what a lost one cost is not known.
    """
    lost = isinstance(error, ModelError) and error.lost
    alone = {} if lost else {role: add([NOTHING, *handle.received.get(role, ())]) for role in lane.decoding.roles}
    made = [Candidate(arm.label, problem.query_id, idx, (), "error", alone, error=str(error)) for arm in lane.arms]
    return made, {"failed": "transient" if isinstance(error, ModelError) and error.retry else "final"}


NOTHING = Spend(prompt=0, cached=0, completion=0, reasoning=0, seconds=0.0, usd=0.0)


def _rows(handle: Handle, lane: Lane, problem: Problem, idx: int, made: Sequence[Candidate]) -> Iterable[Candidate]:
    """The candidates with what the engine knows: arm id, number, seed, calls, answer. Raises BadInput."""
    ids, labels = lane.ids, sorted(arm.label for arm in lane.arms)
    if sorted(one.arm for one in made if one.retry_of is None) != labels:
        what = f"the decoding of {', '.join(labels)} did not give one candidate for each arm"
        raise BadInput(what, where=handle.scope)
    again: Counter[str] = Counter()
    for one in made:
        again[one.arm] += one.retry_of is not None
        printed, key = handle.wire.plan.read(problem, one)
        yield replace(
            one,
            arm=ids[one.arm],
            candidate_idx=idx if one.retry_of is None else idx + again[one.arm] * RETRIES,
            retry_of=None if one.retry_of is None else idx,
            seed=handle.seed,
            calls=tuple(one.calls or handle.calls),
            facts={**one.facts, "answer": printed, "answer_key": key},
        )


async def verify(wire: Wire, problem: Problem, pending: Pending, draw: str) -> None:
    """Gets the verdicts that a draw's candidates still lack, and writes each down."""
    for candidate in pending.judged:
        for stage in wire.plan.verifiers:
            if (id := verdict_id(candidate, stage, wire.plan)) not in pending.verdicts:
                pending.verdicts[id] = await _verdict(wire, problem, candidate, stage, draw)


async def _verdict(wire: Wire, problem: Problem, candidate: Candidate, stage: Verifier, draw: str) -> Verdict:
    id = verdict_id(candidate, stage, wire.plan)
    plan = wire.plan
    arm = plan.arms.get(candidate.arm) or plan.again[candidate.arm]
    handle = Handle(wire, [arm], id, seed_of(plan.seed, id), (id,))
    said = await verdict_of(stage, problem, replace(candidate, arm=arm.label), handle)
    verdict = replace(said, gold=stage.gold, calls=tuple(said.calls or handle.calls))
    wire.journal.append(
        "verdict",
        id,
        draw=draw,
        arm=candidate.arm,
        query=candidate.query_id,
        idx=candidate.candidate_idx,
        verdict=encode(verdict),
    )
    wire.forget(handle.keys)
    return verdict
