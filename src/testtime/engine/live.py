"""Policies executed live: each sees the draws that it asked for, as a replay of this one order would show them.

A sitting is a policy over the rows it decides together: one problem, or all of them where its budget
runs across. Several sittings may ask for the same draw; it is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from testtime.core.errors import Refused
from testtime.core.history import UNSEEN, Ballot, Cells, Floats, History, Ints, Track
from testtime.core.protocols import Policy
from testtime.core.records import Candidate, Verdict
from testtime.engine.foreign import Foreign
from testtime.engine.plan import Plan
from testtime.engine.rows import columns_of, key_of, row_of


@dataclass
class Board:
    """What has landed, as arrays [problem, draw] by arm: numbers only, no text."""

    plan: Plan
    _codes: dict[str, Ints] = field(default_factory=dict)
    _columns: dict[str, dict[str, Floats]] = field(default_factory=dict)
    _ready: dict[str, Ints] = field(default_factory=dict)
    _names: dict[tuple[int, str], int] = field(default_factory=dict)
    _dealt: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._needs = sorted({name for policy in self.plan.policies for name in policy.needs})
        for label in self.plan.by_label:
            problems = len(self.plan.problems)
            self._codes[label] = np.full((problems, 8), UNSEEN, dtype=np.int16)
            self._columns[label] = {name: np.full((problems, 8), np.nan) for name in self._needs}
            self._ready[label] = np.zeros(problems, dtype=np.int64)

    def show(self, candidates: Sequence[Candidate], verdicts: Callable[[Candidate], Sequence[Verdict]]) -> None:
        """A draw, judged and ready to be seen; its candidates name their arms by id. Marked retries are not draws."""
        for one in candidates:
            if one.retry_of is None and one.query_id in self.plan.at and one.arm in self.plan.arms:
                arm, at = self.plan.arms[one.arm], self.plan.at[one.query_id]
                columns: Mapping[str, float] = {}
                said = verdicts(one)
                if self._needs:
                    columns = columns_of(row_of(self.plan.problems[at], arm, one, said))
                self._land(arm.label, at, one.candidate_idx, key_of(one, said), columns)

    def _land(self, label: str, at: int, idx: int, key: str | None, columns: Mapping[str, float]) -> None:
        self._grow(label, idx + 1)
        codes = self._codes[label][at]
        codes[idx] = -1 if key is None else self._code(at, key)
        for name in self._needs:
            self._columns[label][name][at, idx] = columns.get(name, np.nan)
        while self._ready[label][at] < codes.size and codes[self._ready[label][at]] != UNSEEN:
            self._ready[label][at] += 1

    def ready(self, label: str, rows: Ints) -> Ints:
        """[row] how many draws from the first on have landed."""
        return self._ready[label][rows]

    def track(self, label: str, rows: Ints, seen: Ints) -> Track:
        """The draws of these problems, of which `seen` [1, row] are visible."""
        self._grow(label, width := int(seen.max(initial=0)))
        columns = {name: values[rows, :width] for name, values in self._columns[label].items()}
        return Track(Cells(self._codes[label][rows, :width], columns), np.arange(rows.size)[None, :], seen)

    def _code(self, at: int, key: str) -> int:
        """A problem's answers are numbered in the order they land; the number says only which are equal."""
        if (at, key) not in self._names:
            self._names[at, key] = self._dealt.get(at, 0)
            self._dealt[at] = self._names[at, key] + 1
        return self._names[at, key]

    def _grow(self, label: str, width: int) -> None:
        codes = self._codes[label]
        if width <= codes.shape[1]:
            return
        more = ((0, 0), (0, max(width, 2 * codes.shape[1]) - codes.shape[1]))
        self._codes[label] = np.pad(codes, more, constant_values=UNSEEN)
        for name, values in self._columns[label].items():
            self._columns[label][name] = np.pad(values, more, constant_values=np.nan)


@dataclass
class Sitting:
    """One policy over rows that it decides together."""

    policy: Policy
    labels: tuple[str, ...]
    rows: Ints
    seen: dict[str, Ints]
    """Arm → [1, row] draws it asked for."""
    done: bool = False

    @classmethod
    def of(cls, policy: Policy, labels: tuple[str, ...], rows: Ints) -> Sitting:
        """With nothing asked for yet."""
        return cls(policy, labels, rows, {label: np.zeros((1, rows.size), dtype=np.int64) for label in labels})

    def advance(self, board: Board) -> bool:
        """Asks as long as all that it asked for has landed; true if it wants more than before. Raises Refused."""
        wants_more = False
        while not self.done and all((board.ready(label, self.rows) >= self.seen[label]).all() for label in self.labels):
            with Foreign(f"the policy {self.policy.name}"):
                asks = self.policy.ask(self.history(board))
            if any((np.asarray(asked) < 0).any() for asked in asks.values()):
                raise Refused(f"policy {self.policy.name} asked for fewer draws than it has")
            self.done = not any(np.asarray(asked).any() for asked in asks.values())
            for label, asked in asks.items():
                self.seen[label] = self.seen[label] + asked
            if (
                self.policy.most is not None
                and np.sum(list(self.seen.values()), axis=0).max(initial=0) > self.policy.most
            ):
                raise Refused(
                    f"policy {self.policy.name} asked for more than its {self.policy.most} draws of a problem"
                )
            wants_more |= not self.done
        return wants_more

    def choose(self, board: Board) -> Ballot:
        """Its answers."""
        with Foreign(f"the policy {self.policy.name}"):
            return self.policy.choose(self.history(board))

    def history(self, board: Board) -> History:
        """What it may see: one world."""
        return {label: board.track(label, self.rows, self.seen[label]) for label in self.labels}


def sittings(plan: Plan) -> Iterator[Sitting]:
    """Every policy, on each arm by itself where it names none, on each problem by itself unless it runs across."""
    every = np.arange(len(plan.problems))
    for policy in plan.policies:
        over = [tuple(policy.arms)] if policy.arms else [(label,) for label in plan.by_label]
        for labels in over:
            for rows in [every] if policy.across else every[:, None]:
                yield Sitting.of(policy, labels, rows)


def floors_of(plan: Plan) -> dict[str, int]:
    """Arm label → draws that every problem is due whatever comes out.

    That is what the lane is due, and what policies ask for before they have seen anything.
    """
    floors = {label: lane.due for label, lane in plan.by_label.items()}
    board = Board(plan)
    for policy in plan.policies:
        for labels in [tuple(policy.arms)] if policy.arms else [(label,) for label in plan.by_label]:
            first = Sitting.of(policy, labels, np.arange(len(plan.problems)))
            for label, asked in policy.ask(first.history(board)).items():
                floors[label] = max(floors[label], int(np.min(asked, initial=2**31)) if np.size(asked) else 0)
    return floors
