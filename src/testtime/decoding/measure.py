"""What a model would answer, measured by teacher forcing where it is asked: the continuous metrics of a draw.

Facts that know the gold answer are named `oracle(…)`, as all columns are that saw the reference: no policy reads
them unless told to. All are null where the problem has no reference.

    oracle(answer_probability), oracle(answer_log_prob)   q(gold) over the solution set, and its natural logarithm
    oracle(answer_brier)                                  Σ (q(s) − [s is gold])², 0 to 2
    oracle(answer_rank), oracle(answer_margin), oracle(answer_top1)
    answer_entropy                                        of q, in bits
    answer_distribution                                   the most probable answers and their q
    oracle(answer_edit_distance)                          of what was written from gold, in `solutions.tokens`

Without a solution set, or unnormalised: probability is Π p(gold_t), answer_entropy the mean over the gold
answer's tokens of the entropy over the whole vocabulary, and what needs a set is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from testtime.answers import solutions
from testtime.core.history import Floats
from testtime.core.protocols import Ask
from testtime.core.records import Problem, Request

HOW = ("set", "gold", "none")
"""Over the solution set, of the gold answer alone, or not at all."""
NEEDS_SET = ("brier", "rank", "margin", "top1")


async def measured(ask: Ask, problem: Problem, request: Request, how: str, most: int) -> dict[str, Any]:
    """The facts of the answer that `request` asks for; `most` answers of the distribution are kept.

    Raises ModelError.
    """
    texts = solutions.solution_set(problem.fields)
    gold = solutions.place_of(texts, problem.reference) if texts else None
    if how == "none":
        return {}
    if how == "set" and texts:
        return await ask.measure("model", request, texts, lambda laws: _over_set(laws, texts, gold, most))
    answer = problem.reference if texts is None or gold is None else texts[gold]
    if answer is None:
        return {}
    chance = await ask.measure("model", request, [answer], lambda laws: float(laws[0].sum()))
    bits = await ask.measure("model", request, [answer], _bits, full=True)
    return {
        "oracle(answer_probability)": float(np.exp(chance)),
        "oracle(answer_log_prob)": chance,
        "answer_entropy": bits,
        **{f"oracle(answer_{name})": None for name in NEEDS_SET},
    }


def distance(problem: Problem, written: str) -> dict[str, Any]:
    """How far what was written is from the gold answer, in the form of the solution set where there is one."""
    if problem.reference is None:
        return {}
    texts = solutions.solution_set(problem.fields)
    gold = solutions.place_of(texts, problem.reference) if texts else None
    answer = problem.reference if texts is None or gold is None else texts[gold]
    return {
        "oracle(answer_edit_distance)": solutions.edit_distance(solutions.tokens(written), solutions.tokens(answer))
    }


def _over_set(laws: Sequence[Floats], texts: Sequence[str], gold: int | None, most: int) -> dict[str, Any]:
    starts = np.cumsum([0, *map(len, laws[:-1])])
    q = solutions.law(np.add.reduceat(np.concatenate(laws), starts))
    about: Mapping[str, float] = {} if gold is None else solutions.about_gold(q, gold)
    best = np.argsort(-q, kind="stable")[:most].tolist()
    return {
        **{f"oracle(answer_{name})": value if np.isfinite(value) else None for name, value in about.items()},
        "answer_entropy": solutions.entropy(q),
        "answer_distribution": {texts[at]: float(f"{q[at]:.6g}") for at in best},
    }


def _bits(laws: Sequence[Floats]) -> float:
    """The mean entropy of natural log-laws [token, vocabulary], in bits."""
    law = laws[0]
    return float(-(np.exp(law) * law).sum(axis=1).mean() / np.log(2))
