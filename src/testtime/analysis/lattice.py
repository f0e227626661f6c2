"""The count states of one problem's pool, and how one draw leads from each to the next.

Keys with equal pool counts (and equal worth to the caller) are lumped into a group: a state says how
many keys of a group stand at each count, so 20 stray answers make a few states, not 2^20.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from testtime.core.history import TOP, Floats, Ints, Tally

Group = tuple[int, int]
"""(votes each key has in the pool, how many such keys)."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """All states reachable within `levels` draws, ordered by the number drawn."""

    tally: Tally
    """Quantities of every state, [state]; neither `run` nor `leader`: those are not in the counts."""
    drawn: Floats
    """[state, group + 1] draws of each group's keys together, abstentions last."""
    share: Floats
    """[state, group] part of the vote's outcome that falls to a group when ties are split evenly."""
    starts: Ints
    """[levels + 2] first state of each level."""
    arcs: Sequence[tuple[Ints, Ints, Floats]]
    """For each level: from state, to state, probability."""

    @property
    def levels(self) -> int:
        """The most draws."""
        return len(self.starts) - 2

    def flow(self, stops: NDArray[np.bool_]) -> Floats:
        """[state] probability to be in a state, when every path ends at its first stopping state."""
        mass = np.zeros(len(stops))
        mass[0] = 1.0
        for level, (source, target, chance) in enumerate(self.arcs):
            low, high = self.starts[level + 1], self.starts[level + 2]
            moving = np.where(stops[source], 0.0, mass[source] * chance)
            mass[low:high] = np.bincount(target - low, weights=moving, minlength=high - low)
        return mass


def count_states(groups: Sequence[Group], abstain: int, levels: int) -> float:
    """How many states `lattice` would have, without building them; inf where their index is beyond 64 bits."""
    sizes, box = np.ones(1), 1.0
    for count, keys in (*groups, (abstain, 1)):
        shapes = _count_shapes(count, keys, levels)
        box *= float(shapes.sum())
        sizes = np.convolve(sizes, shapes)[: levels + 1]
    return float(sizes.sum()) if box < 2.0**62 else inf


@lru_cache(maxsize=32)
def lattice(groups: tuple[Group, ...], abstain: int, levels: int) -> Lattice:
    """The states of a pool of Σ count·keys votes and `abstain` abstentions, up to `levels` draws without replacement.

    Ask `count_states` first: the work is proportional to it.
    """
    classes = (*groups, (abstain, 1))
    parts = _states(classes, levels)
    shapes = [_shapes(count, keys, levels) for count, keys in classes]
    drawn = np.stack([shape.sum(axis=1)[part] for shape, part in zip(shapes, parts, strict=True)], axis=1)
    starts = np.searchsorted(drawn.sum(axis=1), np.arange(levels + 2))
    counts = [shape[part] for shape, part in zip(shapes[:-1], parts[:-1], strict=True)]
    tally, share = _votes(counts, drawn)
    return Lattice(tally, drawn.astype(float), share, starts, _arcs(classes, parts, drawn, starts))


def _states(classes: Sequence[Group], levels: int) -> list[Ints]:
    """For each class, [state] which of its shapes; states in order of draws made."""
    parts: list[Ints] = []
    total = np.zeros(1, dtype=np.int64)
    for count, keys in classes:
        sums = _shapes(count, keys, levels).sum(axis=1)
        before, shape = np.nonzero(total[:, None] + sums <= levels)
        parts = [part[before] for part in parts] + [shape]
        total = total[before] + sums[shape]
    order = np.argsort(total, kind="stable")
    return [part[order] for part in parts]


def _votes(counts: Sequence[Ints], drawn: Ints) -> tuple[Tally, Floats]:
    """Tally quantities of all states, and how the vote falls to the groups."""
    blank = np.zeros((len(drawn), TOP), dtype=np.int64)
    votes = np.concatenate([*counts, blank], axis=1)
    top = -np.sort(-votes, axis=1)[:, :TOP]
    most = top[:, :1]
    level = [((group == most) & (most > 0)).sum(axis=1) for group in counts]
    tied = np.sum([np.zeros(len(drawn), dtype=np.int64), *level], axis=0)
    share = np.stack(level, axis=1) / np.maximum(tied, 1)[:, None] if level else np.zeros((len(drawn), 0))
    tally = Tally.of(
        n=drawn.sum(axis=1),
        voted=drawn[:, :-1].sum(axis=1),
        v1=top[:, 0],
        v2=top[:, 1],
        tied=tied,
        distinct=(votes > 0).sum(axis=1),
        spread=(votes * np.log2(np.maximum(votes, 1))).sum(axis=1),
        top=top,
    )
    return tally, share


def _arcs(
    classes: Sequence[Group], parts: Sequence[Ints], drawn: Ints, starts: Ints
) -> list[tuple[Ints, Ints, Floats]]:
    """Every draw from every state, level by level. A class is picked by the draws that are left in it."""
    levels, pool = len(starts) - 2, sum(count * keys for count, keys in classes)
    n, code, stride = drawn.sum(axis=1), np.zeros(len(drawn), dtype=np.int64), 1
    steps = []
    for (count, keys), part in zip(classes, parts, strict=True):
        into, ways = _steps(count, keys, levels)
        source, step = np.nonzero((ways[part] > 0) & (n < levels)[:, None])
        at = part[source]
        steps.append((source, (into[at, step] - at) * stride, ways[at, step] / (pool - n[source])))
        code += part * stride
        stride *= len(into)
    source, shift, chance = (np.concatenate(column) for column in zip(*steps, strict=True))
    order = np.argsort(code)
    target = order[np.searchsorted(code, code[source] + shift, sorter=order)]
    by_level = np.argsort(source, kind="stable")
    source, target, chance = source[by_level], target[by_level], chance[by_level]
    cuts = np.searchsorted(source, starts)
    return [(source[a:b], target[a:b], chance[a:b]) for a, b in pairwise(cuts[:-1])]


# ---- one group of keys ----
@lru_cache(maxsize=256)
def _shapes(count: int, keys: int, most: int) -> Ints:
    """[shape, key] the non-increasing counts at which `keys` keys of `count` votes can stand, `most` in all."""

    def grow(left: int, cap: int, room: int) -> Iterator[tuple[int, ...]]:
        if left == 0:
            yield ()
            return
        for head in range(min(cap, room) + 1):
            for tail in grow(left - 1, head, room - head):
                yield (head, *tail)

    return np.array(list(grow(keys, count, most)), dtype=np.int64).reshape(-1, keys)


@lru_cache(maxsize=256)
def _count_shapes(count: int, keys: int, most: int) -> Floats:
    """[sum = 0 … most] how many shapes have each sum: the coefficients of a Gaussian binomial."""
    ways = np.zeros((keys + 1, most + 1))
    ways[0, 0] = 1.0
    for part in range(1, min(count, most) + 1):
        for used in range(1, keys + 1):
            ways[used, part:] += ways[used - 1, : most + 1 - part]
    return np.asarray(ways.sum(axis=0))


@lru_cache(maxsize=256)
def _steps(count: int, keys: int, most: int) -> tuple[Ints, Ints]:
    """[shape, step] the shape after drawing one more vote for a key, and how many draws lead there (0: none)."""
    shapes = [tuple(row) for row in _shapes(count, keys, most).tolist()]
    index = {shape: at for at, shape in enumerate(shapes)}
    width = max(len(set(shape)) for shape in shapes)
    into = np.zeros((len(shapes), width), dtype=np.int64)
    ways = np.zeros((len(shapes), width), dtype=np.int64)
    for at, shape in enumerate(shapes):
        for step, value in enumerate(sorted(set(shape))):
            first = shape.index(value)
            grown = index.get((*shape[:first], value + 1, *shape[first + 1 :]))
            if grown is not None and value < count:
                into[at, step] = grown
                ways[at, step] = shape.count(value) * (count - value)
    return into, ways
