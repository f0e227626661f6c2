"""A candidate and its verdicts as a row of the pool, and as the columns that a policy executed live may read.

Both come from one place, so that a policy is shown live what its replay will be shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from testtime.core.records import Arm, Candidate, Problem, Verdict
from testtime.store.frame import GOLD, SPENDS
from testtime.store.rows import candidate_row
from testtime.store.schema import CANDIDATES


def row_of(problem: Problem, arm: Arm, candidate: Candidate, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The row, but for what was paid."""
    noted = {name: value for name, value in candidate.facts.items() if name not in ("answer", "answer_key")}
    answered = (candidate.facts.get("answer"), key_of(candidate, verdicts))
    shown = [replace(verdict, columns=_declared(verdict) | scores_of_verdict(verdict)) for verdict in verdicts]
    return candidate_row(replace(candidate, facts=noted), problem, arm, answered, shown, scores_of_facts(noted))


def key_of(candidate: Candidate, verdicts: Sequence[Verdict]) -> str | None:
    """What is compared in a vote: what a stage gave that ran the answer, else what the task read; None abstains."""
    given = [verdict.columns["answer_key"] for verdict in verdicts if verdict.columns.get("answer_key") is not None]
    key: str | None = given[0] if given else candidate.facts.get("answer_key")
    return key


def scores_of_facts(facts: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a decoding noted, as score columns."""
    return {name: _float(value) for name, value in facts.items() if isinstance(value, Real) and name not in CANDIDATES}


def scores_of_verdict(verdict: Verdict) -> dict[str, float]:
    """A verdict's score columns; those of a stage that saw the reference are named `oracle(…)`."""
    given = {**verdict.columns, f"{verdict.stage}_score": verdict.score}
    return {
        f"oracle({name})" if verdict.gold else name: _float(value)
        for name, value in given.items()
        if isinstance(value, Real) and name not in CANDIDATES
    }


def _float(value: Any) -> float:
    """As a column holds it; a whole number too large for that is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _declared(verdict: Verdict) -> dict[str, Any]:
    return {name: value for name, value in verdict.columns.items() if name in CANDIDATES}


def columns_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row, by the names that a pool shows them to policies by."""
    right, saw = row.get("is_verified"), row.get("verification_saw_reference")
    if row["error"] is not None and row["ground_truth_answer"] is not None:
        right = False
    columns = {"truncated": float(row["finish_reason"] == "length")}
    declined = row.get("refusal_is_refusal") if row["error"] is None else False
    if declined is not None:
        columns["refused"] = float(declined)
    if right is not None:
        columns["oracle(is_verified)"] = float(right)
    for name, value in row.items():
        if isinstance(value, Real) and not isinstance(value, bool):
            fenced = name in GOLD and saw is not False
            columns[f"oracle({name})" if fenced else SPENDS.get(name, name)] = float(value)
    return columns
