"""The one generic loop over a policy: it sees what is visible, asks for more, and at last chooses.

All worlds are played at once, as arrays. A live run is this loop over one world whose cells a model fills in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Ballot, Bools, Cells, Floats, History, Ints, Track
from testtime.core.protocols import Certifies, Policy
from testtime.store.pool import Worlds


@dataclass(frozen=True, eq=False)
class Step:
    """One round: what some rows got."""

    rows: Ints
    """Flat index into [world, problem]."""
    spans: Mapping[str, tuple[Ints, Ints]]
    """Arm → [row] first draw of the round, and one past its last."""


@dataclass(frozen=True, eq=False)
class Played:
    """What a policy did in every world."""

    seen: Mapping[str, Ints]
    """Arm → [world, problem] draws used."""
    rounds: Ints
    """[world, problem] times it asked for more."""
    ballot: Ballot
    """Its answers; rows are flat indices into [world, problem]."""
    exhausted: Bools
    """[world, problem] whether it asked for more draws than there are; it chose among those there are."""
    steps: Sequence[Step]
    e_value: Floats | None = None
    """[world, problem] evidence for the answer, of a policy that has any."""
    certain: Bools | None = None
    """[world, problem] whether the answer is certified."""


def play(policy: Policy, worlds: Worlds, labels: Sequence[str]) -> Played:
    """Runs a policy in all worlds at once over the arms `labels`.

    Rows that are done leave the loop, unless the policy looks across problems. Raises Refused for a column
    that the pool lacks, and BadInput for a policy that asks for a negative number of draws.
    """
    history = worlds.history(labels, policy.needs)
    shape = worlds.shape
    seen = {label: np.zeros(shape[0] * shape[1], dtype=np.int64) for label in history}
    rounds, exhausted = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    rows: Ints = np.arange(rounds.size)
    steps: list[Step] = []
    while rows.size:
        step, short = _round(policy, _view(history, seen, rows, shape if policy.across else rows.shape), rows)
        exhausted.reshape(-1)[rows[short]] = True
        if not step.rows.size:
            break
        for label, (_, stop) in step.spans.items():
            seen[label][step.rows] = stop
        rounds.reshape(-1)[step.rows] += 1
        steps.append(step)
        rows = rows if policy.across else step.rows
    every = np.arange(rounds.size)
    end = _view(history, seen, every, shape)
    drawn = {label: draws.reshape(shape) for label, draws in seen.items()}
    played = Played(drawn, rounds, policy.choose(end), exhausted, steps)
    if isinstance(policy, Certifies):
        return replace(played, e_value=policy.e_value(end), certain=policy.certain(end))
    return played


def _view(history: History, seen: Mapping[str, Ints], rows: Ints, shape: tuple[int, ...]) -> History:
    return {
        label: Track(track.cells, track.rows.reshape(-1)[rows].reshape(shape), seen[label][rows].reshape(shape))
        for label, track in history.items()
    }


def _round(policy: Policy, now: History, rows: Ints) -> tuple[Step, Bools]:
    """What is granted of what the policy asks for, and which rows asked for more than there is."""
    asks = policy.ask(now)
    short, moved = np.zeros(rows.size, dtype=bool), np.zeros(rows.size, dtype=bool)
    spans = {}
    for label, asked in asks.items():
        track = now[label]
        wanted, start = np.asarray(asked).reshape(-1), track.seen.reshape(-1)
        if (wanted < 0).any():
            raise BadInput(
                f"the policy {policy.name} asks for {wanted.min()} draws", mend="a policy asks for 0 or more"
            )
        given = np.minimum(wanted, _there(track.cells, track.rows.reshape(-1)) - start)
        short |= given < wanted
        moved |= given > 0
        spans[label] = (start, start + given)
    return Step(rows[moved], {label: (start[moved], stop[moved]) for label, (start, stop) in spans.items()}), short


def _there(cells: Cells, rows: Ints) -> Ints:
    return np.full(rows.shape, cells.codes.shape[1]) if cells.size is None else cells.size[rows]
