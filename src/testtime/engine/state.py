"""What a journal already holds, so that a run goes on where it was: draws, replies in waiting, failures so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from testtime.core.protocols import Verifier
from testtime.core.records import Candidate, Completion, Problem, Verdict
from testtime.core.spend import Spend
from testtime.engine.plan import Lane, Plan
from testtime.engine.roster import Roster
from testtime.engine.wire import Reply, alone, at_most
from testtime.store.codec import decode
from testtime.store.journal import Dropped, scan


def draw_id(lane: Lane, problem: Problem, idx: int) -> str:
    """What a draw is called in the journal, and in the `serves` of its calls."""
    return f"{lane.scope}/{problem.query_id}/{idx}"


def verdict_id(candidate: Candidate, verifier: Verifier) -> str:
    """What a verdict is called; the candidate's arm is an arm id here."""
    return f"{candidate.arm}/{candidate.query_id}/{candidate.candidate_idx}/{verifier.stage}/{verifier.digest}"


@dataclass
class Pending:
    """A draw whose candidates wait for verdicts."""

    candidates: list[Candidate]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """By id."""

    def lacks(self, plan: Plan) -> bool:
        """True while a verifier of the plan has not spoken on a candidate."""
        return any(verdict_id(one, stage) not in self.verdicts for one in self.judged for stage in plan.verifiers)

    def of(self, candidate: Candidate, plan: Plan) -> list[Verdict]:
        """A candidate's verdicts, in the order of the plan's verifiers."""
        ids = [verdict_id(candidate, stage) for stage in plan.verifiers]
        return [self.verdicts[id] for id in ids if id in self.verdicts]

    @property
    def judged(self) -> list[Candidate]:
        """The candidates that get verdicts: a failed one has nothing to judge."""
        return [one for one in self.candidates if one.error is None]


@dataclass
class State:
    """A run as its journal tells it."""

    roster: Roster
    drawn: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(Lane scope, query_id) → indices of draws written down."""
    replies: dict[str, Reply] = field(default_factory=dict)
    """By key: received, for draws and verdicts not written down."""
    tries: dict[str, int] = field(default_factory=dict)
    """By key: requests sent without a reply."""
    pending: dict[str, Pending] = field(default_factory=dict)
    """By draw id: draws without all their verdicts; their texts are left out."""
    orphans: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    """By draw id: verdicts, by id, on a draw whose line is damaged, or is further down because it was."""
    lost: dict[str, float | None] = field(default_factory=dict)
    """By call id: attempts of which nothing came back → the dollars they can have cost at most."""
    dropped: int = 0
    """Damaged lines."""
    _waiting: dict[str, list[str]] = field(default_factory=dict)
    """Draw or verdict id → keys of the replies kept for it."""
    _settled: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, plan: Plan, folder: Path, show: Callable[[Pending], None]) -> State:
        """Reads the journal; draws with all their verdicts are shown as they come.

        Raises BadInput where it is another run's: see `Roster`.
        """
        state, dropped = cls(Roster(plan, folder)), list[Dropped]()
        for place, record in scan(folder, dropped):
            match record["kind"]:
                case "run":
                    state.roster.run(record)
                case "sent":
                    state.tries[record["key"]] = record["attempt"]
                    state.lost[record["id"]] = at_most(plan, record)
                case "call":
                    state._call(plan, record)
                case "draw":
                    state.roster.draw(place, record)
                    state._draw(plan, record, show)
                case "verdict":
                    state._verdict(plan, record, show)
        state.dropped = len(dropped)
        for pending in state.pending.values():
            pending.candidates = [replace(one, parts=()) for one in pending.candidates]
        return state

    def _call(self, plan: Plan, record: Mapping[str, Any]) -> None:
        if record["status"] != "cancelled":
            self.lost.pop(record["id"], None)
        if record["status"] != "ok":
            self.tries[record["key"]] = record["attempt"]
            return
        self.tries.pop(record["key"], None)
        for key, serves, reply in zip(record["children"], record["serves"], replies_of(plan, record), strict=True):
            if serves not in self._settled:
                self.replies[key] = reply
                self._waiting.setdefault(serves, []).append(key)

    def _draw(self, plan: Plan, record: Mapping[str, Any], show: Callable[[Pending], None]) -> None:
        self.drawn.setdefault((record["scope"], record["query"]), set()).add(record["idx"])
        self._settle(record["id"])
        if plan.verifiers or plan.policies:
            candidates = [decode(Candidate, one) for one in record["candidates"]]
            self._file(plan, record["id"], Pending(candidates, self.orphans.pop(record["id"], {})), show)

    def _verdict(self, plan: Plan, record: Mapping[str, Any], show: Callable[[Pending], None]) -> None:
        self._settle(record["id"])
        if record["draw"] not in self._settled:
            self.orphans.setdefault(record["draw"], {})[record["id"]] = decode(Verdict, record["verdict"])
        elif pending := self.pending.get(record["draw"]):
            pending.verdicts[record["id"]] = decode(Verdict, record["verdict"])
            self._file(plan, record["draw"], pending, show)

    def _file(self, plan: Plan, id: str, pending: Pending, show: Callable[[Pending], None]) -> None:
        if pending.lacks(plan):
            self.pending[id] = pending
        else:
            self.pending.pop(id, None)
            show(pending)

    def _settle(self, id: str) -> None:
        """What a draw or verdict needed from the journal is in its own line now."""
        self._settled.add(id)
        for key in self._waiting.pop(id, ()):
            self.replies.pop(key, None)


def replies_of(plan: Plan, record: Mapping[str, Any]) -> list[Reply]:
    """The replies of an answered call, one for each thing it was asked."""
    spend, model = decode(Spend, record["spend"]), record["model"]
    if "value" in record:
        return [Reply(record["key"], spend, model, model, value=record["value"])]
    said = [decode(Completion, one) for one in record["completions"]]
    return [
        Reply(record["key"], alone(plan, model, spend, one.tokens, len(said)), model, record["answered"], one)
        for one in said
    ]
