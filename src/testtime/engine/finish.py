"""The pool's files, written from its journal alone: candidates.parquet and calls.parquet.

Two passes. The first takes numbers and places (what each call cost, where each draw and verdict stands:
below 1 kB a candidate, however long its text); the second reads each draw again from its place, in the order of the
table. So memory does not grow with the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testtime.core.records import Arm, Call, Candidate, Map, Verdict, canonical
from testtime.engine.agenda import chunk_of
from testtime.engine.ledger import Ledger
from testtime.engine.plan import Lane, Plan
from testtime.engine.rows import row_of, scores_of_facts, scores_of_verdict
from testtime.engine.state import verdict_id
from testtime.store.codec import decode
from testtime.store.journal import Dropped, Place, scan
from testtime.store.parquet import Row, write_calls, write_candidates
from testtime.store.rows import call_row, model_of


@dataclass
class Index:
    """Where everything stands in a journal."""

    plan: Plan
    ledger: Ledger
    draws: dict[tuple[str, str], dict[int, tuple[Place, int]]] = field(default_factory=dict)
    """(Arm id, query_id) → candidate_idx → (the draw's place, which of its candidates)."""
    verdicts: dict[tuple[str, str, int], list[Place]] = field(default_factory=dict)
    """(Arm id, query_id, candidate_idx) → verdicts, in order."""
    lost: dict[str, Place] = field(default_factory=dict)
    """Requests that left and of which nothing came back, by call id."""
    floors: dict[str, int] = field(default_factory=dict)
    """Arm id → draws due."""
    scores: set[str] = field(default_factory=set)
    attempts: int = 0
    dropped: list[Dropped] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan, folder: Path) -> Index:
        """The first pass."""
        index = cls(plan, Ledger(plan))
        for place, record in scan(folder, index.dropped):
            index._enter(place, record)
        index.ledger.close()
        index.attempts += len(index.lost)
        return index

    def _enter(self, place: Place, record: Mapping[str, Any]) -> None:
        match record["kind"]:
            case "run":
                for arm, floor in record["floors"].items():
                    self.floors[arm] = max(floor, self.floors.get(arm, 0))
            case "sent":
                self.lost[record["id"]] = place
            case "call":
                self.lost.pop(record["id"], None)
                self.attempts += 1
                self.ledger.call(record)
            case "window":
                self.ledger.window(record)
            case "draw":
                for at, one in enumerate(record["candidates"]):
                    rows = self.draws.setdefault((one["arm"], one["query_id"]), {})
                    rows[one["candidate_idx"]] = (place, at)
                    self.scores |= scores_of_facts(one["facts"]).keys()
            case "verdict":
                self.verdicts.setdefault((record["arm"], record["query"], record["idx"]), []).append(place)
                self.scores |= scores_of_verdict(decode(Verdict, record["verdict"])).keys()


def write_pool(plan: Plan, folder: Path) -> None:
    """Writes both files; each is whole or not there."""
    index, meta = Index.of(plan, folder), dict(plan.about)
    meta |= _meta(plan, index)
    count = sum(len(index.draws.get((arm, problem.query_id), ())) for arm in plan.arms for problem in plan.problems)
    rows = _rows(plan, index)
    write_candidates(folder / "candidates.parquet", rows, meta, count=count, scores=sorted(index.scores))
    write_calls(folder / "calls.parquet", _calls(index, folder), meta, count=index.attempts)


def _meta(plan: Plan, index: Index) -> Map:
    arms = list(plan.arms.values())
    temperatures = {arm.sampling.get("temperature") for arm in arms}
    floor = {arm.label: index.floors[arm.id] for arm in arms}
    return {
        "run": plan.run,
        "dataset": plan.dataset,
        "splits": list(dict.fromkeys(problem.split for problem in plan.problems)),
        "provider": "+".join(dict.fromkeys(filter(None, map(_provider, arms)))),
        "model": "+".join(dict.fromkeys(map(model_of, arms))),
        "num_candidates": max(floor.values(), default=0),
        "temperature": temperatures.pop() if len(temperatures) == 1 else None,
        "seed": plan.seed,
        "total_queries": len(plan.problems),
        "arms": arms,
        "floor": floor,
        "grouped": {arm.label: chunk_of(plan, lane) > 1 for lane in plan.lanes for arm in lane.arms},
        "caveats": [f"a journal line was dropped: {one}" for one in index.dropped],
    }


def _rows(plan: Plan, index: Index) -> Iterator[Row]:
    """Arm by arm, problem by problem, by number."""
    for lane in plan.lanes:
        for arm in lane.arms:
            for problem in plan.problems:
                found = index.draws.get((arm.id, problem.query_id), {})
                for _, (place, at) in sorted(found.items()):
                    yield _row(plan, index, lane, arm, place.read(), at)


def _row(plan: Plan, index: Index, lane: Lane, arm: Arm, record: Mapping[str, Any], at: int) -> Row:
    """One candidate with the verdicts of the plan's verifiers, and what it and they cost."""
    candidates = [decode(Candidate, one) for one in record["candidates"]]
    candidate, problem = candidates[at], plan.problems[plan.at[record["query"]]]
    key = (arm.id, problem.query_id, candidate.candidate_idx)
    said = {line["id"]: decode(Verdict, line["verdict"]) for line in (p.read() for p in index.verdicts.get(key, ()))}
    verdicts = [said[id] for stage in plan.verifiers if (id := verdict_id(candidate, stage)) in said]
    share = index.ledger.share(record["id"], candidates, at, list(said))
    return row_of(problem, arm, candidate, verdicts) | {
        "input_messages": canonical(list(lane.messages(problem))),
        "provider": _provider(arm),
        "timestamp": datetime.fromtimestamp(record["at"], UTC).isoformat(timespec="milliseconds"),
        "paid_usd": share.usd,
        "joules": share.joules,
    }


def _provider(arm: Arm) -> str | None:
    """Who serves an arm's models; several are joined by +."""
    served = [name.partition(":")[0] for name in arm.models.values() if ":" in name]
    return "+".join(dict.fromkeys(served)) or None


def _calls(index: Index, folder: Path) -> Iterator[Row]:
    """Every attempt in the order it ended, then those of which nothing came back."""
    for _, record in scan(folder):
        if record["kind"] == "call":
            call = decode(Call, record)
            yield call_row(replace(call, spend=replace(call.spend, joules=index.ledger.joules.get(record["id"]))))
    for place in index.lost.values():
        yield call_row(decode(Call, place.read()))
