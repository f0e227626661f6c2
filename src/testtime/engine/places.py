"""Where records stand in a journal, by the row of the table that they belong to, in some 30 bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np

from testtime.core.history import Ints
from testtime.store.journal import Place

Key: TypeAlias = tuple[int, int, int]
"""Rank of the arm, rank of the problem, candidate_idx: the order of the table."""


class Places:
    """Filled in the order of the journal; read in the order of the table."""

    def __init__(self) -> None:
        self._arms: dict[str, int] = {}
        self._queries: dict[str, int] = {}
        self._files: dict[Path, int] = {}
        self._arm, self._query, self._idx = array("i"), array("i"), array("q")
        self._file, self._offset, self._at = array("h"), array("q"), array("i")

    @property
    def arms(self) -> list[str]:
        """Those that a record is of, as they came."""
        return list(self._arms)

    def add(self, arm: str, query: str, idx: int, place: Place, at: int = 0) -> None:
        """A record of a row; `at`: which of its candidates."""
        self._arm.append(self._arms.setdefault(arm, len(self._arms)))
        self._query.append(self._queries.setdefault(query, len(self._queries)))
        self._idx.append(idx)
        file, offset = place
        self._file.append(self._files.setdefault(file, len(self._files)))
        self._offset.append(offset)
        self._at.append(at)

    def ordered(self, arms: Sequence[str], queries: Sequence[str]) -> Ordered:
        """What stands in rows of these arms and problems, in their order."""
        arm, query = _ranks(self._arms, arms)[_ints(self._arm)], _ranks(self._queries, queries)[_ints(self._query)]
        keys = np.stack([arm, query, _ints(self._idx)]) if len(arm) else np.zeros((3, 0), dtype=np.int64)
        order = np.lexsort(keys[::-1])  # stable: records of one row stay in the order of the journal
        order = order[(keys[:2, order] >= 0).all(axis=0)]
        return Ordered(keys, order, _ints(self._file), _ints(self._offset), _ints(self._at), list(self._files))


@dataclass(frozen=True, eq=False)
class Ordered:
    """Records by row; `len` is how many rows there are."""

    keys: Ints
    """[3, record] the row."""
    order: Ints
    """Records in the order of the table."""
    file: Ints
    offset: Ints
    at: Ints
    files: Sequence[Path]

    @cached_property
    def _starts(self) -> Ints:
        """Where in the order each row begins."""
        sorted_keys = self.keys[:, self.order]
        changed = (sorted_keys[:, 1:] != sorted_keys[:, :-1]).any(axis=0)
        return np.flatnonzero(np.concatenate([np.ones(min(1, len(self.order)), dtype=bool), changed]))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[Key, list[tuple[Place, int]]]]:
        """Each row with its records: (where one stands, which of its candidates)."""
        for start, end in pairwise(np.append(self._starts, len(self.order))):
            arm, query, idx = self.keys[:, self.order[start]].tolist()
            yield (arm, query, idx), [self._record(number) for number in self.order[start:end].tolist()]

    def _record(self, number: int) -> tuple[Place, int]:
        return (self.files[self.file[number]], int(self.offset[number])), int(self.at[number])


def _ranks(codes: Mapping[str, int], names: Sequence[str]) -> Ints:
    """[code] place among the names; −1 for one that is not among them."""
    at = {name: rank for rank, name in enumerate(names)}
    return np.array([at.get(name, -1) for name in codes], dtype=np.int64)


def _ints(values: array[int]) -> Ints:
    """The same memory as an array."""
    return np.frombuffer(values, dtype=values.typecode) if values else np.zeros(0, dtype=np.int64)
