"""Who and what a journal is about: its arms, its problems, and how many draws each was due.

Two plans of one folder extend each other, and neither sees the whole: the pool is the union of what all of
them asked for. `run` lines name the arms and problems of a session; the first `draw` line of a problem under
an arm holds the problem and its messages, so that a narrower plan can still write its rows. What would mix
two distributions under one name is refused here: another seed, another arm of the same label, another question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.records import Arm, Map, Problem, canonical
from testtime.engine.plan import Plan
from testtime.store.codec import decode, encode
from testtime.store.journal import Place, Reader, journal_folder

_LONGEST = 60
_HEAD = 400
"""Bytes of a line that hold its id and kind: a draw's are short."""


@dataclass
class Roster:
    """Filled line by line from a journal."""

    plan: Plan
    folder: Path
    sessions: int = 0
    arms: dict[str, Arm] = field(default_factory=dict)
    """By id: those of the plan, then those of earlier sessions."""
    again: dict[str, Arm] = field(default_factory=dict)
    """By id: the arms that only marked retries have, and those of rows that are retries."""
    grouped: dict[str, bool] = field(default_factory=dict)
    """Arm id → whether its draws may share a request."""
    due: dict[tuple[str, str], int] = field(default_factory=dict)
    """(Arm id, query_id) → draws due whatever came out, as the journal says."""
    told: dict[tuple[str, str], Place] = field(default_factory=dict)
    """(Lane scope, query_id) → the draw that holds the problem and its messages."""
    others: dict[str, str] = field(default_factory=dict)
    """Problems with draws that the plan lacks: query_id → split."""
    lists: dict[tuple[str, ...], None] = field(default_factory=dict)
    """What sessions planned: query_ids, each list in dataset order."""

    def __post_init__(self) -> None:
        self.arms |= self.plan.arms
        self.again |= self.plan.again
        for lane in self.plan.lanes:
            self.grouped |= {arm.id: self.plan.chunk(lane) > 1 for arm in lane.arms}

    def run(self, record: Mapping[str, Any]) -> None:
        """A session that began. Raises BadInput where it was one of another run."""
        self.sessions += 1
        for name, now in (("seed", self.plan.seed), ("dataset", self.plan.dataset)):
            if record[name] != now:
                raise self._other(f"this run was made with {name} {record[name]!r}, not {now!r}")
        for one in record["arms"]:
            arm = decode(Arm, one)
            self._check(arm)
            if arm.id not in self.plan.arms:
                self.arms[arm.id] = arm
            self.grouped.setdefault(arm.id, record["grouped"][arm.id])
            self.lists[tuple(record["problems"])] = None
            for query in record["problems"]:
                self.due[arm.id, query] = max(record["floors"][arm.id], self.due.get((arm.id, query), 0))
        for arm in (decode(Arm, one) for one in record.get("again", ())):
            self.again.setdefault(arm.id, arm)

    def draw(self, place: Place, record: Mapping[str, Any]) -> None:
        """A draw, which may be the first of its problem. Raises BadInput where the problem was another one."""
        query, scope, first = record["query"], record["scope"], record.get("first")
        rows = record["candidates"]
        if first is None and (scope, query) in self.told and not any([one.get("retry_of") for one in rows]):
            return  # as the one that holds the problem
        self._name(rows, query)
        if query not in self.plan.at:
            self.others[query] = first["problem"]["split"] if first else self.others.get(query, "")
        if first is None:
            return
        if query in self.plan.at and (lane := self.plan.by_scope.get(scope)):
            now = self.plan.problems[self.plan.at[query]]
            if first["problem"]["question"] != now.question:
                raise self._other(f"the question of {query} has changed")
            messages = list(lane.messages(now))
            if first["messages"] != messages and canonical(first["messages"]) != canonical(messages):
                raise self._other(f"the prompt of arm {lane.arms[0].label} has changed: {query} was asked otherwise")
        self.told.setdefault((scope, query), place)

    def _name(self, rows: Sequence[Mapping[str, Any]], query: str) -> None:
        """Sees to it that the arms of a draw are there, also where the line that named them is damaged."""
        for one in rows:
            arm = self.arms.get(one["arm"], Arm(one["arm"], {}))
            if one.get("retry_of") is not None:
                self.again.setdefault(one["arm"], arm)
            else:
                self.due.setdefault((one["arm"], query), 0)
                self.arms.setdefault(one["arm"], arm)

    def floor(self, arm: str) -> int:
        """Draws that every problem of this arm was due, whichever session asked for it."""
        return min((due for (id, _), due in self.due.items() if id == arm), default=0)

    @property
    def problems(self) -> list[str]:
        """All that were drawn or planned, in dataset order: what a list lacks of another goes after its neighbour."""
        first, *rest = sorted([tuple(self.plan.at), *self.lists], key=len, reverse=True)
        order, known = list(first), set(first)
        for listed in [*rest, tuple(self.others)]:
            after: dict[str | None, list[str]] = {}
            neighbour = None
            for query in listed:
                if query in known:
                    neighbour = query
                else:
                    after.setdefault(neighbour, []).append(query)
            known.update(listed)
            order = after.get(None, []) + [each for query in order for each in (query, *after.get(query, ()))]
        return order

    def covers(self, floors: Mapping[str, int]) -> bool:
        """Whether the journal says already that all the plan's problems are due these draws (arm label → floor)."""
        return all(
            self.due.get((arm.id, query), -1) >= floors[arm.label]
            for arm in self.plan.arms.values()
            for query in self.plan.at
        )

    def asked(self, scope: str, query: str, reader: Reader) -> tuple[Problem, list[Map]]:
        """A problem and its messages: the plan's own where it has both, else as they were when they were drawn.

        Where the line that held them is damaged, a problem without a text, and no messages.
        """
        lane, at = self.plan.by_scope.get(scope), self.plan.at.get(query)
        if lane is not None and at is not None:
            return self.plan.problems[at], list(lane.messages(self.plan.problems[at]))
        place = self.told.get((scope, query))
        first = reader.read(place)["first"] if place else introduced(Problem(query, "", ""), [])
        return decode(Problem, first["problem"]) if at is None else self.plan.problems[at], first["messages"]

    def _check(self, arm: Arm) -> None:
        """An arm of the plan with the same label must be the same arm."""
        lane = self.plan.by_label.get(arm.label)
        now = next((one for one in lane.arms if one.label == arm.label), None) if lane else None
        if now is not None and now.id != arm.id:
            was, new = _flat(arm), _flat(now)
            key = next(key for key in [*was, *new] if was.get(key) != new.get(key))
            raise self._other(f"arm {arm.label} was made with {key} {_short(was.get(key))}, not {_short(new.get(key))}")

    def _other(self, what: str) -> BadInput:
        return BadInput(what, where=str(self.folder), mend="use another output, or start with --fresh")


def introduced(problem: Problem, messages: Sequence[Map]) -> dict[str, Any]:
    """What the first draw of a problem under an arm says of it, for plans to come that lack it."""
    told = Problem(problem.query_id, problem.split, problem.question, problem.reference, cluster=problem.cluster)
    return {"problem": encode(told), "messages": list(messages)}


def _flat(arm: Arm) -> dict[str, object]:
    """What makes the arm, by dotted keys: models.base, sampling.temperature, prompt, …"""
    flat: dict[str, object] = {}
    for name, value in encode(arm).items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        flat |= {f"{name}.{key}".rstrip("."): item for key, item in inner}
    return {key: item for key, item in flat.items() if key != "label"}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def draws_there(plan: Plan, folder: Path) -> int:
    """How many draws of its own a plan finds in a journal: of its lanes and problems, and no more than it will use."""
    there = set[str]()
    for path in journal_folder(folder).glob("*.jsonl"):
        with path.open("rb") as file:
            for line in file:
                head, draw, _ = line[:_HEAD].partition(b',"kind":"draw",')
                with suppress(ValueError):  # a damaged line is no draw
                    there |= {json.loads(head.removeprefix(b'{"id":'))} if draw else set()
    return sum(_is_used(plan, name) for name in there)


def _is_used(plan: Plan, name: str) -> bool:
    scope, _, rest = name.partition("/")
    query, _, idx = rest.rpartition("/")
    lane = plan.by_scope.get(scope)
    return lane is not None and query in plan.at and (bool(plan.policies) or int(idx) < lane.due)
