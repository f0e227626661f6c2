"""The exact law of a rule of counts on one problem: its answer, its draws, what it spends. No simulation.

The problem's pool is drawn without replacement in uniformly random order, and the rule looks at the
counts after every draw. Votes with equal pool counts and equal rightness are lumped (lattice.py); the
rule's predicate is evaluated on all states at once; one pass over the levels gives the law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np

from testtime.analysis.estimators import key_rightness
from testtime.analysis.lattice import Group, count_states, lattice
from testtime.core.history import Bools, Floats, Ints, Tally
from testtime.core.protocols import Policy

MOST_STATES = 20_000
"""Above this many count states a law takes longer than a hundred shared orders are worth."""
OF_ORDER = frozenset({"run", "leader"})
"""Tally quantities that the counts do not determine."""


@runtime_checkable
class CountRule(Protocol):
    """A policy whose stopping is one predicate of the tally, and whose answer is the most frequent one."""

    @property
    def reads(self) -> frozenset[str]:
        """The tally quantities the predicate looks at."""
        ...

    @property
    def most(self) -> int | None:
        """The most draws it takes; None: no limit of its own."""
        ...

    def stops(self, tally: Tally) -> Bools:
        """Elementwise: is it done after these votes?"""
        ...

    def __hash__(self) -> int:
        """Its settings: laws are kept by them."""
        ...


@dataclass(frozen=True, eq=False)
class Law:
    """What a rule does on one problem, over all orders of its pool."""

    correct: float
    """Probability that the answer is right; nan where a key without a verdict could win."""
    answered: float
    """Probability that it gives an answer at all: some draw voted."""
    draws: float
    """Expected number of draws."""
    drawn: Floats
    """[code + 1] expected draws of each code, abstentions last: the expected sum of any additive column
    is Σ drawn[c] · (its mean over the draws of class c), for within a class all orders are alike."""
    wins: Floats
    """[code] probability that each code is the answer."""
    lengths: Floats
    """[n] probability that it ends after n draws, n = 0 … the most it takes."""
    exhausted: float
    """Probability that it would have drawn on when the pool ended; its answer there is the pool's vote."""
    states: int
    """Count states that were summed over."""


def law(codes: Ints, right: Floats, policy: Policy | CountRule, most_states: int = MOST_STATES) -> Law | None:
    """The exact law of a rule of counts over a problem's draws `codes` [draw] with verdicts `right` [draw].

    None where there is none to have: the policy is no `CountRule`, it reads the order of draws
    (`run`, `leader`), or the counts have more than `most_states` states. A key is as right as
    `key_rightness` says. Laws are kept by pattern of counts; for many policies call with one problem
    after the other, so that they share its states (`laws` does).

    Ties are split evenly, and first-seen ties have the same law: swap two tied keys in a sequence of
    draws. It has the same counts at its end, so it is as likely, and the same sorted counts on its way,
    so it stops at the same draw; hence each tied key is the first seen equally often.

    >>> @dataclass(frozen=True)
    ... class Two:
    ...     reads, most = frozenset({"v1"}), 3
    ...     def stops(self, tally):
    ...         return tally.v1 >= 2
    >>> found = law(np.array([0, 0, 1]), np.array([1.0, 1.0, 0.0]), Two())
    >>> round(found.correct, 3), round(found.draws, 3)
    (1.0, 2.667)
    """
    return _law(_Pattern.of(codes, right), policy, most_states) if _reads_counts(policy) else None


def laws(
    codes: Ints,
    right: Floats,
    policies: Sequence[Policy | CountRule],
    sizes: Ints | None = None,
    most_states: int = MOST_STATES,
) -> list[list[Law | None]]:
    """[policy][problem] the laws of several policies on arrays [problem, draw]; draws past `sizes` are not there."""
    there = [codes.shape[1]] * len(codes) if sizes is None else [int(size) for size in sizes]
    lawful = [policy if _reads_counts(policy) else None for policy in policies]
    found: list[list[Law | None]] = [[] for _ in policies]
    for votes, verdicts, n in zip(codes, right, there, strict=True):
        pattern = _Pattern.of(votes[:n], verdicts[:n])
        for place, policy in enumerate(lawful):
            found[place].append(None if policy is None else _law(pattern, policy, most_states))
    return found


def _reads_counts(policy: Policy | CountRule) -> TypeGuard[CountRule]:
    """Whether the counts alone say when it stops."""
    return isinstance(policy, CountRule) and not policy.reads & OF_ORDER


@dataclass(frozen=True, eq=False)
class _Pattern:
    """A problem's votes as counts."""

    groups: tuple[Group, ...]
    """Keys of equal count and equal rightness."""
    abstain: int
    group: Ints
    """[code] its group, −1 where nobody votes for it."""
    worth: Floats
    """[code] its rightness, nan where unknown."""

    @classmethod
    def of(cls, codes: Ints, right: Floats) -> _Pattern:
        votes = codes[codes >= 0]
        counts = np.bincount(votes) if votes.size else np.zeros(0, dtype=np.int64)
        worth = np.zeros(len(counts))
        worth[votes] = key_rightness(codes[None], right[None])[0][codes >= 0]
        kinds = [(int(c), -1.0 if np.isnan(w) else float(w)) for c, w in zip(counts, worth, strict=True)]
        order = sorted({kind for kind in kinds if kind[0]}, reverse=True)
        at = {kind: place for place, kind in enumerate(order)}
        group = np.array([at.get(kind, -1) for kind in kinds], dtype=np.int64)
        return cls(tuple((kind[0], kinds.count(kind)) for kind in order), len(codes) - len(votes), group, worth)


def _law(pattern: _Pattern, policy: CountRule, most_states: int) -> Law | None:
    """The law by code: every key of a group has an equal share of it."""
    ends = _ends(pattern.groups, pattern.abstain, policy, most_states)
    if ends is None:
        return None
    keys = np.array([*(size for _, size in pattern.groups), 1])
    wins = np.append(ends.wins, 0.0) / keys  # the last place is for codes that nobody votes for: group −1
    drawn = np.append(ends.drawn[:-1], 0.0) / keys
    chances = wins[pattern.group]
    return Law(
        correct=float(np.clip(np.where(chances > 0, chances * pattern.worth, 0.0).sum(), 0.0, 1.0)),
        answered=min(1.0, float(ends.wins.sum())),
        draws=float(ends.lengths @ np.arange(len(ends.lengths))),
        drawn=np.append(drawn[pattern.group], ends.drawn[-1]),
        wins=chances,
        lengths=ends.lengths,
        exhausted=ends.exhausted,
        states=ends.states,
    )


@dataclass(frozen=True, eq=False)
class _Ends:
    """A law by groups of keys; see `Law`."""

    wins: Floats
    drawn: Floats
    lengths: Floats
    exhausted: float
    states: int


@lru_cache(maxsize=8192)
def _ends(groups: tuple[Group, ...], abstain: int, policy: CountRule, most_states: int) -> _Ends | None:
    """Where the rule ends on this pattern of counts; None where it has too many states."""
    pool = abstain + sum(count * keys for count, keys in groups)
    levels = pool if policy.most is None else min(policy.most, pool)
    if count_states(groups, abstain, levels) > most_states:
        return None
    states = lattice(groups, abstain, levels)
    stops = np.asarray(policy.stops(states.tally)).astype(bool)
    stops[0] = False  # before the first draw there is nothing to look at
    mass = states.flow(stops)
    last = np.arange(len(mass)) >= states.starts[levels]
    ends = np.where(stops | last, mass, 0.0)
    cut_short = policy.most is None or policy.most > pool
    return _Ends(
        wins=ends @ states.share,
        drawn=ends @ states.drawn,
        lengths=np.add.reduceat(ends, states.starts[:-1]),
        exhausted=float(mass[last & ~stops].sum()) if cut_short else 0.0,
        states=len(mass),
    )
