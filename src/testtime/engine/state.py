"""What a journal already holds, so that a run goes on where it was: draws, replies in waiting, failures so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from testtime.core.protocols import Verifier
from testtime.core.records import Candidate, Completion, Problem, Verdict
from testtime.core.seeds import digest
from testtime.core.spend import Spend
from testtime.engine.caps import Account
from testtime.engine.costs import FREE, alone, at_most
from testtime.engine.foreign import Foreign
from testtime.engine.plan import Lane, Plan
from testtime.engine.roster import Roster
from testtime.engine.views import views
from testtime.engine.wire import Reply, as_id
from testtime.store.codec import decode, loads
from testtime.store.journal import Dropped, Place, Reader, scan


def draw_id(lane: Lane, problem: Problem, idx: int) -> str:
    """What a draw is called in the journal, and in the `serves` of its calls."""
    return f"{lane.scope}/{problem.query_id}/{idx}"


def verdict_id(candidate: Candidate, verifier: Verifier, plan: Plan) -> str:
    """What a verdict is called; the candidate's arm is an arm id here.

    Of a stage that sees the reference it names that and the answer too: where either changes, it is given anew.
    """
    scope = f"{candidate.arm}/{candidate.query_id}/{candidate.candidate_idx}/{verifier.stage}/{verifier.digest}"
    if not verifier.gold:
        return scope
    return f"{scope}/{digest(plan.reference(candidate.query_id), candidate.facts.get('answer_key'), length=8)}"


def candidates_of(plan: Plan, record: Mapping[str, Any]) -> list[Candidate]:
    """The candidates of a `draw` line, with their answers read again where another parser read them."""
    return [candidate_of(plan, record, at) for at in range(len(record["candidates"]))]


def candidate_of(plan: Plan, record: Mapping[str, Any], at: int) -> Candidate:
    """One of them; where only a view of the line was read, without its parts."""
    candidate = decode(Candidate, {"parts": (), **record["candidates"][at]})
    read = record.get("parser", "") == plan.parser or record["query"] not in plan.at
    return candidate if read else _read_again(plan, candidate)


def _read_again(plan: Plan, candidate: Candidate) -> Candidate:
    problem = plan.problems[plan.at[candidate.query_id]]
    with Foreign(f"the answer of {candidate.query_id}"):
        printed, key = plan.read(problem, candidate)
    return replace(candidate, facts={**candidate.facts, "answer": printed, "answer_key": key})


@dataclass
class Pending:
    """A draw whose candidates wait for verdicts."""

    candidates: list[Candidate]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """By id."""
    _due: list[str] | None = None
    """Ids of all that the plan's verifiers have to say, once they were asked for."""

    def lacks(self, plan: Plan) -> bool:
        """True while a verifier of the plan has not spoken on a candidate."""
        if self._due is None:
            self._due = [verdict_id(one, stage, plan) for one in self.judged for stage in plan.verifiers]
        return any(id not in self.verdicts for id in self._due)

    def of(self, candidate: Candidate, plan: Plan) -> list[Verdict]:
        """A candidate's verdicts, in the order of the plan's verifiers."""
        ids = [verdict_id(candidate, stage, plan) for stage in plan.verifiers]
        return [self.verdicts[id] for id in ids if id in self.verdicts]

    @property
    def judged(self) -> list[Candidate]:
        """The candidates that get verdicts: a failed one has nothing to judge."""
        return [one for one in self.candidates if one.error is None]


@dataclass
class State:
    """A run as its journal tells it."""

    roster: Roster
    account: Account
    drawn: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """(Lane scope, query_id) → indices of draws written down."""
    failed: dict[str, str] = field(default_factory=dict)
    """By draw id, of those: why it failed, where it did."""
    replies: dict[str, Reply] = field(default_factory=dict)
    """By key: received, for draws and verdicts not written down."""
    tries: dict[str, int] = field(default_factory=dict)
    """By key: requests sent without a reply."""
    pending: dict[str, Pending] = field(default_factory=dict)
    """By draw id: draws without all their verdicts; their texts are left out."""
    orphans: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    """By draw id: verdicts, by id, on a draw whose line is damaged, or is further down because it was."""
    lost: dict[str, Spend] = field(default_factory=dict)
    """By call id: attempts of which nothing came back → what they can have cost at most."""
    batches: dict[tuple[str, str], list[Mapping[str, Any]]] = field(default_factory=dict)
    """(Model, batch) → the `sent` lines of what has not come back of it."""
    reread: int = 0
    """Draws whose answers another parser had read."""
    _first: float | None = None
    """When the session that is read began."""
    _last: float = 0.0
    """The latest time that one of its lines says."""
    dropped: int = 0
    """Damaged lines."""
    _waiting: dict[str, list[tuple[str, Place, int]]] = field(default_factory=dict)
    """Draw or verdict id → of each reply for it: its key, where its `call` line stands, and which of its replies."""
    _unread: dict[str, bytes] = field(default_factory=dict)
    """By call id, while the journal is read: `sent` lines of this session without a `call` line."""
    _batched: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By call id: `sent` lines of requests that went by a batch and have no `call` line."""
    _settled: set[int] = field(default_factory=set)
    """Hashes of the ids of draws and verdicts that are written down."""

    @classmethod
    def of(cls, plan: Plan, folder: Path, show: Callable[[Pending], None]) -> State:
        """Reads the journal; draws with all their verdicts are shown as they come.

        Raises BadInput where it is another run's: see `Roster`.
        """
        state, dropped = cls(Roster(plan, folder), Account(plan.caps)), list[Dropped]()
        with Reader() as reader:
            for place, record in scan(folder, dropped, views=views(plan)):
                state._enter(plan, place, record, reader, show)
            state._close(plan)
            for key, place, at in chain.from_iterable(state._waiting.values()):
                state.replies[key] = replies_of(plan, reader.read(place))[at]
        state.dropped = len(dropped)
        state._waiting.clear()
        state._find_batches()
        for bound in state.lost.values():
            state.account.spent(bound, bound)
        for pending in state.pending.values():
            pending.candidates = [replace(one, parts=()) for one in pending.candidates]
        return state

    def _enter(
        self, plan: Plan, place: Place, record: Mapping[str, Any], reader: Reader, show: Callable[[Pending], None]
    ) -> None:
        match record["kind"]:
            case "sent":
                self._unread[record["id"]] = record["line"]
            case "call":
                self._time(record["ended"])
                self._call(plan, place, record)
            case "draw":
                self._time(record["at"])
                self.roster.draw(place, record)
                self._draw(plan, place, record, reader, show)
            case "verdict":
                self._verdict(plan, record, show)
            case "run":
                self._close(plan)
                self._first = self._last = record.get("at") or 0.0
                self.roster.run(record)
            case "batch":
                self._look(plan)
                ids = [as_id(name) for name in record["calls"]]
                out = [self._batched[id] for id in ids if id in self._batched]
                self.batches[record["model"], record["batch"]] = out
            case _:
                self._time(record.get("ended") or record.get("at") or record.get("started"))

    def _time(self, now: float | None) -> None:
        """A line of the session says this time."""
        if now is not None and now > self._last:
            self._last = now

    def _look(self, plan: Plan) -> None:
        """Reads the `sent` lines whose calls have not come."""
        for line in self._unread.values():
            self._sent(plan, loads(line))
        self._unread.clear()

    def _sent(self, plan: Plan, record: Mapping[str, Any]) -> None:
        self.tries[record["key"]] = max(record["attempt"], self.tries.get(record["key"], 0))
        self.lost[record["id"]] = at_most(plan, record["role"], record["model"], record)
        self._time(record["started"])
        if "children" in record:
            self._batched[record["id"]] = record

    def _find_batches(self) -> None:
        """What is out by a batch is not lost."""
        for key, lines in list(self.batches.items()):
            self.batches[key] = [line for line in lines if line["id"] in self._batched]
            for line in self.batches[key]:
                self.lost.pop(line["id"], None)

    def _close(self, plan: Plan) -> None:
        self._look(plan)
        if self._first:
            self.account.seconds += max(0.0, self._last - self._first)
        self._first = None

    def _call(self, plan: Plan, place: Place, record: Mapping[str, Any]) -> None:
        id, cost = record["id"], record["spend"]
        usd, read, written = cost.get("usd"), cost.get("prompt"), cost.get("completion")
        told = read is not None and written is not None and (usd is not None or plan.price is None)
        line = self._unread.pop(id, None)
        if line is not None and told and record["status"] == "ok" and id not in self.lost:
            self.account.paid(usd, read + written)
        else:
            if line is not None:
                self._sent(plan, loads(line))
            self._ended(record)
            if record["status"] != "ok":
                self.tries[record["key"]] = record["attempt"]
                return
        if self.tries:
            self.tries.pop(record["key"], None)
        for at, (child, serves) in enumerate(zip(record["children"], record["serves"], strict=True)):
            if hash(serves) not in self._settled:
                self._waiting.setdefault(serves, []).append((child, place, at))

    def _ended(self, record: Mapping[str, Any]) -> None:
        """What an attempt cost that ended somehow, whose `sent` line was read."""
        self._batched.pop(record["id"], None)
        bound = self.lost.get(record["id"], NOT_KNOWN)
        if record["status"] == "cancelled":
            return
        self.lost.pop(record["id"], None)
        if record["status"] == "ok":
            self.account.spent(decode(Spend, record["spend"]), bound)
        else:
            self.account.spent(NOT_KNOWN if record.get("lost") else FREE, bound)

    def _draw(
        self,
        plan: Plan,
        place: Place,
        record: Mapping[str, Any],
        reader: Reader,
        show: Callable[[Pending], None],
    ) -> None:
        if record.get("failed") in _AGAIN[plan.retry_failed]:
            return  # to be made again, over the replies it received
        self.drawn[record["scope"], record["query"]].add(record["idx"])
        if self.failed:
            self.failed.pop(record["id"], None)
        for one in record["candidates"]:
            if (why := one.get("error")) is not None:
                self.failed[record["id"]] = why
        self._settle(record["id"])
        if plan.verifiers or plan.policies:
            if record.get("parser", "") != plan.parser:
                self.reread += 1
                record = reader.read(place)
            candidates = candidates_of(plan, record)
            self._file(plan, record["id"], Pending(candidates, self.orphans.pop(record["id"], {})), show)

    def _verdict(self, plan: Plan, record: Mapping[str, Any], show: Callable[[Pending], None]) -> None:
        self._settle(record["id"])
        if hash(record["draw"]) not in self._settled:
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
        self._settled.add(hash(id))
        self._waiting.pop(id, None)


NOT_KNOWN = Spend()
_AGAIN = {"none": frozenset[str](), "transient": frozenset({"transient"}), "all": frozenset({"transient", "final"})}
"""What is retried → the failures that are made again."""


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
