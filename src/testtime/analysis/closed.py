"""Outcomes that need no simulation: a fixed n by closed forms, rules of counts by their exact law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from testtime.analysis.estimators import best_at_k, expected_max_at_k, majorities, pass_at_k
from testtime.analysis.exact import CountRule, Law, laws
from testtime.analysis.outcomes import Books, Result
from testtime.core.history import Bools, Floats, Ints
from testtime.core.protocols import Policy
from testtime.policies.best_of_n import BestOfN
from testtime.policies.sc_fixed import ScFixed

_LARGEST = 1023
"""Bits of a binomial that a float can hold."""


def fixed(books: Books, label: str, policies: Sequence[Policy]) -> Mapping[int, Result]:
    """Place among the policies → outcome, of those that draw a fixed n and then vote or pick the best.

    Ties that go to the first seen have the law of ties that share: in a random order, each of the tied is as
    likely to be first. Left out are policies whose binomials are beyond floats.
    """
    draws = books.depth(label)
    found: dict[int, Result] = {}
    by_column: dict[str, list[int]] = {}
    for at, policy in enumerate(policies):
        if isinstance(policy, (ScFixed, BestOfN)) and _countable(draws, policy.n):
            by_column.setdefault(policy.by if isinstance(policy, BestOfN) else "", []).append(at)
    for by, places in by_column.items():
        ks = [policies[at].floor for at in places]
        voted = (books.codes(label) >= 0).astype(float)
        if by:
            scores, right = books.column(label, by), books.draws(label).right[:, :draws]
            correct, answered = best_at_k(scores, right, ks), best_at_k(scores, voted, ks)
            agreement = best_at_k(scores, books.winner(label), ks)
        else:
            correct, agreement = majorities(books.codes(label), [books.right(label), books.winner(label)], ks)
            answered = pass_at_k(voted, ks)
        wait = expected_max_at_k(books.column(label, "seconds"), ks)
        for column, (at, k) in enumerate(zip(places, ks, strict=True)):
            found[at] = _drawn(
                books, label, k, correct[:, column], answered[:, column], agreement[:, column], wait[:, column]
            )
    return found


def _countable(draws: int, k: int) -> bool:
    return comb(draws, min(k, draws // 2)).bit_length() <= _LARGEST


def _drawn(
    books: Books, label: str, k: int, correct: Floats, answered: Floats, agreement: Floats, wait: Floats
) -> Result:
    """The outcome of k draws at once. Every draw is among them with probability k / N."""
    problems, draws = books.codes(label).shape
    silent = (books.codes(label) < 0).all(axis=1)
    return Result(
        method=np.full(problems, "exact"),
        correct=np.where(books.gold([label]), correct, np.nan),
        answered=answered,
        used={label: np.full((problems, draws), k / draws if k <= draws else 0.0)},
        rounds={label: np.ones(problems)},
        critical=wait,
        correct_var=np.where(books.gold([label]), 0.0, np.nan),
        exhausted=np.full(problems, float(k > draws)),
        agreement=np.where(silent, 1.0, agreement),
    )


def by_law(books: Books, label: str, policies: Sequence[Policy]) -> Mapping[int, tuple[Result, list[bool]]]:
    """Place among the policies → (outcome, [problem] whether its law is known), of the rules of counts."""
    draws = books.depth(label)
    places = [
        at
        for at, policy in enumerate(policies)
        if isinstance(policy, CountRule) and policy.most is not None and policy.most <= draws and not policy.needs
    ]
    codes, right = books.codes(label), books.right(label)
    found = laws(codes, right, [policies[at] for at in places])
    gold = books.gold([label])
    return {
        at: (_lawful(label, codes, gold, books.winner(label), rows), [law is not None for law in rows])
        for at, rows in zip(places, found, strict=True)
    }


def _lawful(label: str, codes: Ints, gold: Bools, winner: Floats, rows: Sequence[Law | None]) -> Result:
    problems = codes.shape[0]
    used, agreement = np.zeros(codes.shape), np.ones(problems)
    for problem, law in enumerate(rows):
        if law is not None:
            votes = codes[problem]
            alike = np.bincount(np.where(votes < 0, len(law.drawn) - 1, votes), minlength=len(law.drawn))
            used[problem] = (law.drawn / np.maximum(alike, 1))[votes]
            if law.wins.size:
                wins = np.zeros(law.wins.size)
                wins[votes[votes >= 0]] = winner[problem, votes >= 0]
                agreement[problem] = min(1.0, float(law.wins @ wins))
    correct = np.array([np.nan if law is None else law.correct for law in rows])
    return Result(
        method=np.full(problems, "exact"),
        correct=np.where(gold, correct, np.nan),
        answered=np.array([np.nan if law is None else law.answered for law in rows]),
        used={label: used},
        rounds={label: np.full(problems, np.nan)},
        critical=np.full(problems, np.nan),
        correct_var=np.where(gold, 0.0, np.nan),
        exhausted=np.zeros(problems),
        agreement=agreement,
    )
