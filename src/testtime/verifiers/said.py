"""What every stage says alike: a verdict in full, and the two cases that need no judgement."""

from __future__ import annotations

from typing import Any

from testtime.core.protocols import Verifier
from testtime.core.records import Candidate, Problem, Verdict

SHOWN = 200
"""Characters of an answer in an explanation."""


def verdict(
    stage: Verifier, value: bool | None, confidence: float, method: str, explanation: str, **more: Any
) -> Verdict:
    """A verdict of a stage: the confidence is in the value that is given, 0 where nobody can say."""
    return Verdict(
        stage.stage,
        stage.digest,
        value=value,
        confidence=confidence,
        method=method,
        explanation=explanation,
        gold=stage.gold,
        **more,
    )


def unjudgeable(stage: Verifier, problem: Problem, candidate: Candidate) -> Verdict | None:
    """The verdict where there is no answer: it is not a right one, whatever the reason; None where there is one."""
    if candidate.error is not None:
        return verdict(stage, False, 1.0, "no answer", f"the draw failed: {candidate.error}")
    if candidate.facts.get("answer") is not None:
        return None
    reasons = {"length": "the text was cut at its token limit", "refusal": "the model refused", "filter": "filtered"}
    why = reasons.get(candidate.finish, "the text gives none" if candidate.text.strip() else "the text is empty")
    return verdict(stage, False, 1.0, "no answer", f"no answer was found: {why}")


def shown(text: object) -> str:
    """A text for an explanation."""
    said = str(text)
    return repr(said if len(said) <= SHOWN else f"{said[:SHOWN]}…")
