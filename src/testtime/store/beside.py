"""Two pools of the same problems as one, with an arm each: what a cascade of two models plays on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import ABSTAINS, Ints
from testtime.store.pool import Draws, Pool

SMALL, LARGE = "small", "large"


def beside(small: Pool, large: Pool) -> Pool:
    """The problems that both have, with the arms `small` and `large`; equal answer keys are one vote in both.

    Raises BadInput where a pool has several arms, or no problem is in both.
    """
    for pool in (small, large):
        if len(pool.arms) != 1:
            raise BadInput(f"{len(pool.arms)} arms, where one is needed", where=pool.run, mend="give a run of one arm")
    place = {(query, split): at for at, (query, split) in enumerate(zip(large.problems, large.splits, strict=True))}
    names = list(zip(small.problems, small.splits, strict=True))
    ours = np.array([at for at, name in enumerate(names) if name in place], dtype=np.int64)
    if not ours.size:
        raise BadInput(f"shares no problem with {large.run}", where=small.run, mend="give two runs over one dataset")
    theirs = np.array([place[names[at]] for at in ours], dtype=np.int64)
    one, two = small.part(ours), large.part(theirs)
    (left,), (right,) = one.arms.values(), two.arms.values()
    codes, keys = _recoded(right.codes, one.keys, two.keys)
    lost = len(names) - len(ours)
    notes = [*one.notes, *(f"{large.run}: {note}" for note in two.notes)]
    return replace(
        one,
        run=f"{one.run}+{two.run}",
        arms={SMALL: _named(left, SMALL), LARGE: _named(replace(right, codes=codes), LARGE)},
        keys=keys,
        notes=[*notes, f"{lost} problems left out: {large.run} does not have them"] if lost else notes,
    )


def _named(draws: Draws, label: str) -> Draws:
    return replace(draws, arm=replace(draws.arm, label=label))


def _recoded(
    codes: Ints, ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]]
) -> tuple[Ints, list[list[str]]]:
    """The second pool's codes in the first one's numbering, which is lengthened by answers that only it has."""
    out, keys = codes.copy(), []
    for at, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        number = {key: code for code, key in enumerate(mine)}
        moved = np.array([number.setdefault(key, len(number)) for key in other] or [ABSTAINS], dtype=codes.dtype)
        out[at] = np.where(codes[at] >= 0, moved[np.maximum(codes[at], 0)], codes[at])
        keys.append(list(number))
    return out, keys
