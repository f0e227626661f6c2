"""What a policy may see: draws that are visible, as arrays over rows, and tallies of their votes.

A row is one problem in one world (an order of its draws). A live run is the replay of one world
whose cells a model fills in, so policies are written once, for arrays. A policy can see a track's
tally and its visible cells, and nothing beyond `seen`; it sees no gold and throws no dice.

Votes: equal answer codes are one vote, ABSTAINS is drawn and paid for but never votes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

ABSTAINS = -1
UNSEEN = -2
TOP = 5
"""How many leading counts `Tally.top` keeps."""


class Tally:
    """The votes of a track at the draws seen so far; each quantity is looked up when it is named.

    All are arrays of the track's shape (`top` has one axis more):
    n drawn, `voted` (n less abstentions), v1 ≥ v2 the two largest counts, `tied` answers at v1,
    `leader` the draw at which the first-seen of them appeared, `distinct` answers,
    `spread` Σ c·log2 c over answers, `run` equal votes in a row at the end, `top` the TOP largest counts.
    """

    def __init__(self, look: Callable[[str], NDArray[Any]]) -> None:
        self._look = look

    @classmethod
    def of(cls, **quantities: NDArray[Any]) -> Tally:
        """A tally of given numbers: a grid for a table, or the states of an exact law."""
        return cls(quantities.__getitem__)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name not in QUANTITIES:
            raise AttributeError(f"a tally has no {name!r}; it has {', '.join(QUANTITIES)}")
        value = self._look(name)
        setattr(self, name, value)
        return value


QUANTITIES = ("n", "voted", "v1", "v2", "tied", "leader", "distinct", "spread", "run", "top")


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows × draws, shared by all tracks over them. `codes` only say which answers are equal."""

    codes: Ints
    """[row, draw] answer code ≥ 0, or ABSTAINS. Below 2^15."""
    columns: Mapping[str, Floats] = field(default_factory=dict)
    """[row, draw] tokens, scores, …: nan where unknown."""
    size: Ints | None = None
    """[row] draws there are, where rows are ragged; None: all of them."""
    _prefix: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @property
    def sizes(self) -> Ints:
        """[row] draws there are."""
        rows, draws = self.codes.shape
        return np.full(rows, draws) if self.size is None else self.size

    def prefix(self, name: str) -> NDArray[Any]:
        """A tally quantity after 0 … N draws, [draws + 1, row]; computed once, then kept."""
        if name not in self._prefix:
            scan = _scan_counts if name in _COUNTED else _scan_spectrum if name != "run" else _scan_run
            self._prefix.update(scan(self.codes))
        return self._prefix[name]

    def scanned(self, name: str, scan: Callable[[Cells], NDArray[Any]]) -> NDArray[Any]:
        """A quantity of a policy's own after 0 … N draws, [draws + 1, row]; computed once, then kept by its name.

        `scan(cells)` must look only backwards: what it says after n draws may not depend on later ones.
        """
        if name not in self._prefix:
            self._prefix[name] = scan(self)
        return self._prefix[name]

    def track(self, seen: int = 0) -> Track:
        """All rows with the first `seen` draws visible."""
        rows = np.arange(self.codes.shape[0])
        return Track(self, rows, np.full(rows.shape, seen))


@dataclass(frozen=True, eq=False)
class Track:
    """One arm's draws, as far as they are visible."""

    cells: Cells
    rows: Ints
    """Which row of the cells each entry is; any shape, usually [world, problem]."""
    seen: Ints
    """Draws visible, same shape."""

    @property
    def tally(self) -> Tally:
        """The votes among the visible draws."""
        return Tally(self._look)

    def _look(self, name: str) -> NDArray[Any]:
        if name == "n":
            return self.seen
        found = self.cells.prefix(name)[self.seen, self.rows]
        return found if name == "spread" else found.astype(np.int64)  # kept small, but rules add and multiply

    def at(self, mask: Any) -> Track:
        """The entries that a mask or index picks."""
        return Track(self.cells, self.rows[mask], self.seen[mask])

    def more(self, asked: Ints) -> Track:
        """The same rows with further draws visible."""
        return Track(self.cells, self.rows, self.seen + asked)

    def scan(self, name: str, scan: Callable[[Cells], NDArray[Any]]) -> NDArray[Any]:
        """A quantity of a policy's own at the draws seen so far, of the track's shape; see `Cells.scanned`."""
        found: NDArray[Any] = self.cells.scanned(name, scan)[self.seen, self.rows]
        return found

    @property
    def answer(self) -> Ints:
        """[…, draw] codes dealt in order of first sight, up to the largest `seen`; UNSEEN beyond each row's own."""
        codes = np.where(self._visible, self.cells.codes[self.rows][..., : self._width], UNSEEN)
        dealt = _deal(codes.reshape(-1, codes.shape[-1]))
        return dealt.reshape(codes.shape)

    def column(self, name: str) -> Floats:
        """[…, draw] a column's visible values, nan beyond."""
        values: Floats = self.cells.columns[name][self.rows][..., : self._width]
        return np.where(self._visible, values, np.nan)

    @property
    def _width(self) -> int:
        return int(self.seen.max(initial=0))

    @property
    def _visible(self) -> Bools:
        visible: Bools = np.arange(self._width) < self.seen[..., None]
        return visible


History = Mapping[str, Track]
"""Arm → track; all tracks of one shape. A policy over any one arm gets exactly one."""
Asks = Mapping[str, Ints]
"""Arm → further draws wanted, of the history's shape; all zero means done."""


def only(history: History) -> tuple[str, Track]:
    """The one arm of a single-arm policy's history, and its track."""
    ((arm, track),) = history.items()
    return arm, track


@dataclass(frozen=True, eq=False)
class Ballot:
    """What a policy chose: for each row, weights on draws whose answers it returns.

    Weights of a row sum to 1 (ties share), or the row has no entry: it gives no answer.
    """

    row: Ints
    """Flat index into the history's shape."""
    draw: Ints
    weight: Floats
    arm: Ints
    """Index into the history's arms, in its order."""

    @classmethod
    def of(cls, weights: Floats, arm: int = 0) -> Ballot:
        """From dense weights […, draw]; each row is scaled to sum to 1, or left out where it sums to 0."""
        flat = weights.reshape(-1, weights.shape[-1]) if weights.size else weights.reshape(-1, 0)
        row, draw = np.nonzero(flat > 0)
        weight = flat[row, draw]
        sums = np.bincount(row, weights=weight, minlength=flat.shape[0]) if row.size else np.zeros(flat.shape[0])
        return cls(row, draw, weight / sums[row], np.full(row.shape, arm))

    def expect(self, values: Floats, rows: int) -> Floats:
        """[row] the weighted mean of a value per entry (right or wrong, say); 0 for a row with no entry."""
        return np.bincount(self.row, weights=self.weight * values, minlength=rows).astype(float)


def _deal(codes: Ints) -> Ints:
    """Codes renumbered 0, 1, … in order of first sight along each row; negatives stay."""
    rows, draws = codes.shape
    dealt = codes.copy()
    names = np.full((rows, max(int(codes.max(initial=-1)) + 1, 1)), -1)
    fresh, every = np.zeros(rows, dtype=int), np.arange(rows)
    for j in range(draws):
        code = codes[:, j]
        votes = code >= 0
        safe = np.where(votes, code, 0)
        new = votes & (names[every, safe] < 0)
        names[every[new], code[new]] = fresh[new]
        fresh += new
        dealt[:, j] = np.where(votes, names[every, safe], code)
    return dealt


_COUNTED = ("voted", "v1", "v2", "tied", "leader")


def _counter(draws: int) -> type[np.signedinteger[Any]]:
    """The smallest type that counts so many draws: what is kept for every draw of every row is much."""
    return np.int8 if draws < 2**7 else np.int16 if draws < 2**15 else np.int32


def _drawn_counts(codes: Ints) -> Iterator[tuple[Ints, Bools, Ints]]:
    """Draw by draw: how many votes the drawn answer has now (0: it abstains), whether it votes, and its slot."""
    rows, draws = codes.shape
    width = int(codes.max(initial=-1)) + 2  # one slot more, where abstentions are counted and never read
    kind = _counter(draws)
    counts = np.zeros(rows * width, dtype=kind)
    base = np.arange(rows) * width
    by_draw: Ints = np.ascontiguousarray(codes.T)
    for j in range(draws):
        votes: Bools = by_draw[j] >= 0
        slot: Ints = base + np.where(votes, by_draw[j], width - 1)
        c = counts[slot] + kind(1)
        counts[slot] = c
        yield np.where(votes, c, kind(0)), votes, slot


def _scan_counts(codes: Ints) -> dict[str, NDArray[Any]]:
    """One pass over the draws: the two largest counts after each, and who leads.

    When the count of the drawn answer becomes c: c > v1 makes it the sole leader, and the old v1 is
    the runner-up if others were tied there; c = v1 joins the tie; else c may raise v2.
    """
    rows, draws = codes.shape
    kind = _counter(draws)
    out = {name: np.zeros((draws + 1, rows), dtype=kind) for name in _COUNTED}
    width = int(codes.max(initial=-1)) + 2
    first = np.zeros(rows * width, dtype=kind)
    v1, v2, tied, leader, voted = (np.zeros(rows, dtype=kind) for _ in range(5))
    one = kind(1)
    for j, (c, votes, slot) in enumerate(_drawn_counts(codes)):
        new = np.flatnonzero(c == 1)
        first[slot[new]] = j
        ahead, level = c > v1, votes & (c == v1)
        v2 = np.where(ahead, np.where(tied > 1, v1, v2), np.maximum(v2, c))
        moved = np.flatnonzero(ahead | level)  # the old leader may be the drawn one: then it stays
        born = first[slot[moved]]
        leader[moved] = np.where(ahead[moved], born, np.minimum(leader[moved], born))
        tied = np.where(ahead, one, tied + level)
        v1 = np.maximum(v1, c)
        voted = voted + votes
        for name, value in zip(_COUNTED, (voted, v1, v2, tied, leader), strict=True):
            out[name][j + 1] = value
    return out


def _scan_spectrum(codes: Ints) -> dict[str, NDArray[Any]]:
    """One pass for the quantities of the whole count vector: distinct answers, Σ c·log2 c, the TOP counts.

    The top counts stay sorted: of those equal to c − 1, the first becomes c.
    """
    rows, draws = codes.shape
    distinct = np.zeros((draws + 1, rows), dtype=_counter(draws))
    spread = np.zeros((draws + 1, rows))
    top = np.zeros((draws + 1, TOP, rows), dtype=_counter(draws))
    clog = np.concatenate([[0.0], np.arange(1, draws + 1) * np.log2(np.arange(1, draws + 1))])
    gain = np.diff(clog, prepend=0.0)  # [c] what the c-th vote of an answer adds
    for j, (c, _, _) in enumerate(_drawn_counts(codes)):
        distinct[j + 1] = distinct[j] + (c == 1)
        np.add(spread[j], gain.take(c), out=spread[j + 1])
        above = np.ones(rows, dtype=bool)
        for place in range(TOP):
            below = top[j, place] < c
            np.add(top[j, place], below & above, out=top[j + 1, place])
            above = ~below
    return {"distinct": distinct, "spread": spread, "top": top.transpose(0, 2, 1)}


def _scan_run(codes: Ints) -> dict[str, NDArray[Any]]:
    """How many equal votes in a row end at each draw; an abstention breaks the run."""
    rows, draws = codes.shape
    run = np.zeros((draws + 1, rows), dtype=_counter(draws))
    before = np.full(rows, UNSEEN)
    for j in range(draws):
        code = codes[:, j]
        run[j + 1] = np.where(code < 0, 0, np.where(code == before, run[j] + 1, 1))
        before = code
    return {"run": run}
