"""Solution sets: every possible answer of a problem, and what a law over them says of the right one.

A model's law over a set comes from teacher forcing: m(s) = Π p(s_t | what was thought, s_<t), and

    q(s) = (m(s) + 1e-10) / Σ (m(s') + 1e-10)

Texts of a set have no end token, so m is the probability of beginning with s: no text of a set may begin another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Floats

SMOOTHING = 1e-10
MOST = 100_000
"""Texts of a set at most."""


def solution_set(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The texts of a problem's solution set, from its `solution_set` (a list, or a range of integers written
    with as many digits as its first: "000..999") or else the letters of its `choices`; None where it has none.

    Raises BadInput for a range that is none, a text twice, or a text that begins another.

    >>> solution_set({"choices": {"A": "12", "B": "14"}}), len(solution_set({"solution_set": "000..999"}))
    (('A', 'B'), 1000)
    """
    given = fields.get("solution_set")
    if isinstance(given, str):
        return _range(given)
    if given is not None:
        return _checked(tuple(map(str, given)))
    choices = fields.get("choices")
    if isinstance(choices, Mapping):
        return _checked(tuple(map(str, choices)))
    return _checked(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)])) if choices else None


@lru_cache(maxsize=16)
def _range(given: str) -> tuple[str, ...]:
    first, dots, last = given.partition("..")
    if not (dots and first.isdecimal() and last.isdecimal()) or len(first) != len(last) or int(first) > int(last):
        raise BadInput(f"{given!r} is no range of integers", mend='write a solution set as a list, or as "000..999"')
    if int(last) - int(first) >= MOST:
        raise BadInput(f"the solution set {given!r} has more than {MOST:,} texts")
    return tuple(f"{value:0{len(first)}d}" for value in range(int(first), int(last) + 1))


@lru_cache(maxsize=1024)
def _checked(texts: tuple[str, ...]) -> tuple[str, ...]:
    ordered = sorted(texts)
    for one, other in pairwise(ordered):
        if other.startswith(one):
            what = "is there twice" if one == other else f"begins {other!r}"
            raise BadInput(f"the solution {one!r} {what}", mend="no text of a set may begin another")
    return texts


def place_of(solutions: Sequence[str], reference: str | None) -> int | None:
    """Which text of a set is the reference: the same text, or the same integer. None where none is.

    >>> place_of(("082", "083"), "83")
    1
    """
    if reference is None:
        return None
    wanted = reference.strip()
    for at, text in enumerate(solutions):
        if text == wanted:
            return at
    if not wanted.isdecimal() or len(wanted) > len(str(MOST)):
        return None
    value = int(wanted)
    return next((at for at, text in enumerate(solutions) if text.isdecimal() and int(text) == value), None)


def law(logs: Floats) -> Floats:
    """Q [solution] of log m [solution]; all 0 where every m is."""
    mass = np.exp(logs)
    if not mass.any():
        return np.zeros_like(mass)
    smoothed = mass + SMOOTHING
    out: Floats = smoothed / smoothed.sum()
    return out


def entropy(q: Floats) -> float:
    """Of a law, in bits; that of no law (all 0) is of all answers alike.

    >>> entropy(np.array([0.5, 0.25, 0.25]))
    1.5
    """
    if not q.any():
        return float(np.log2(len(q)))
    p = q[q > 0]
    return float(-(p * np.log2(p)).sum()) + 0.0


def about_gold(q: Floats, gold: int) -> dict[str, float]:
    """What a law says of the right answer, at place `gold`.

    probability q(gold), log_prob its natural logarithm, brier Σ (q(s) − [s is gold])² in [0, 2] (a sum over the
    set, no mean), rank 1 for the most probable (ties share the best), margin q(gold) − max of the others, top1
    whether gold is most probable.
    """
    chance, others = float(q[gold]), np.delete(q, gold)
    best = float(others.max(initial=0.0))
    with np.errstate(divide="ignore"):
        log_prob = float(np.log(q[gold]))
    return {
        "probability": chance,
        "log_prob": log_prob,
        "brier": float((others**2).sum() + (1 - chance) ** 2),
        "rank": float(1 + (others > chance).sum()),
        "margin": chance - best,
        "top1": float(chance > best),
    }


_TOKEN = re.compile(r"\\[A-Za-z]+|[^\W\d_]+|\S")


def tokens(text: str) -> list[str]:
    r"""An answer's tokens, the same for every model: digits one by one, words, LaTeX commands, other signs.

    >>> tokens("083"), tokens(r"\frac{1}{2} cm")
    (['0', '8', '3'], ['\\frac', '{', '1', '}', '{', '2', '}', 'cm'])
    """
    return _TOKEN.findall(text)


def edit_distance(one: Sequence[object], other: Sequence[object]) -> int:
    """Levenshtein's: insertions, deletions and replacements that make one of the other.

    >>> edit_distance("083", "93")
    2
    """
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]
