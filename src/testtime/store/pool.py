"""The pool in memory: every draw of every arm as arrays, and the orders in which it can be replayed.

Sample once, replay everything: a policy reads the pool through `Worlds.history`, which shows it votes
and the columns it needs, never the gold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from testtime.core.errors import Refused
from testtime.core.history import ABSTAINS, Cells, Floats, History, Ints, Track
from testtime.core.records import Arm
from testtime.core.seeds import rng_of

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Draws:
    """One arm's draws in issue order; arrays are [problem, draw]. Marked retries are not among them."""

    arm: Arm
    codes: Ints
    """Answer key codes, ABSTAINS for a draw without one. Arms of one pool share a problem's codes."""
    right: Floats
    """1 right, 0 wrong, nan where no verdict says (or no draw is there)."""
    columns: Mapping[str, Floats] = field(default_factory=dict)
    """`prompt, completion` tokens, `seconds, usd, joules`, `truncated` and `refused` (0/1), scores; nan is unknown."""
    sizes: Ints | None = None
    """[problem] draws there are; None: all columns of `codes`."""
    floor: int | None = None
    """Draws every problem was due whatever came out; None: the smallest size (a pool drawn in full)."""
    grouped: bool = False
    """The model serves several draws from one prompt (`n`), so a round pays for its prompt once."""

    @cached_property
    def size(self) -> Ints:
        """[problem] draws there are."""
        problems, draws = self.codes.shape
        return np.full(problems, draws) if self.sizes is None else self.sizes

    @cached_property
    def sampled(self) -> int:
        """How many draws of each problem are a sample: the floor."""
        smallest = int(self.size.min(initial=self.codes.shape[1]))
        return smallest if self.floor is None else min(self.floor, smallest)

    def part(self, which: slice | Ints) -> Draws:
        """Some of the problems, with as many sampled draws as the whole has."""
        columns = {name: values[which] for name, values in self.columns.items()}
        sizes = None if self.sizes is None else self.sizes[which]
        return replace(
            self, codes=self.codes[which], right=self.right[which], columns=columns, sizes=sizes, floor=self.sampled
        )

    def column(self, name: str) -> Floats:
        """[problem, draw] a column, all nan where the pool does not hold it."""
        return self.columns.get(name, np.full(self.codes.shape, np.nan))


@dataclass(frozen=True, eq=False)
class Pool:
    """All candidates of a run. Arms by label; problems in dataset order, the same for every arm."""

    run: str
    dataset: str
    problems: Sequence[str]
    splits: Sequence[str]
    arms: Mapping[str, Draws]
    keys: Sequence[Sequence[str]] = ()
    """[problem][code] the answer key as text."""
    clusters: Sequence[str | None] | None = None
    provider: str | None = None
    """Who served the models, where known."""
    vote: str = "answer key"
    """What counts as one vote, in words."""
    notes: Sequence[str] = ()
    """What a reader must be told: lines dropped, draws cut to the floor."""

    def part(self, which: slice | Ints) -> Pool:
        """Some of the problems: each meets the orders it meets in the whole."""
        places = range(len(self.problems))[which] if isinstance(which, slice) else which.tolist()
        return replace(
            self,
            problems=[self.problems[at] for at in places],
            splits=[self.splits[at] for at in places],
            arms={label: draws.part(which) for label, draws in self.arms.items()},
            keys=[self.keys[at] for at in places] if self.keys else (),
            clusters=None if self.clusters is None else [self.clusters[at] for at in places],
        )

    def worlds(self, orders: int | None = None, seed: int = 0) -> Worlds:
        """The pool in the one issue order (None), or in `orders` seeded orders of its sampled draws.

        A problem's orders depend on (seed, query_id) alone, so every policy, and every pool that
        holds the problem, meets the same ones.
        """
        return Worlds(self, orders, seed)


@dataclass(frozen=True, eq=False)
class Worlds:
    """Several orders of one pool; its histories have shape [world, problem]."""

    pool: Pool
    orders: int | None
    seed: int
    _cells: dict[str, Cells] = field(default_factory=dict, repr=False)
    _order: dict[str, Ints] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(worlds, problems)."""
        return (self.orders or 1, len(self.pool.problems))

    def order(self, label: str) -> Ints | None:
        """[problem, world, draw] which draw comes when; None in issue order."""
        if self.orders is None:
            return None
        if label not in self._order:
            draws = self.pool.arms[label].sampled
            start = np.tile(np.arange(draws, dtype=np.int32), (self.orders, 1))
            scope = (self.seed, "orders", label) if len(self.pool.arms) > 1 else (self.seed, "orders")
            self._order[label] = np.stack(
                [rng_of(*scope, query).permuted(start, axis=1) for query in self.pool.problems]
            )
        return self._order[label]

    def gather(self, label: str, values: NDArray[_T]) -> NDArray[_T]:
        """[row, draw] a [problem, draw] array as the worlds meet it; row = problem · worlds + world."""
        order = self.order(label)
        if order is None:
            return values
        problems, worlds, draws = order.shape
        start = (np.arange(problems, dtype=np.int32) * values.shape[1])[:, None, None]
        met: NDArray[_T] = values.reshape(-1)[order + start].reshape(problems * worlds, draws)
        return met

    def cells(self, label: str) -> Cells:
        """The arm's votes, [row, draw]; computed once."""
        if label not in self._cells:
            draws = self.pool.arms[label]
            codes = self.gather(label, draws.codes.astype(np.int16))
            self._cells[label] = Cells(codes, size=draws.size if self.orders is None else None)
        return self._cells[label]

    def history(self, arms: Sequence[str], needs: frozenset[str] = frozenset()) -> History:
        """Tracks of these arms, [world, problem], with nothing visible yet. Raises Refused for a column it lacks."""
        worlds, problems = self.shape
        rows = np.arange(worlds * problems).reshape(problems, worlds).T
        tracks = {}
        for label in arms:
            cells = self.cells(label)
            if missing := needs - self.pool.arms[label].columns.keys():
                have = ", ".join(sorted(self.pool.arms[label].columns)) or "none"
                raise Refused(f"the pool {self.pool.run} has no column {sorted(missing)[0]!r}", mend=f"it has: {have}")
            shown = {name: self.gather(label, self.pool.arms[label].columns[name]) for name in sorted(needs)}
            seen = Cells(cells.codes, shown, cells.size, cells._prefix) if needs else cells
            tracks[label] = Track(seen, rows, np.zeros(rows.shape, dtype=np.int64))
        return tracks


def codes_of(keys: Sequence[Sequence[str | None]]) -> tuple[Ints, list[list[str]]]:
    """Answer keys [problem][draw] to codes by first sight, and the keys by code. Short rows are padded.

    >>> codes_of([["18", None, "3", "18"]])[0].tolist()
    [[0, -1, 1, 0]]
    """
    width = max((len(row) for row in keys), default=0)
    codes = np.full((len(keys), width), ABSTAINS, dtype=np.int16)
    names: list[list[str]] = []
    for at, row in enumerate(keys):
        seen: dict[str, int] = {}
        for j, key in enumerate(row):
            if key is not None:
                codes[at, j] = seen.setdefault(key, len(seen))
        names.append(list(seen))
    return codes, names
